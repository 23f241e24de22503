"""HTML as a type of its own: whatever is not `Html` is text, and is escaped when it becomes a part of some.

What is made here is well-formed XML, too, so nothing depends on how a browser repairs it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from sagespec.show.screen import clean

Attribute = str | int | float | None

# Letters that are no text: controls, halves of a pair, non-characters, and those that turn the direction of what
# follows, so that a reader would see other words than are there.
_NO_TEXT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_EMPTY = frozenset({"br", "hr"})  # elements that have no end tag


class Html(str):
    """HTML in which every text is escaped. A sum with a plain text is a plain text again, and so will be escaped."""

    __slots__ = ()

    def __html__(self) -> str:
        """What templates put in as it is."""
        return str(self)


def escaped(value: object) -> Html:
    """The value's text, safe between tags and inside of attributes; HTML stays as it is.

    >>> escaped('<img onerror="x">')
    '&lt;img onerror=&quot;x&quot;&gt;'
    """
    if isinstance(value, Html):
        return value
    return Html(html.escape(_NO_TEXT.sub("\ufffd", clean(str(value)))))


def joined(parts: Iterable[object]) -> Html:
    return Html("".join(escaped(part) for part in parts))


def element(name: str, *children: object, **attributes: Attribute) -> Html:
    """An element; of the attributes, `cls` is its class, `_` stands for `-`, and None leaves one out.

    >>> element("td", "a < b", cls="n")
    '<td class="n">a &lt; b</td>'
    """
    given = "".join(
        f' {"class" if key == "cls" else key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}/>") if name in _EMPTY else Html(f"<{name}{given}>{joined(children)}</{name}>")
