"""Numbers as people and spreadsheets write them: 43,0 and 36,988.81, $1,200 and 12 %. What they are is known by their
whole column, for 1,234 alone may be either."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")
ONE_GROUP = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")  # with a decimal comma, or with one for thousands
WITH_COMMAS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
WITH_POINTS = re.compile(r"[-+]?\d{1,3}(\.\d{3})+(,\d+)?")
WITH_BLANKS = re.compile(r"[-+]?\d{1,3}([ \u00a0\u2009\u202f'\u2019]\d{3})+([.,]\d+)?")
MONEY = re.compile(r"[$€£¥₹₩]|\b(USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|BRL|Rs|kr)\b")
ACCOUNTED = re.compile(r"\((.+)\)")

COMMA, THOUSANDS, EITHER = "a decimal comma", "a separator of thousands", "a comma in a number"
CURRENCY, PERCENT, NEGATIVE = "a currency sign", "a percent sign", "parentheses for a negative number"


@dataclass(frozen=True)
class Spelling:
    """What keeps a text from being a number, and the number as it should be written."""

    noun: str
    plain: str

    def __str__(self) -> str:
        if self.noun != EITHER:
            return f"{self.noun}; write {self.plain}"
        return f"{self.noun}; write {self.plain}, or {self.plain.replace('.', '')} if it separates thousands"


def spelling_of_column(texts: Sequence[str]) -> Spelling | None:
    """How the first such number of a column is written; None where most are other text."""
    found = {text: spelling for text in texts if (spelling := spelling_of(text))}
    if not found or 2 * (len(found) + sum(is_number(text) for text in texts)) <= len(texts):
        return None
    text, first = next(iter(found.items()))
    certain = next((spelling.noun for spelling in found.values() if spelling.noun in (COMMA, THOUSANDS)), "")
    if first.noun != EITHER or not certain:
        return first
    return Spelling(COMMA, first.plain) if certain == COMMA else Spelling(THOUSANDS, text.replace(",", ""))


def spelling_of(text: str) -> Spelling | None:
    """None for a plain number, and for what is none.

    >>> str(spelling_of("43,0")), str(spelling_of("36,988.81")), str(spelling_of("$1,200.50"))
    ('a decimal comma; write 43.0', 'a separator of thousands; write 36988.81', 'a currency sign; write 1200.50')
    >>> spelling_of("1.5"), spelling_of("a, b")
    (None, None)
    """
    bare, noun = _without_signs(text.strip())
    if is_number(bare) and noun:
        return Spelling(noun, bare)
    for pattern, kind, plain in (
        (ONE_GROUP, EITHER, bare.replace(",", ".")),
        (WITH_COMMAS, THOUSANDS, bare.replace(",", "")),
        (DECIMAL_COMMA, COMMA, bare.replace(",", ".")),
        (WITH_POINTS, THOUSANDS, bare.replace(".", "").replace(",", ".")),
        (WITH_BLANKS, THOUSANDS, re.sub(r"[^\d.+-]", "", bare.replace(",", "."))),
    ):
        if pattern.fullmatch(bare) and not is_number(bare):
            is_money = noun and kind == EITHER
            return Spelling(noun or kind, bare.replace(",", "") if is_money else plain)
    return None


def _without_signs(text: str) -> tuple[str, str]:
    """The text without signs of money and the like, and what was taken off."""
    noun = ""
    if inner := ACCOUNTED.fullmatch(text):
        text, noun = f"-{inner[1].strip()}", NEGATIVE
    if MONEY.search(text):
        text, noun = MONEY.sub("", text, count=1), CURRENCY
    elif text.endswith("%"):
        text, noun = text[:-1], PERCENT
    sign, rest = (text[:1], text[1:]) if text[:1] in ("-", "+") else ("", text)
    return sign + rest.strip(), noun


def with_points(texts: Sequence[str], *, is_certain: bool = False) -> list[str] | None:
    """The column with points for its decimal commas; None unless that is what they must be.

    is_certain: commas are known to be that. Any other text is left to whoever reads the result.
    """
    if "," not in "".join(texts):
        return None
    commas = [text.strip() for text in texts if "," in text]
    if not commas or not all(map(DECIMAL_COMMA.fullmatch, commas)) or first_with_point(texts):
        return None
    if not is_certain and all(map(ONE_GROUP.fullmatch, commas)):
        return None
    return [text.replace(",", ".") for text in texts]


def first_with_point(texts: Iterable[str]) -> str:
    """The first number with a decimal point; '' if there is none."""
    return next((text for text in texts if "." in text and is_number(text)), "")


def is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not (b"_" in text if isinstance(text, bytes) else "_" in text)  # Python reads 1_000, nobody else does
