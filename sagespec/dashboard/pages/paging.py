"""A long table, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ON_A_PAGE = 50


def page_number(query: Mapping[str, str]) -> int:
    """The page that an address asks for, from 1; the first for what is no number.

    >>> page_number({"page": "3"}), page_number({"page": "-1"}), page_number({})
    (3, 1, 1)
    """
    given = query.get("page", "1")
    return max(1, int(given)) if given.isdecimal() and len(given) < 7 else 1


def paged(found: Sequence[Any], number: int) -> dict[str, Any]:
    """The rows of a page, and how many rows and pages there are, for its template."""
    first = (number - 1) * ON_A_PAGE
    return {
        "rows": found[first : first + ON_A_PAGE],
        "count": len(found),
        "last_page": max(1, -(-len(found) // ON_A_PAGE)),
    }
