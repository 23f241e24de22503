"""What a machine has for the programs of one user."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.runtimes.machine import capacity_here


@pytest.mark.parametrize(
    ("groups", "files", "cpus", "memory"),
    [
        ("0::/user/job\n", {"user/job/cpu.max": "150000 100000\n", "user/memory.max": "1000000\n"}, 1.5, 1_000_000),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        (
            "4:memory:/job\n3:cpu:/job\n",
            {
                "memory/job/memory.limit_in_bytes": "2000000\n",
                "cpu/job/cpu.cfs_quota_us": "50000\n",
                "cpu/job/cpu.cfs_period_us": "100000\n",
            },
            0.5,
            2_000_000,
        ),
        ("3:cpu:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, None, None),
    ],
)
def test_control_groups_limit_what_there_is(
    tmp_path: Path, groups: str, files: dict[str, str], cpus: float | None, memory: int | None
) -> None:
    (tmp_path / "own").write_text(groups)
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    unlimited = capacity_here(tmp_path / "nothing", tmp_path / "nobody")
    found = capacity_here(tmp_path, tmp_path / "own")
    assert found.cpus == (cpus or unlimited.cpus)
    assert found.memory == (memory or unlimited.memory)
