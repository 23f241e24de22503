"""A control plane with its loop, and a bucket with data that xgboost learns from in a second."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sagespec.reconcile.options import Options
from sagespec.web.loop import Loop
from tests.api.sagemaker.asking import Asking
from tests.planes import Plane


@pytest.fixture
def asking(plane: Plane) -> Asking:
    """Nothing is applied: what is asked for is written, and no more."""
    return _asking(plane)


@pytest.fixture
def working(plane: Plane) -> Iterator[Asking]:
    """What is asked for is applied."""
    asking = _asking(plane)
    loop = Loop(plane.listening.service.project, Options(), plane.listening.report, plane.listening.wakes)
    loop.start()
    try:
        yield asking
    finally:
        loop.stop()
        plane.listening.service.project.destroy()


def _asking(plane: Plane) -> Asking:
    bucket = plane.root / ".sagespec" / "s3" / "acme"
    bucket.mkdir(parents=True)
    chance = random.Random(1)
    points = [(chance.random(), chance.random()) for _ in range(200)]
    (bucket / "train.csv").write_text("".join(f"{int(x + y > 1)},{x:.3f},{y:.3f}\n" for x, y in points))
    return Asking(plane, plane.client("sagemaker"))
