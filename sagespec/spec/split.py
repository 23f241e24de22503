"""How an endpoint's requests are divided between its variants: by chance, or by who asks.

`endpoint` has it as a field; `gateway.keys` finds the key in a request.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from sagespec.spec.document import Update
from sagespec.spec.values import SpecModel, quoted, wrong

KEY_PATTERN = r"^(header|attribute|cookie) [A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_KEY = re.compile(r"(header|attribute|cookie) ([A-Za-z0-9][A-Za-z0-9_.-]{0,63})")
_KEY_HELP = "write header, attribute or cookie and a name, e.g. header x-user or attribute user"
_NAME_HELP = "use 1 to 64 letters, digits, hyphens, dots and underscores"


class Key(NamedTuple):
    """kind: header, attribute or cookie. An attribute is one of `CustomAttributes`, written NAME=VALUE."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key that a spec names; the case of a header's name means nothing.

        >>> Key.parse("header X-User"), Key.parse("attribute user")
        (Key(kind='header', name='x-user'), Key(kind='attribute', name='user'))
        """
        kind, _, name = text.partition(" ")
        return cls(kind, name.lower() if kind == "header" else name)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def _check_key(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = " ".join(value.split(" "))
    if _KEY.fullmatch(text):
        return str(Key.parse(text))
    kind, _, name = text.partition(" ")
    if kind not in ("header", "attribute", "cookie"):
        raise wrong(f"{quoted(value)} does not say where the key is", _KEY_HELP)
    raise wrong(f"{quoted(name)} is not a name of a {kind}", _NAME_HELP)


WhenDown = Literal["fail", "spread"]  # what becomes of the share of a variant that has no healthy instance


class Split(SpecModel):
    """By what the requests of an endpoint are divided."""

    key: Annotated[str | None, BeforeValidator(_check_key), Update.ROUTE] = Field(
        default=None,
        examples=["header x-user", "attribute user", "cookie uid"],
        json_schema_extra={"pattern": KEY_PATTERN},
    )
    """Where a request says who asks: header NAME, attribute NAME (of CustomAttributes) or cookie NAME. The same caller
    gets the same variant. Requests without it are split by chance."""
