"""SageMaker's SDKs, unmodified, in a notebook of this project: what AWS's samples call, written new.

No connection leaves this machine, and what a notebook leaves in the folder is specs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagespec.api.service import BUCKET
from tests.notebook.cells import Notebooks
from tests.notebook.overlay import make
from tests.notebook.sessions import cells_of, changed, check, opened, project_in

pytestmark = [pytest.mark.jupyter, pytest.mark.slow]

SAMPLES = Path(__file__).parent / "samples"
SDK2 = pytest.param("sdk2", marks=pytest.mark.sdk2)
SDK3 = pytest.param("sdk3", marks=pytest.mark.sdk3)
SESSION = {
    "sdk2": "import sagemaker.session as module; from sagemaker import Session, get_execution_role",
    "sdk3": "import sagemaker.core.helper.session_helper as module; from sagemaker.core.helper.session_helper import "
    "Session, get_execution_role",
}


@pytest.fixture(params=[SDK2, SDK3])
def sdk(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def notebooks(sdk: str, tmp_path: Path, project_name: str) -> Iterator[Notebooks]:
    """In a project whose `sagespec notebook` runs."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    python = make(tmp_path / "python", sdk, "jupyter")
    found = Notebooks(python, project_in(tmp_path / "project", project_name), scratch)
    with opened(found):
        yield found
    found.check_nothing_left()


def test_the_first_cell_of_most_notebooks(notebooks: Notebooks, sdk: str) -> None:
    """The role and the bucket: both SDKs ask STS for them, at AWS's own address but for the patch."""
    said, clocks = check(
        notebooks.run(
            [
                f"{SESSION[sdk]}\nsession = Session(); get_execution_role(), session.default_bucket()",
                "import time; begun = time.time(); module.time.sleep(30); time.time() - begun < 5, time.sleep",
            ]
        )
    )
    assert f"('arn:aws:iam::000000000000:role/sagespec', '{BUCKET}')" in said
    assert "is not what sagespec knows" not in said, "all patches fit this release"
    assert "(True, <function time.sleep>)" in clocks
    assert changed(notebooks.project) == []


def test_without_patches_the_sdk_is_as_it_was(notebooks: Notebooks, sdk: str) -> None:
    """And so it asks for STS where the guard of this test ends it."""
    told = notebooks.run(
        [
            f"{SESSION[sdk]}\nimport time; module.time is time, module.sts_regional_endpoint('us-east-1')",
        ],
        SAGESPEC_NO_PATCH="1",
    )
    assert "(True, 'https://sts.us-east-1.amazonaws.com')" in told[0].check()


@pytest.mark.parametrize("sdk", [SDK2], indirect=True)
def test_the_classes_of_built_in_algorithms(notebooks: Notebooks, sdk: str) -> None:
    cells = check(notebooks.run(cells_of(SAMPLES / "sdk2_built_in.py")))
    assert "groups 3" in cells[2]
    assert "sides [0.0, 1.0]" in cells[4]
    assert "left []" in cells[5]
    assert not [cell for cell in cells if "will collect telemetry" in cell or "Found endpoint for" in cell]
    assert changed(notebooks.project) == ["specs/notebook/groups.yaml", "specs/notebook/sides.yaml"]


@pytest.mark.parametrize("sdk", [SDK2], indirect=True)
def test_a_script_in_a_frameworks_container(notebooks: Notebooks, sdk: str) -> None:
    cells = check(notebooks.run(cells_of(SAMPLES / "sdk2_script_mode.py")))
    assert "accuracy=1.000;" in cells[1]
    assert "answers [0, 1]" in cells[2]
    assert "found True 3" in cells[3]
    left = changed(notebooks.project)
    assert "specs/notebook/tree.yaml" in left
    assert all(file.startswith(("specs/notebook/", "code/")) for file in left), left


@pytest.mark.parametrize("sdk", [SDK3], indirect=True)
def test_a_trainer_and_a_builder(notebooks: Notebooks, sdk: str) -> None:
    cells = check(notebooks.run(cells_of(SAMPLES / "sdk3_trainer.py")))
    assert "answers [0, 1]" in cells[2]
    assert "job Completed InService" in cells[3]
    assert changed(notebooks.project) == ["specs/notebook/plain.yaml"]


SLOW_JOB = """
import pathlib, sagemaker
from sagemaker.sklearn.estimator import SKLearn
session = sagemaker.Session()
pathlib.Path("data").mkdir(exist_ok=True)
pathlib.Path("data/slow.py").write_text('''
import os, pathlib, time
for second in range(25):
    print(f"second {second}", flush=True)
    time.sleep(1)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("trained")
''')
estimator = SKLearn("slow.py", source_dir="data", framework_version="1.2-1", instance_type="ml.m5.large",
                    role=sagemaker.get_execution_role(), sagemaker_session=session)
estimator.fit(job_name="slow-one", wait=False)
"""
RESTART = "import time; time.sleep(6); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize("sdk", [SDK2], indirect=True)
def test_a_job_outlives_the_kernel_that_began_it(notebooks: Notebooks, sdk: str) -> None:
    """The kernel is killed in the middle of a fit; another finds the job by its name, and how it ended."""
    with pytest.raises(AssertionError, match="DeadKernelError"):
        notebooks.run([SLOW_JOB, "estimator.latest_training_job.wait.__self__", RESTART])
    begun = time.monotonic()
    attached = "from sagemaker.sklearn.estimator import SKLearn\nagain = SKLearn.attach('slow-one')\n"
    [found] = check(notebooks.run([attached + "print(again.latest_training_job.describe()['TrainingJobStatus'])"]))
    assert "Completed" in found
    assert time.monotonic() - begun < 60
