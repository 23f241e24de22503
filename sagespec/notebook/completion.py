"""What Tab offers behind `%sagespec`: its words, and the addresses there are."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sagespec.errors import SagespecError
from sagespec.notebook.words import WORDS


def complete(_shell: object, event: Any) -> list[str]:
    """event: of IPython's hook; `line` is what was typed, `symbol` the word at the cursor."""
    typed: str = event.symbol
    before = event.line[: len(event.line) - len(typed)] if event.line.endswith(typed) else event.line
    words = before.split()[1:]
    if not words:
        return [name for name in WORDS if name.startswith(typed)]
    word = WORDS.get(words[0])
    if word is None:
        return []
    names = _addresses() if word.takes and not typed.startswith("-") else []
    return [name for name in (*names, *word.flags) if name.startswith(typed)]


def _addresses() -> list[str]:
    """In their short form, as people type them."""
    from sagespec.notebook.environment import project_root
    from sagespec.project import Project
    from sagespec.verbs.addresses import known_addresses

    with suppress(SagespecError, OSError), Project.open(project_root()) as project:
        known = {address.whole for address in known_addresses(project.parts)}
        return sorted(str(address).partition("/")[2] or str(address) for address in known)
    return []
