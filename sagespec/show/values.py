"""Values as people read them wherever a program gives them one: printed, at a prompt, in a cell of a notebook.

A `Project` puts this in place. What writes a value is looked for when it is shown for the first time.
"""

from __future__ import annotations


class AsPeopleRead:
    """Text as the command line has it, and HTML. Both are cut where they would be long, and say so."""

    def text(self, value: object) -> str | None:
        from sagespec.show.texts import text_of

        return text_of(value)

    def html(self, value: object) -> str | None:
        from sagespec.show.pages import page_of

        return page_of(value)
