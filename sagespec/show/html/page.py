"""One object of a notebook: pieces with their style, and below the size from which notebooks get slow."""

from __future__ import annotations

from collections.abc import Callable

from sagespec.show.html.markup import Html, element, joined
from sagespec.show.html.style import STYLE

MOST_BYTES = 50_000


def page(*parts: object) -> Html:
    """The pieces, one below the other, with all they need to be shown anywhere."""
    return element("div", element("style", Html(STYLE)), *parts, cls="sagespec")


def folded(summary: str, *parts: object, is_open: bool = False) -> Html:
    """What is shown when its summary is clicked."""
    return element("details", element("summary", summary), *parts, open="open" if is_open else None)


def fitted(draw: Callable[[int], Html], most: int) -> Html:
    """What `draw` makes of as many things as fit into an object of a notebook, `most` at most; none are tried last."""
    while most:
        drawn = draw(most)
        if len(drawn.encode()) <= MOST_BYTES:
            return drawn
        most //= 2
    drawn = draw(0)
    if len(drawn.encode()) <= MOST_BYTES:
        return drawn
    return page(joined([element("p", "too large to be shown here: print it", cls="dim")]))
