"""What a notebook shows of a value: pieces of HTML with everything in them escaped, without a script or a widget.

`markup` escapes, `tables`, `curves`, `shares` and `problems` make the pieces, `page` puts some of them into one object
that looks after itself: its style is inside, it follows the light or dark theme round it, and it stays below a size.
All pieces use classes and SVG's attributes only, so they also go into a page that allows no style inside of elements.
"""

from sagespec.show.html.curves import curves
from sagespec.show.html.markup import Html, element, escaped, joined
from sagespec.show.html.page import fitted, folded, page
from sagespec.show.html.problems import problems
from sagespec.show.html.shares import split_bar
from sagespec.show.html.style import STYLE
from sagespec.show.html.tables import left_out, table

__all__ = [
    "STYLE",
    "Html",
    "curves",
    "element",
    "escaped",
    "fitted",
    "folded",
    "joined",
    "left_out",
    "page",
    "problems",
    "split_bar",
    "table",
]
