"""The packages of an extra, looked for before a command begins: without one of them it says how to get it."""

from __future__ import annotations

from collections.abc import Sequence

from sagespec.errors import WorldError

OF_WEB = ("flask", "cheroot")
OF_NOTEBOOK = ("jupyterlab", "ipykernel")


def need(packages: Sequence[str], extra: str, *, what: str) -> None:
    """WorldError where one of the packages, by the names they are imported under, is not installed. what: needs it."""
    from importlib.util import find_spec

    if missing := next((name for name in packages if find_spec(name) is None), ""):
        fix = f"pip install 'sagespec[{extra}]'"
        raise WorldError(f"{what} needs {missing}, which is not installed here", fix=fix)
