"""The query protocol of STS and IAM: a form with an Action each way in, XML each way out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from sagespec.api.call import Answer, Call
from sagespec.api.errors import ApiError
from sagespec.api.protocols.values import seconds_of, shaped

XML = "text/xml"
MOST_FIELDS = 2000
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that no XML may hold


def operation_name(call: Call) -> str:
    return _fields(call).get("Action", "")


def _fields(call: Call) -> dict[str, str]:
    try:
        body = call.body.decode() if call.method == "POST" else ""
        return call.parameters | dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as problem:
        raise ApiError("MalformedQueryString", f"the form cannot be read: {problem}") from None


def request_of(operation: OperationModel, call: Call) -> Mapping[str, Any]:
    found = _read(operation.input_shape, _fields(call), "")
    return found if isinstance(found, dict) else {}


def _read(shape: Shape | None, fields: Mapping[str, str], name: str) -> Any:
    """What the fields say under a name; None for nothing."""
    if isinstance(shape, StructureShape):
        dot = f"{name}." if name else ""
        read = ((key, _read(one, fields, dot + _name_of(one, key))) for key, one in shape.members.items())
        found = {key: value for key, value in read if value is not None}
        return found if found or not name else None
    if isinstance(shape, ListShape):
        stem = name if shape.serialization.get("flattened") else f"{name}.{_name_of(shape.member, 'member')}"
        items: list[Any] = []
        while (item := _read(shape.member, fields, f"{stem}.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    text = fields.get(name)
    return None if text is None or shape is None or isinstance(shape, MapShape) else _value(shape.type_name, text, name)


def _value(type_name: str, text: str, name: str) -> Any:
    try:
        match type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "timestamp":
                at = datetime.fromisoformat(text)
                return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, KeyError, OverflowError):
        raise ApiError("MalformedInput", f"{name} is no {type_name}: {text[:100]}") from None
    return text


def _name_of(shape: Shape, name: str) -> str:
    return str(shape.serialization.get("name", name))


def answer(operation: OperationModel, result: Mapping[str, Any], _call: Call) -> Answer:
    shape, name = operation.output_shape, operation.name
    inside = _xml(shape, shaped(shape, result, _scalar)) if shape else ""
    wrapper = shape.serialization.get("resultWrapper", f"{name}Result") if shape else ""
    body = f"<{wrapper}>{inside}</{wrapper}>" if wrapper else ""
    namespace = operation.service_model.metadata.get("xmlNamespace", "")
    meta = "<ResponseMetadata><RequestId>sagespec</RequestId></ResponseMetadata>"
    return Answer(200, f'<{name}Response xmlns="{namespace}">{body}{meta}</{name}Response>'.encode(), XML)


def _xml(shape: Shape, value: Any) -> str:
    """What stands between the tags of a value that is written as its shape has it."""
    if isinstance(shape, StructureShape):
        members = ((_name_of(one, name), one) for name, one in shape.members.items())
        return "".join(_element(one, value[name], name) for name, one in members if name in value)
    if isinstance(shape, ListShape):
        return "".join(_element(shape.member, one, _name_of(shape.member, "member")) for one in value)
    return escape(_NO_XML.sub("\ufffd", str(value)))


def _element(shape: Shape, value: Any, name: str) -> str:
    if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
        return "".join(f"<{name}>{_xml(shape.member, one)}</{name}>" for one in value)
    return f"<{name}>{_xml(shape, value)}</{name}>"


def error(problem: ApiError, _call: Call) -> Answer:
    whose = "Sender" if problem.status < 500 else "Receiver"
    message = escape(_NO_XML.sub("\ufffd", problem.message))
    inside = f"<Error><Type>{whose}</Type><Code>{problem.code}</Code><Message>{message}</Message></Error>"
    text = f"<ErrorResponse>{inside}<RequestId>sagespec</RequestId></ErrorResponse>"
    return Answer(problem.status, text.encode(), XML)


def _scalar(type_name: str, value: Any) -> Any:
    if type_name == "timestamp":
        at = datetime.fromtimestamp(seconds_of(value), UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else value
