"""What a checkout was called before: a project that is renamed while it runs leaves containers under its old name.

No label leads from one name to the other, so the checkout remembers its names, in `.sagespec/names`.
"""

from __future__ import annotations

from pathlib import Path

from sagespec.parts import Parts
from sagespec.runtimes.choose import choose


def left_under_old_names(parts: Parts) -> tuple[str, ...]:
    """What still runs here under other names, in words."""
    return tuple(
        f"containers of this project run on under its old name {name} ({count}): set `name: {name}` in sagespec.yaml, "
        "run `sagespec destroy`, and rename it again"
        for name in _others(parts)
        if (count := _containers(parts, name))
    )


def remember_name(parts: Parts) -> None:
    """Add the present name, and forget those that nothing runs under."""
    names = [*(name for name in _others(parts) if _containers(parts, name)), parts.settings.name]
    text = "".join(f"{name}\n" for name in names)
    if _file(parts).parent.is_dir() and text != _text(parts):
        _file(parts).write_text(text)


def _others(parts: Parts) -> list[str]:
    return [name for name in _text(parts).split() if name != parts.settings.name]


def _containers(parts: Parts, name: str) -> int:
    """How many there are that this checkout may have made."""
    kept, swarm = parts.kept / "containers", parts.settings.swarm
    runtime, _ = choose(parts.runtime.name, name, parts.root, containers=kept, swarm=swarm)
    here = str(parts.home.resolve())
    with runtime:
        return sum(c.owner is None or c.owner.checkout == here for c in runtime.containers())


def _file(parts: Parts) -> Path:
    return parts.kept / "names"


def _text(parts: Parts) -> str:
    return _file(parts).read_text() if _file(parts).is_file() else ""
