"""What requirements.txt asks for is installed once for all instances of an endpoint, and kept for those to come."""

from __future__ import annotations

import tarfile

from sagespec.state.addresses import Address
from tests import built
from tests.images.conftest import wheel_of
from tests.scenarios.specs import endpoint
from tests.scenarios.workspace import Workspace

SCRIPT = """
from sagespec_test_kept import ANSWER
def model_fn(folder):
    return ANSWER
def predict_fn(data, model):
    return model
"""


def test_the_instances_of_an_endpoint_install_its_requirements_once(workspace: Workspace) -> None:
    if workspace.runtime == "docker":
        built.ready("sklearn")
    code = workspace.root / "code"
    code.mkdir()
    wheel = wheel_of(code, "sagespec_test_kept")
    (code / "inference.py").write_text(SCRIPT)
    (code / "requirements.txt").write_text(f"./{wheel.name}\n")
    with tarfile.open(workspace.root / "model.tar.gz", "w:gz") as archive:
        archive.add(code, "code")
    with workspace.project() as project:
        for environment, installed in (("{}", 1), ("{A: b}", 0)):  # the second is two new containers
            workspace.write(
                endpoint(f"only ../model.tar.gz 1 framework: sklearn, instances: 2, environment: {environment}")
            )
            assert project.apply().ok
            said = [line for _, line in project.logs(Address("endpoint", "answers"))]
            assert len([line for line in said if line.startswith("installing")]) == installed, said
        assert workspace.invoke("answers", "1")[:2] == (200, "42")
