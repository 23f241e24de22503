"""smithy-rpc-v2-cbor, as CloudWatch's newer clients speak it: the operation in the path, one CBOR map each way.

Of CBOR (RFC 8949) it has what the protocol uses: numbers, texts, bytes, lists, maps and the tag of times.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel

from sagespec.api.call import Answer, Call
from sagespec.api.errors import ApiError
from sagespec.api.protocols.values import seconds_of, shaped

CONTENT_TYPE = "application/cbor"
DEEPEST = 32
_HEADERS = {"smithy-protocol": "rpc-v2-cbor"}
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _OTHER = range(8)
_OPEN = 31  # an item of unknown length, ended by a break
_TIME_TAG = 1
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}


class _Time(float):
    """Seconds since 1970, written with its tag."""


def operation_name(call: Call) -> str:
    """Of /service/GraniteServiceVersion20100801/operation/GetMetricStatistics."""
    return call.path.rpartition("/operation/")[2]


def request_of(_operation: OperationModel, call: Call) -> Mapping[str, Any]:
    try:
        found = _Reader(call.body).item() if call.body else {}
    except (ValueError, IndexError, KeyError, TypeError, struct.error, RecursionError):
        raise ApiError("SerializationException", "the body is not CBOR") from None
    if not isinstance(found, dict):
        raise ApiError("SerializationException", "the body is not a map of CBOR")
    return found


def answer(operation: OperationModel, result: Mapping[str, Any], _call: Call) -> Answer:
    body = encoded(shaped(operation.output_shape, result, _scalar))
    return Answer(200, body, CONTENT_TYPE, _HEADERS)


def error(problem: ApiError, _call: Call) -> Answer:
    body = encoded({"__type": problem.code, "message": problem.message})
    return Answer(problem.status, body, CONTENT_TYPE, _HEADERS | {"x-amzn-ErrorType": problem.code})


def _scalar(type_name: str, value: Any) -> Any:
    return _Time(seconds_of(value)) if type_name == "timestamp" else value


def encoded(value: Any) -> bytes:
    match value:
        case None | bool():
            return bytes([_OTHER << 5 | {False: 20, True: 21, None: 22}[value]])
        case _Time():
            return _head(_TAG, _TIME_TAG) + _double(value)
        case int():
            return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
        case float():
            return _double(value)
        case bytes():
            return _head(_BYTES, len(value)) + value
        case str():
            text = value.encode()
            return _head(_TEXT, len(text)) + text
        case Mapping():
            return _head(_MAP, len(value)) + b"".join(encoded(key) + encoded(one) for key, one in value.items())
    return _head(_LIST, len(value)) + b"".join(map(encoded, value))


def _double(value: float) -> bytes:
    return bytes([_OTHER << 5 | 27]) + struct.pack(">d", value)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for extra, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if number < 2 ** (8 * struct.calcsize(form)):
            return bytes([major << 5 | extra]) + struct.pack(form, number)
    raise ValueError(f"{number} is too large")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._depth = data, 0, 0

    def item(self) -> Any:
        first = self._take(1)[0]
        major, extra = first >> 5, first & 31
        if major == _OTHER:
            return self._other(extra)
        number = None if extra == _OPEN else self._number(extra)
        if major in (_LIST, _MAP, _TAG):
            self._depth += 1
            if self._depth > DEEPEST:
                raise ValueError("too deep")
            found = self._nested(major, number)
            self._depth -= 1
            return found
        if number is None:
            return self._parts(major)
        match major:
            case 0:
                return number
            case 1:
                return -1 - number
            case 2:
                return self._take(number)
        return self._take(number).decode()

    def _nested(self, major: int, number: int | None) -> Any:
        if major == _TAG:
            return self.item()  # of a time: its seconds
        if major == _MAP:
            return {self.item(): self.item() for _ in self._counted(number)}
        return [self.item() for _ in self._counted(number)]

    def _counted(self, number: int | None) -> Any:
        """As often as there are items."""
        if number is not None and number > len(self._data):
            raise ValueError("longer than the body")
        done = 0
        while done != number if number is not None else self._data[self._at] != 0xFF:
            yield
            done += 1
        if number is None:
            self._at += 1

    def _parts(self, major: int) -> Any:
        parts = [self.item() for _ in self._counted(None)]
        return b"".join(parts) if major == _BYTES else "".join(parts)

    def _other(self, extra: int) -> Any:
        if extra in _FLOATS:
            return struct.unpack(_FLOATS[extra], self._take(struct.calcsize(_FLOATS[extra])))[0]
        return _SIMPLE[extra]

    def _number(self, extra: int) -> int:
        if extra < 24:
            return extra
        if extra > 27:
            raise ValueError("no length")
        return int.from_bytes(self._take(2 ** (extra - 24)))

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise ValueError("too short")
        self._at += count
        return self._data[self._at - count : self._at]
