"""`%sagespec` and `%%sagespec`: sagespec's own words in a cell. What goes wrong is said without a traceback."""

from __future__ import annotations

import shlex
from typing import Any

from sagespec.errors import SagespecError
from sagespec.notebook.environment import project_root
from sagespec.notebook.words import WORDS, parse


def show_problems(shell: Any, kind: type[SagespecError], error: SagespecError, *_: object, **__: object) -> None:
    """Instead of a traceback. By the class: SDK 2 puts another way to show errors into the shell, which knows no other
    text than a traceback."""
    type(shell)._showtraceback(shell, kind, error, error._render_traceback_())


def line_magic(line: str) -> object:
    """What a cell's `%sagespec WORD …` gives.

    %sagespec status | plan | apply | logs NAME | history NAME | open
    """
    from sagespec.project import Project

    words = _split(line)
    if not words:
        width = max(len(f"{name} {word.takes}") for name, word in WORDS.items())
        print("\n".join(f"%sagespec {f'{name} {word.takes}':{width}}  {word.help}" for name, word in WORDS.items()))
        return None
    word, given = parse(words)
    with Project.open(project_root()) as project:
        return word.does(project, given)


def cell_magic(line: str, cell: str) -> object:
    """A cell of YAML: checked and planned; with --write FILE also saved as specs/FILE and applied.

    %%sagespec [--write FILE]
    """
    from sagespec.notebook.cell import plan_cell, write_cell

    match _split(line):
        case []:
            return plan_cell(project_root(), cell)
        case ["--write", name]:
            return write_cell(project_root(), cell, name)
    raise SagespecError(f"%%sagespec does not take {line.strip()}", fix="%%sagespec [--write FILE]")


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise SagespecError(f"cannot read {line}: {str(error).lower()}", fix="close the quotation mark") from error


def register(shell: Any) -> None:
    from sagespec.notebook.completion import complete

    shell.set_custom_exc((SagespecError,), show_problems)
    shell.register_magic_function(line_magic, "line", "sagespec")
    shell.register_magic_function(cell_magic, "cell", "sagespec")
    shell.set_hook("complete_command", complete, str_key="%sagespec")
    shell.set_hook("complete_command", complete, str_key="sagespec")  # without % where automagic is on
