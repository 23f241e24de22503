"""Reads HTML of ours as strictly as can be: it is to be right for every reader, not for those who repair it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import html5lib

from sagespec.show.html.page import MOST_BYTES

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</style><script>alert(1)</script>",
    "\"' onload='alert(1)",
    "&lt;b&gt; &amp;",
    "a\x1b[31mred\x1b[0m\x07\x00",
    "gpj.\u202eevil\u2066 \u200f",
    "\ud800 \uffff",
    "]]> <!-- --> <![CDATA[",
    "${1+1} {{ 7*7 }} %s",
]
# What an object may consist of; everything else would be somebody's text that has got out.
ELEMENTS = """div style p h4 table caption thead tbody tr th td br b code pre span ul li details summary
    svg title line path rect text"""
ATTRIBUTES = """class scope role viewBox width height x y x1 x2 y1 y2 d fill stroke stroke-width stroke-dasharray
    text-anchor font-size font-weight opacity open aria-hidden"""
_NEVER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def tree_of(html: str) -> ElementTree.Element:
    """The elements of a piece of HTML. It fails for what a strict parser would not take, for whatever could run, load
    or be clicked, for letters that no one can see, and for an object that is too large."""
    html5lib.HTMLParser(strict=True).parseFragment(html)
    tree = ElementTree.fromstring(f"<div>{html}</div>")
    for element in tree.iter():
        assert element.tag in ELEMENTS.split(), element.tag
        assert set(element.attrib) <= set(ATTRIBUTES.split()), element.attrib
    assert not _NEVER.search(html)
    assert len(html.encode()) <= MOST_BYTES
    return tree


def text_of(html: str) -> str:
    """What a person reads, without the style."""
    tree = tree_of(html)
    for parent in list(tree.iter()):
        for style in parent.findall("style"):
            parent.remove(style)
    return " ".join(" ".join(tree.itertext()).split())


def rows_of(html: str) -> list[list[str]]:
    """The texts of all rows of all tables, heads included."""
    return [["".join(cell.itertext()).strip() for cell in row] for row in tree_of(html).iter("tr")]
