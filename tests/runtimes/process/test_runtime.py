"""GPUs that local processes get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.runtimes.process.runtime import ProcessRuntime
from tests.runtimes.process.probe import (
    SLEEP,
    ended,
    run,
)


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose nvidia-smi tells of two GPUs."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "nvidia-smi").write_text("#!/bin/sh\necho GPU-a1\necho GPU-b2\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_every_container_sees_gpus_of_its_own_alone(runtime: ProcessRuntime) -> None:
    script = f"import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); {SLEEP}"
    names = [run(runtime, script, name=name, gpus=1) for name in ("a", "b")]
    assert [c.gpus for c in runtime.containers()] == [("GPU-a1",), ("GPU-b2",)]
    assert [next(runtime.logs(name, follow=True)) for name in names] == ["GPU-a1", "GPU-b2"]
    with pytest.raises(WorldError, match=r"of 2 there are 0 free\n.*has GPU-a1, .* has GPU-b2"):
        run(runtime, script, name="c", gpus=1)
    runtime.stop("a", grace_seconds=10)
    run(runtime, script, name="c", gpus=1)
    assert [c.gpus for c in runtime.containers()] == [("GPU-a1",), ("GPU-b2",), ("GPU-a1",)], "an ended job has none"


def test_a_container_that_asks_for_no_gpu_is_told_nothing(runtime: ProcessRuntime) -> None:
    name = run(runtime, "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'not set'))")
    ended(runtime, name)
    assert list(runtime.logs(name)) == [os.environ.get("CUDA_VISIBLE_DEVICES", "not set")]
