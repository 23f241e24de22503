"""Script mode as a process: what a script is told, how it ends, and what is kept of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from toolkit.script import command
from toolkit.script_job import Script, read_script
from toolkit.script_variables import arguments, environment

TELL = """
import json, os, sys
told = {"words": sys.argv[1:], "env": dict(os.environ), "folder": os.getcwd()}
open(os.environ["SM_MODEL_DIR"] + "/told.json", "w").write(json.dumps(told))
"""


def bring(tree: Any, files: Mapping[str, str], entry_point: str = "train.py", **hyperparameters: object) -> Any:
    """Give the job a script, as the platform does: code/ unpacked, each hyperparameter as JSON."""
    for name, text in files.items():
        path = tree.base / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    own = {"sagemaker_program": entry_point, "sagemaker_submit_directory": str(tree.base / "code")}
    given = own | hyperparameters
    tree.write_config("hyperparameters", {name: json.dumps(value) for name, value in given.items()})
    return tree


def told(tree: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tree.model / "told.json").read_text())
    return document


def job(tmp_path: Path, *, host: str = "algo-1", hosts: tuple[str, ...] = ("algo-1",), **settings: object) -> Script:
    (tmp_path / "code").mkdir(exist_ok=True)
    (tmp_path / "code" / "train.py").touch()
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    given = {"sagemaker_program": "train.py"} | settings
    (config / "hyperparameters.json").write_text(json.dumps({name: json.dumps(v) for name, v in given.items()}))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": host, "hosts": list(hosts)}))
    return read_script("pytorch", tmp_path)


# -- what it is told


def test_arguments_are_sorted_and_spelled_as_the_toolkit_spells_them() -> None:
    given = {"lr": 0.1, "b": True, "name": "x y", "none": None, "sizes": {"b": 2, "a": 1}, "layers": [3, 4]}
    assert arguments(given) == [
        *("-b", "True"),
        *("--layers", "[3, 4]"),
        *("--lr", "0.1"),
        *("--name", "x y"),
        *("--none", ""),
        *("--sizes", "a=1,b=2"),
    ]


def test_a_script_is_told_its_hyperparameters_folders_and_channels(make_tree: Any) -> None:
    tree = make_tree("sklearn", {}, {"train": "1,2"})
    more: dict[str, Any] = {"learning-rate": 0.5}
    bring(tree, {"train.py": TELL}, epochs=3, optimizer="adam", nested={"a": [1]}, **more)
    code, printed = tree.train(SM_HP_SAGEMAKER_PROGRAM="train.py", SM_NETWORK_INTERFACE_NAME="lo")
    assert code == 0, printed
    record = told(tree)
    assert record["words"] == ["--epochs", "3", "--learning-rate", "0.5", "--nested", "a=[1]", "--optimizer", "adam"]
    assert record["folder"] == str(tree.base / "code")
    expected = {
        "SM_HPS": '{"epochs":3,"learning-rate":0.5,"nested":{"a":[1]},"optimizer":"adam"}',
        "SM_HP_EPOCHS": "3",
        "SM_HP_LEARNING-RATE": "0.5",
        "SM_HP_NESTED": '{"a":[1]}',
        "SM_HP_OPTIMIZER": "adam",
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_MODULE_NAME": "train",
        "SM_MODULE_DIR": str(tree.base / "code"),
        "SM_FRAMEWORK_MODULE": "sagemaker_sklearn_container.training:main",
        "SM_FRAMEWORK_PARAMS": "{}",
        "SM_CHANNELS": '["train"]',
        "SM_CHANNEL_TRAIN": str(tree.base / "input/data/train"),
        "SM_MODEL_DIR": str(tree.base / "model"),
        "SM_OUTPUT_DATA_DIR": str(tree.base / "output/data"),
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_LOG_LEVEL": "20",
        "SM_NUM_GPUS": "0",
        "SM_IS_HETERO": "false",
    }
    assert {name: record["env"].get(name) for name in expected} == expected
    assert json.loads(record["env"]["SM_USER_ARGS"]) == record["words"]
    assert json.loads(record["env"]["SM_TRAINING_ENV"])["hyperparameters"]["optimizer"] == "adam"
    assert "SM_HP_SAGEMAKER_PROGRAM" not in record["env"]


def test_a_shell_script_and_a_package_are_entry_points_too(make_tree: Any) -> None:
    shell = '#!/bin/bash\nset -e\n[[ $1 == --epochs ]]\npython tell.py "$@"\n'
    tree = bring(make_tree("sklearn"), {"go.sh": shell, "tell.py": TELL}, "go.sh", epochs=3)
    code, printed = tree.train()
    assert (code, told(tree)["words"]) == (0, ["--epochs", "3"]), printed


def test_it_finds_its_own_modules_and_none_of_ours(make_tree: Any) -> None:
    script = "import helper, importlib.util\nassert importlib.util.find_spec('toolkit') is None\n" + TELL
    tree = bring(make_tree("sklearn"), {"bin/train.py": script, "helper.py": ""}, "bin/train.py")
    code, printed = tree.train()
    assert code == 0, printed


def test_torchrun_over_the_hosts_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("SM_MASTER_PORT", "20001")
    settings: dict[str, Any] = {"sagemaker_torch_distributed_enabled": True, "lr": 1}
    script = job(tmp_path, host="algo-2", hosts=("algo-1", "algo-2"), **settings)
    assert " ".join(command(script, "python")).removeprefix("python ") == (
        "-m torch.distributed.run --nnodes 2 --nproc_per_node 1 "
        "--master_addr 127.0.0.1 --master_port 20001 --node_rank 1 train.py --lr 1"
    )
    variables = environment(script)
    assert variables["SM_DISTRIBUTION_INSTANCE_GROUPS"] == '["homogeneousCluster"]'
    assert json.loads(variables["SM_FRAMEWORK_PARAMS"]) == {"sagemaker_torch_distributed_enabled": True}


def test_tf_config_names_every_host_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SM_MASTER_ADDR", raising=False)
    monkeypatch.setenv("SM_MASTER_PORT", "7777")
    setting: dict[str, Any] = {"sagemaker_multi_worker_mirrored_strategy_enabled": True}
    script = job(tmp_path, host="algo-2", hosts=("algo-1", "algo-2"), **setting)
    assert json.loads(environment(script)["TF_CONFIG"]) == {
        "cluster": {"worker": ["algo-1:7777", "algo-2:7778"]},
        "environment": "cloud",
        "task": {"index": 1, "type": "worker"},
    }
    monkeypatch.setenv("SM_MASTER_ADDR", "127.0.0.1")
    cluster = json.loads(environment(script)["TF_CONFIG"])["cluster"]
    assert cluster == {"worker": ["127.0.0.1:7777", "127.0.0.1:7778"]}
    assert "TF_CONFIG" not in environment(job(tmp_path))


# -- how it ends


def test_the_exception_and_the_exit_code_of_a_script_are_the_jobs(make_tree: Any) -> None:
    script = (
        "print('epoch 1')\ntry:\n    1 / 0\n"
        "except ZeroDivisionError as error:\n    raise ValueError('bad rows') from error\n"
    )
    tree = bring(make_tree("sklearn"), {"train.py": script})
    code, printed = tree.train()
    assert code == 1
    assert "epoch 1" in printed
    reason = "AlgorithmError: ValueError: bad rows (after ZeroDivisionError: division by zero)"
    assert tree.failure.startswith(f"{reason}\n\ntrain.py ended with exit code 1;")
    assert printed.count("bad rows") == 2, "in the traceback, and its line of code"
    assert "ZeroDivisionError" in tree.failure
    assert not (tree.model / "code").exists()

    tree = bring(make_tree("sklearn"), {"train.py": "import os, sys\nos.kill(os.getpid(), 9)\n"})
    assert tree.train()[0] == 137


def test_a_failure_that_the_script_wrote_is_kept(make_tree: Any) -> None:
    script = (
        "import os, sys\n"
        "open(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('ClientError: no rows')\nsys.exit(7)\n"
    )
    tree = bring(make_tree("sklearn"), {"train.py": script})
    assert tree.train()[0] == 7
    assert tree.failure == "ClientError: no rows"


@pytest.mark.parametrize(
    ("files", "entry_point", "message"),
    [
        (
            {"train.py": ""},
            "trian.py",
            "ClientError: entry_point: there is no trian.py in source_dir, which holds train",
        ),
        ({"train.py": ""}, "../train.py", "ClientError: entry_point: ../train.py is outside of source_dir"),
        ({}, "train.py", "ClientError: source_dir: there is no folder"),
        (
            {"train.sh": "#!/bin/sh\r\necho\r\n"},
            "train.sh",
            "ClientError: entry_point: train.sh has Windows line ends (CRLF): ",
        ),
        ({"train.sh": "echo\r\n"}, "train.sh", "ClientError: entry_point: train.sh has Windows line ends (CRLF): "),
        (
            {"train.R": "#!/usr/bin/env -S Rscript9 --vanilla\n"},
            "train.R",
            "ClientError: entry_point: train.R is to be run by Rscript9 (its first line), which is not there",
        ),
    ],
)
def test_a_script_that_is_not_there_is_the_owners_to_mend(
    make_tree: Any, files: Mapping[str, str], entry_point: str, message: str
) -> None:
    tree = bring(make_tree("sklearn"), files, entry_point)
    assert tree.train()[0] == 1
    assert tree.failure.startswith(message)


def test_a_framework_that_is_not_installed_is_one_line(make_tree: Any) -> None:
    pytest.importorskip("pip")
    for image, fix in (("tensorflow", "pip install 'sagespec[tensorflow]'"), ("mxnet", "use Docker")):
        tree = bring(make_tree(image), {"train.py": ""})
        code, printed = tree.train()
        assert code == 1
        assert printed.count("\n") == 1
        assert printed.startswith(f"ClientError: {image} is not installed")
        assert fix in printed


def test_sigterm_reaches_the_script_and_its_model_is_kept(make_tree: Any) -> None:
    script = (
        "import os, signal, sys, time\n"
        "def stop(*_):\n    open(os.environ['SM_MODEL_DIR'] + '/half', 'w').write('x'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('ready')\nwhile True: time.sleep(0.05)\n"
    )
    tree = bring(make_tree("sklearn"), {"train.py": script})
    process = tree.start("train")
    assert process.stdout is not None
    while "ready" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert sorted(path.name for path in tree.model.iterdir()) == ["code", "half"]
    assert not tree.failure


def test_lines_come_as_they_are_printed(make_tree: Any, tmp_path: Path) -> None:
    late = tmp_path / "late"
    script = (
        "import sys, time\nprint('one')\nsys.stderr.write('no line end')\nsys.stderr.flush()\n"
        f"time.sleep(60)\nopen({str(late)!r}, 'w').close()\n"
    )
    process = bring(make_tree("sklearn"), {"train.py": script}).start("train")
    assert process.stdout is not None
    seen = ""
    while "no line end" not in seen or "one" not in seen:
        seen += process.stdout.read(1)
    assert not late.exists()
    process.send_signal(signal.SIGTERM)  # which ends the script, too
    process.communicate(timeout=30)


@pytest.mark.parametrize("bar", ["b'\\r%d of 15'", "b'%d of 15\\r'"])
def test_a_progress_bar_is_ended_once_a_second_so_that_an_engine_shows_it(make_tree: Any, bar: str) -> None:
    script = f"""
import os, time
os.write(2, b"quick 1\\rquick 2\\n")
os.write(2, b"plain")
time.sleep(1.1)
os.write(2, b"\\r")
os.write(2, b"\\n")
for step in range(15):
    os.write(2, {bar} % step)
    time.sleep(0.1)
os.write(2, b"\\n")
"""
    with bring(make_tree("sklearn"), {"train.py": script}).start("train") as process:
        lines = process.stdout.buffer.read().replace(b"\r\n", b"\n").split(b"\n")
    begun = [line for line in lines if b"quick" in line or b"plain" in line]
    assert begun == [b"quick 1\rquick 2", b"plain"]
    steps = [line for line in lines if b"of 15" in line]
    assert 2 <= len(steps) <= 5, "about one a second, on a slow machine too"
    assert b"".join(steps).replace(b"\r", b"") == b"".join(b"%d of 15" % step for step in range(15))


# -- what is kept


def test_the_code_goes_with_the_model_unless_the_script_did_it(make_tree: Any) -> None:
    tree = bring(make_tree("sklearn"), {"train.py": TELL, "helper.py": "", "requirements.txt": "# none\n"})
    assert tree.train()[0] == 0
    kept = sorted(path.name for path in (tree.model / "code").iterdir())
    assert kept == ["helper.py", "requirements.txt", "train.py"]

    own = TELL + "os.mkdir(os.environ['SM_MODEL_DIR'] + '/code')\n"
    tree = bring(make_tree("sklearn", host="algo-2"), {"train.py": own})
    assert tree.train()[0] == 0
    assert not list((tree.model / "code").iterdir())

    tree = bring(make_tree("sklearn", host="algo-3"), {"train.py": "print('no model')"})
    assert tree.train()[0] == 0
    assert not list(tree.model.iterdir())

    without = "import os; os.makedirs(os.environ['SM_MODEL_DIR'] + '/v1/best')"
    tree = bring(make_tree("sklearn", host="algo-4"), {"train.py": without})
    assert tree.train()[0] == 0
    assert [path for path in tree.model.rglob("*") if path.is_file()] == []


def test_requirements_are_installed_for_the_job_alone(make_tree: Any, make_wheel: Any, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "sagespec_test_answer")
    script = "import sagespec_test_answer\nassert sagespec_test_answer.ANSWER == 42\n" + TELL
    tree = bring(make_tree("sklearn"), {"train.py": script, "requirements.txt": f"numpy\n{wheel}\n"})
    code, printed = tree.train()
    assert code == 0, printed
    installed = {path.name for path in (tree.base / "packages").rglob("site-packages/*")}
    assert "sagespec_test_answer.py" in installed
    assert "numpy" not in installed, "what is there already is not installed again"
    left = subprocess.run([sys.executable, "-c", "import sagespec_test_answer"], capture_output=True)
    assert left.returncode != 0, "our own environment is as it was"


def test_requirements_that_cannot_be_installed_are_the_owners_to_mend(make_tree: Any) -> None:
    tree = bring(make_tree("sklearn"), {"train.py": "", "requirements.txt": "./package.whl\n"})
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: pip could not install")
    assert "package.whl is not a valid wheel filename" in tree.failure


def test_a_job_without_an_entry_point_is_refused(make_tree: Any) -> None:
    tree = make_tree("sklearn", {"epochs": 3})
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: there is no script to run: entry_point")
