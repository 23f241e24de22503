"""How the requests of an endpoint are split, as a bar of its variants."""

from __future__ import annotations

from collections.abc import Mapping

from sagespec.show.figures import percent_text
from sagespec.show.html.markup import Html, element, joined
from sagespec.show.html.tables import shortened

PENS = 6  # that the style knows
_WIDTH, _HEIGHT = 480, 22
_LETTER = 7  # width of one, about
_LONGEST_NAME = 40
_MOST = 20


def split_bar(shares: Mapping[str, float]) -> Html:
    """A bar with a part for each variant, by name, as wide as its share of 0 to 1, and the same in words below it."""
    shown = [(shortened(name, _LONGEST_NAME), max(0.0, share)) for name, share in list(shares.items())[:_MOST]]
    total = sum(share for _, share in shown)
    if not total:
        return element("p", "no variant gets any requests", cls="dim")
    parts: list[Html] = []
    left = 0.0
    for number, (name, share) in enumerate(shown):
        width = share / total * _WIDTH
        if width:
            parts.append(_part(name, number, left=left, width=width))
        left += width
    words = ", ".join(f"{name} {percent_text(share)}" for name, share in shown)
    more = f" and {len(shares) - _MOST} more" if len(shares) > _MOST else ""
    bar = element(
        "svg",
        element("title", words),
        *parts,
        cls="split",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
    )
    samples = [
        joined([element("span", "■", cls=f"pen{n % PENS}", aria_hidden="true"), f" {name} {percent_text(share)}"])
        for n, (name, share) in enumerate(shown)
    ]
    return joined([bar, element("p", *(part for sample in samples for part in (sample, "   ")), more, cls="legend")])


def _part(name: str, number: int, *, left: float, width: float) -> Html:
    rect = element(
        "rect",
        x=f"{left:.1f}",
        y=0,
        width=f"{max(0.5, width - 1):.1f}",
        height=_HEIGHT,
        fill="currentColor",
        cls=f"pen{number % PENS}",
    )
    if len(name) * _LETTER + 12 > width:
        return rect
    label = element("text", name, x=f"{left + 6:.1f}", y=15, cls="label", font_size=12)
    return joined([rect, label])
