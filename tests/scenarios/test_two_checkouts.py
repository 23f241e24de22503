"""Two checkouts of one project on one Docker engine: they leave each other's containers alone, and say so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace


@pytest.mark.docker
def test_a_second_checkout_with_a_store_of_its_own_is_refused(
    tmp_path: Path, project_name: str, evidence: Path
) -> None:
    main, feature = (Workspace(tmp_path / folder, project_name, "docker", port=0) for folder in ("main", "feature"))
    for place in (main, feature):
        place.write(job(1) + endpoint("only model@1 1"))
        settings = place.root / "sagespec.yaml"
        settings.write_text(settings.read_text().replace("gateway: {port: 0}\n", ""))
    main.run("apply")
    before = main.containers()
    for words in (["plan"], ["destroy", "--yes"]):
        said = feature.run(*words, code=1).stderr
        assert f"are those of {main.root} on" in said.replace("\n", " "), said
    assert main.containers() == before
    shutil.copytree(main.root / ".sagespec" / "store", tmp_path / "bucket")  # by hand, history and all
    for place in (main, feature):
        place.edit("store: .*", f"store: {tmp_path}/bucket", file="sagespec.yaml")
        assert "nothing to do" in place.run("plan").stdout
    main.run("destroy", "--yes")
