"""What lies in a model's folder, for the messages of those who look for their file in it."""

from __future__ import annotations

from pathlib import Path

MOST_NAMES = 12


def contents(folder: Path) -> str:
    """The files below `folder` by name, the first few of them; with a hint if all lie in one folder."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if not names:
        return "the archive is empty"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    tops = {name.partition("/")[0] for name in names if "/" in name}
    hint = f"; pack what is in {tops.pop()}/, not the folder" if len(tops) == 1 and all("/" in n for n in names) else ""
    return f"the archive holds {', '.join(names[:MOST_NAMES])}{more}{hint}"


def first_file(folder: Path) -> Path | None:
    """The first file at the root that does not begin with a dot, as hosted servers take a model of any name."""
    return next((path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."), None)
