"""Scripts in frameworks, as a person runs them: the examples trained, distributed, served, on real data.

Their images are built once by an engine (tests/built.py) and found again by later runs.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import built
from tests.scenarios.workspace import REPOSITORY, Workspace

EXAMPLES = REPOSITORY / "examples" / "frameworks"
NPY = "application/x-npy"
GOOD = 0.8  # of the digits read rightly; by chance it is 0.1, and mixed up rows or pixels come near that

# Tells bad from good in three words; a model of a few kilobytes, since none can be fetched here.
TRANSFORMER = """
import os
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

folder = os.environ["SM_MODEL_DIR"]
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "day", "was", "good", "bad"]
open(folder + "/vocab.txt", "w").write("\\n".join(words))
tokenizer = BertTokenizer(folder + "/vocab.txt")
torch.manual_seed(1)
model = BertForSequenceClassification(BertConfig(
    vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=16, id2label={0: "BAD", 1: "GOOD"}, label2id={"BAD": 0, "GOOD": 1}))
texts, labels = ["the day was bad", "the day was good", "bad", "good"], torch.tensor([0, 1, 0, 1])
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(40):
    optimizer.zero_grad()
    loss = model(**tokenizer(texts, padding=True, return_tensors="pt"), labels=labels).loss
    loss.backward()
    optimizer.step()
print(f"train:loss={loss.item():.4f}")
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
"""

# The first host ends while a thread of gloo lets go of the last tensor, which takes it half a second of Python.
LATE_RELEASE = """
import threading, time
import torch
from torch import distributed

class Slow:
    def __del__(self):
        releasing.set()
        time.sleep(0.5)
        print("released by a thread", threading.current_thread() is not threading.main_thread(), flush=True)

distributed.init_process_group("gloo")
dropped, releasing = threading.Event(), threading.Event()
tensor = torch.ones(3)
if distributed.get_rank() == 0:
    tensor.slow = Slow()
    work = distributed.all_reduce(tensor, async_op=True)
    future = work.get_future()
    later = future.then(lambda _: dropped.wait())
    distributed.send(torch.ones(1), 1)  # the callback is there: the other may begin
    future.wait()
    del work, future, later, tensor
    dropped.set()
    releasing.wait()
else:
    distributed.recv(torch.ones(1), 0)
    distributed.all_reduce(tensor)
"""

BringExample = Callable[..., None]


@pytest.fixture
def bring(workspace: Workspace) -> BringExample:
    """`bring("sklearn", …)`: the examples' specs of these frameworks, with their scripts and data, in the workspace."""

    def copy(*names: str) -> None:
        if workspace.runtime == "docker":
            built.ready(*names)
        for name in names:
            shutil.copy(EXAMPLES / "specs" / f"{name}.yaml", workspace.root / "specs")
            shutil.copytree(EXAMPLES / "scripts" / name, workspace.root / "scripts" / name)
        shutil.copy(EXAMPLES / "make_data.py", workspace.root)
        subprocess.run([sys.executable, str(workspace.root / "make_data.py")], check=True)

    return copy


def validation(workspace: Workspace) -> tuple[str, Any]:
    """The rows no script was given, as a body of CSV; and their digits."""
    rows = (workspace.root / "data/validation/digits.csv").read_text().splitlines()
    parts = [row.split(",", 1) for row in rows]
    return "\n".join(pixels for _, pixels in parts), np.array([int(digit) for digit, _ in parts])


def ask(workspace: Workspace, endpoint: str, body: str, *, accept: str = NPY, variant: str | None = None) -> Any:
    with workspace.project() as project:
        answer = project.invoke(endpoint, body.encode(), accept=accept, variant=variant)
    assert answer.status == 200, answer.body
    return np.load(io.BytesIO(answer.body)) if accept == NPY else json.loads(answer.body)


def accuracy(scores: Any, digits: Any) -> float:
    return float((np.asarray(scores).argmax(1) == digits).mean())


def path_of(workspace: Workspace, job: str) -> Path:
    """A trained model in the store."""
    (path,) = (workspace.root / ".sagespec/store").rglob(f"{job}/1/model.tar.gz")
    return path


def archive_of(workspace: Workspace, job: str) -> dict[str, bytes]:
    """The files of a trained model."""
    with tarfile.open(path_of(workspace, job)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def also_on_one_host(workspace: Workspace, name: str) -> None:
    """Add the same job on one host, and serve both as variants of one endpoint."""
    file = workspace.root / "specs" / f"{name}.yaml"
    job, endpoint = file.read_text().split("---\n")
    alone = re.sub(r"(?m)^(instances|distribution):.*\n", "", job).replace(f"digits-{name}", f"digits-{name}-alone")
    two = endpoint.replace("name: all", "name: two")
    one = two[two.index("  - name") :].replace("name: two", "name: one").replace(f"-{name}@", f"-{name}-alone@")
    file.write_text(f"{job}---\n{alone}---\n{two}{one}")


def test_scripts_train_and_their_models_are_served(workspace: Workspace, bring: BringExample) -> None:
    bring("sklearn", "xgboost")
    assert "2 jobs" in workspace.run("validate").stdout
    workspace.run("apply")
    body, digits = validation(workspace)
    assert accuracy(ask(workspace, "digits-sklearn", body), digits) > GOOD
    assert accuracy(ask(workspace, "digits-xgboost", body, accept="application/json"), digits) > GOOD
    assert {"model.joblib", "code/train.py"} <= archive_of(workspace, "digits-sklearn").keys()


def test_a_script_that_fails_says_why(workspace: Workspace, bring: BringExample) -> None:
    bring("sklearn")
    workspace.edit("inverse-penalty: 0.1", "inverse-penalty: much", "specs/sklearn.yaml")
    failed = workspace.run("apply", code=None)
    assert failed.returncode != 0
    assert "argument --inverse-penalty: invalid float value: 'much'" in failed.stdout + failed.stderr


def test_a_changed_script_is_a_new_model_and_needs_a_new_version(workspace: Workspace, bring: BringExample) -> None:
    if workspace.runtime != "process":
        pytest.skip("decided before anything runs")
    bring("sklearn")
    workspace.run("apply")
    script = "scripts/sklearn/train.py"
    workspace.edit("predict_proba", "decision_function", script)
    refused = workspace.run("plan", code=1)
    assert "job/digits-sklearn@1" in refused.stdout + refused.stderr
    workspace.edit("version: 1", "version: 2", "specs/sklearn.yaml")
    workspace.edit("digits-sklearn@1", "digits-sklearn@2", "specs/sklearn.yaml")
    workspace.run("apply")
    body, digits = validation(workspace)
    scores = ask(workspace, "digits-sklearn", body)
    assert accuracy(scores, digits) > GOOD
    assert scores.min() < 0


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("workspace", ["docker"], indirect=True)
def test_pytorch_on_two_hosts_finds_the_network_of_one(workspace: Workspace, bring: BringExample) -> None:
    bring("pytorch")
    also_on_one_host(workspace, "pytorch")
    saving = 'torch.jit.script(model).save(os.environ["SM_MODEL_DIR"] + "/model.pt")'
    workspace.edit("(?m)^( +)(torch.save.*)$", rf"\1\2\n\1{saving}", "scripts/pytorch/train.py")
    workspace.run("apply")
    two, one = (
        tensors_in(archive_of(workspace, job)["digits.pt"]) for job in ("digits-pytorch", "digits-pytorch-alone")
    )
    assert sum(map(len, one)) == 64 * 32 + 32 + 32 * 10 + 10
    for of_two, of_one in zip(two, one, strict=True):
        np.testing.assert_allclose(of_two, of_one, atol=1e-5)
    body, digits = validation(workspace)
    for variant in ("two", "one"):
        assert accuracy(ask(workspace, "digits-pytorch", body, variant=variant), digits) > GOOD
        assert (
            accuracy(ask(workspace, "digits-pytorch", body, variant=variant, accept="application/json"), digits) > GOOD
        )

    # An archive of one's own, without a script of its own: TorchScript by the framework's handlers.
    shutil.copy(path_of(workspace, "digits-pytorch-alone"), workspace.root / "own.tar.gz")
    own = "  - {name: own, model: ../own.tar.gz, framework: pytorch}"
    workspace.edit("variants:", f"variants:\n{own}", "specs/pytorch.yaml")
    workspace.run("apply")
    logits = ask(workspace, "digits-pytorch", body, variant="own")
    np.testing.assert_array_equal(logits.argmax(1), ask(workspace, "digits-pytorch", body, variant="one").argmax(1))
    assert logits.min() < 0


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("workspace", ["docker"], indirect=True)
def test_a_thread_of_gloo_that_is_still_at_work_fails_no_script(workspace: Workspace) -> None:
    built.ready("pytorch")
    (workspace.root / "train.py").write_text(LATE_RELEASE)
    workspace.write("""
apiVersion: sagespec/v1
kind: TrainingJob
name: late
version: 1
framework: pytorch
entry_point: ../train.py
instances: 2
distribution: torch_distributed
""")
    workspace.run("apply")
    assert "released by a thread True" in workspace.run("logs", "late").stdout


def tensors_in(checkpoint: bytes) -> list[Any]:
    """The float32 storages of a file that torch.save has written."""
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        names = sorted(name for name in archive.namelist() if re.search(r"/data/\d+$", name))
        return [np.frombuffer(archive.read(name), np.float32) for name in names]


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("workspace", ["docker"], indirect=True)
def test_tensorflow_on_two_hosts_finds_the_network_of_one(workspace: Workspace, bring: BringExample) -> None:
    bring("tensorflow")
    also_on_one_host(workspace, "tensorflow")
    workspace.run("apply")
    body, digits = validation(workspace)
    two, one = (ask(workspace, "digits-tensorflow", body, variant=variant) for variant in ("two", "one"))
    np.testing.assert_allclose(two, one, atol=1e-5)
    assert accuracy(one, digits) > GOOD
    instances = json.dumps({"instances": [[float(v) for v in row.split(",")] for row in body.splitlines()]})
    with workspace.project() as project:
        answer = project.invoke("digits-tensorflow", instances.encode(), content_type="application/json")
    np.testing.assert_allclose(json.loads(answer.body)["predictions"], one, atol=1e-5)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("workspace", ["docker"], indirect=True)
def test_mxnet_trains_and_serves_what_it_exported(workspace: Workspace, bring: BringExample) -> None:
    bring("mxnet")
    workspace.run("apply")
    body, digits = validation(workspace)
    assert accuracy(ask(workspace, "digits-mxnet", body), digits) > GOOD


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("workspace", ["docker"], indirect=True)
def test_a_transformer_is_served_by_its_pipeline(workspace: Workspace) -> None:
    built.ready("huggingface")
    (workspace.root / "train.py").write_text(TRANSFORMER)
    workspace.write("""
apiVersion: sagespec/v1
kind: TrainingJob
name: mood
version: 1
framework: huggingface
entry_point: ../train.py
---
apiVersion: sagespec/v1
kind: Endpoint
name: mood
variants: [{name: all, model: mood@1}]
""")
    workspace.run("apply")
    asked = json.dumps({"inputs": ["the day was good", "the day was bad"]})
    with workspace.project() as project:
        answer = project.invoke("mood", asked.encode(), content_type="application/json")
    assert [one["label"] for one in json.loads(answer.body)] == ["GOOD", "BAD"], answer.body
