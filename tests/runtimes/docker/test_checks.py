"""What doctor says of a real engine."""

from __future__ import annotations

import pytest

from sagespec.runtimes.docker.runtime import DockerRuntime

pytestmark = pytest.mark.docker


def test_doctor_sees_the_engine(runtime: DockerRuntime) -> None:
    checks = {check.name: check for check in runtime.checks()}
    assert checks["docker engine"].ok
    assert "API" in checks["docker engine"].detail
