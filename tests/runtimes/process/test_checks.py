"""What doctor says of this machine."""

from __future__ import annotations

from sagespec.runtimes.process.runtime import ProcessRuntime


def test_doctor_is_told_that_nothing_is_isolated(runtime: ProcessRuntime) -> None:
    checks = {check.name: check for check in runtime.checks()}
    assert checks["isolation"].detail.startswith("none")
    assert checks["built-ins"].ok
    assert all(check.ok or check.fix for check in checks.values())
