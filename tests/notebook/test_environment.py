"""The variables that a kernel has: the control plane's, wherever that is now, and never AWS's."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.api.key import make_key
from sagespec.errors import WorldError
from sagespec.notebook.environment import Environment
from sagespec.private import NAME
from sagespec.web.places import claimed, write_place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sagespec.yaml").write_text(
        "apiVersion: sagespec/v1\nkind: Project\nname: here\nruntime: process\ngateway: {port: 18099}\n"
    )
    return tmp_path


def test_a_kernel_follows_the_control_plane_to_another_port(root: Path) -> None:
    variables = {"AWS_SESSION_TOKEN": "of AWS", "AWS_ENDPOINT_URL_S3": "https://s3.example", "HOME": "/home/ada"}
    environment, key = Environment(root, variables), make_key(root / NAME)
    for url in ("http://127.0.0.1:18081", "http://127.0.0.1:18082"):
        with claimed(root / NAME, "api"):
            write_place(root / NAME, "api", url)
            environment.refresh()
            environment.refresh()
        assert variables["AWS_ENDPOINT_URL"] == url
        assert variables["AWS_ACCESS_KEY_ID"] == key.access
    assert not {"AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"} & set(variables)
    assert variables["HOME"] == "/home/ada"


def test_while_no_control_plane_runs_calls_fail_here(root: Path) -> None:
    variables = {"AWS_PROFILE": "work"}
    environment = Environment(root, variables)
    with pytest.raises(WorldError, match="does not run"):
        environment.refresh()
    assert variables["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert variables["AWS_SECRET_ACCESS_KEY"] == "none"
    environment.refresh()  # said once, until something changes
