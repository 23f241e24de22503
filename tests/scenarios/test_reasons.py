"""How scripts end, as a person sees it: the same reasons, metrics and notes under both runtimes, each said once."""

from __future__ import annotations

import re

from sagespec.state.addresses import job_address
from tests import built
from tests.scenarios.workspace import Workspace

SCRIPT = """
import argparse, logging, os, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--how")
how = parser.parse_args().how
model = pathlib.Path(os.environ["SM_MODEL_DIR"], "model.bin")
print("begins")
if how == "memory":
    block = bytearray(600 << 20)
    block[::4096] = b"x" * len(block[::4096])
    print("has eaten", flush=True)
    import time; time.sleep(30)
if how == "signal":
    os.kill(os.getpid(), 11)
if how == "channel":
    os.environ["SM_CHANNEL_TRAIN"]
if how == "lines":
    logging.basicConfig(format="%(levelname)s %(message)s")
    for step in range(300):
        print(f"step={step} loss={1000 - step}")
        logging.warning("overflow in exp")
    model.write_text("1")
if how == "bar":
    for step in range(1, 101):
        sys.stderr.write(f"\\r{step:3}%|####| loss={1 / step:.4f}")
    sys.stderr.write("\\n")
    model.write_text("1")
if how == "elsewhere":
    model.with_name("best").mkdir()  # an empty folder is no model
    pathlib.Path("model.joblib").write_text("1")
"""
JOB = """\
---
apiVersion: sagespec/v1
kind: TrainingJob
name: {how}
version: 1
framework: sklearn
entry_point: train.py
source_dir: ../src
hyperparameters: {{how: {how}}}
channels: {{training: ../data/train.csv}}
resources: {{memory: 300MiB}}
metrics: [{{name: loss, regex: '^(?:step=[0-9]+|.*) loss=([0-9.]+)$'}}]
"""
ENDPOINT = """\
---
apiVersion: sagespec/v1
kind: Endpoint
name: lost
variants: [{name: only, model: elsewhere@1}]
"""
DETAILS = {
    "memory": r"AlgorithmError: out of memory: .*the limit is 300 MiB; ",
    "signal": r"AlgorithmError: train\.py was ended by SIGSEGV \(exit code 139\); the last it printed: begins\n",
    "channel": r"AlgorithmError: KeyError: 'SM_CHANNEL_TRAIN'; "
    r"the channels of this job: training \(SM_CHANNEL_TRAINING\)\n",
    "lines": "",
    "bar": "",
    "elsewhere": "left no model: nothing in SM_MODEL_DIR .*; files lie beside the script: model.joblib$",
}


def test_how_scripts_end(workspace: Workspace) -> None:
    if workspace.runtime == "docker":
        built.ready("sklearn")
    (workspace.root / "src").mkdir()
    (workspace.root / "src" / "train.py").write_text(SCRIPT)
    workspace.write("".join(JOB.format(how=how) for how in DETAILS) + ENDPOINT)
    ended = workspace.run("apply", "--output", "plain", code=1).stdout
    status = workspace.json("status")
    jobs = {row["address"].removeprefix("job/").removesuffix("@1"): row for row in status["jobs"]}
    for how, detail in DETAILS.items():
        assert re.match(detail, jobs[how]["detail"]), jobs[how]
    states = {how: row["state"] for how, row in jobs.items()}
    assert states == dict.fromkeys(DETAILS, "failed") | dict.fromkeys(("lines", "bar", "elsewhere"), "trained")
    assert jobs["bar"]["metrics"] == {"loss": 0.01}
    address = job_address("lines", 1)
    assert len(workspace.records().manifests([address])[address].series["loss"]) == 300
    log = workspace.run("logs", "job/lines@1").stdout.splitlines()
    assert sum(line.endswith("WARNING overflow in exp") for line in log) == 300
    (lost,) = status["endpoints"]
    assert lost["state"] == "blocked"
    assert lost["detail"].startswith("variant only needs the model of job/elsewhere@1, which left none")
    for how in ("memory", "signal", "channel"):
        assert len(re.findall(DETAILS[how].removesuffix(r"\n"), ended)) == 1, ended
    assert "fix  raise resources.memory, then run `sagespec apply --retry`" in ended
    assert ended.count("trying again") == 0
