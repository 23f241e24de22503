"""The servers of frameworks as processes: handlers of a script or of the framework, codecs, statuses."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
import xgboost
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

NPY, NPZ = "application/x-npy", "application/x-npz"
FORM = "application/x-www-form-urlencoded"
FEATURES, LABELS = load_iris(return_X_y=True)
ROWS = FEATURES[::30]

# Says what each handler was given, and misbehaves on request.
HANDLERS = """
import json
def model_fn(model_dir):
    return {"dir": model_dir}
def input_fn(data, content_type):
    if content_type == "text/plain" and data == b"bad":
        raise ValueError("cannot read bad")
    is_text = isinstance(data, str)
    return {"type": content_type, "is_text": is_text, "data": data if is_text else len(data)}
def predict_fn(data, model, context):
    attributes = context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")
    return {"input": data, "model": model, "attributes": attributes}
def output_fn(prediction, accept):
    return json.dumps(prediction), "application/vnd.mine+json"
"""


def as_npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def as_npz(array: Any) -> bytes:
    stream = io.BytesIO()
    scipy.sparse.save_npz(stream, scipy.sparse.csr_matrix(array))
    return stream.getvalue()


def as_csv(array: Any) -> str:
    return "\n".join(",".join(map(repr, row)) for row in np.asarray(array).tolist())


def with_code(tree: Any, files: Mapping[str, str]) -> Any:
    for name, text in files.items():
        path = tree.model / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tree


def classifier(tree: Any) -> LogisticRegression:
    model = LogisticRegression(max_iter=1000).fit(FEATURES, LABELS)
    tree.model.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, tree.model / "model.joblib")
    return model


@pytest.fixture(scope="module")
def served(make_module_tree: Any, serve_for_module: Any) -> Iterator[Any]:
    """sklearn's own handlers over a model of the iris set."""
    tree = make_module_tree("sklearn")
    classifier(tree)
    with serve_for_module(tree) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps(ROWS.tolist()), "application/json"),
        (as_csv(ROWS), "text/csv"),
        (as_csv(ROWS), "text/csv; charset=utf-8"),
        (as_npy(ROWS), NPY),
        (as_npz(ROWS), NPZ),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", NPY])
def test_every_codec_in_and_out(served: Any, body: Any, content_type: str, accept: str) -> None:
    reply = served.invoke(body, content_type, accept)
    assert (reply.status, reply.headers["content-type"]) == (200, accept), reply.text
    read: Mapping[str, Callable[[], Any]] = {
        "application/json": lambda: json.loads(reply.body),
        "text/csv": lambda: [int(line) for line in reply.text.splitlines()],
        NPY: lambda: np.load(io.BytesIO(reply.body)).tolist(),
    }
    assert read[accept]() == LABELS[::30].tolist()


@pytest.mark.parametrize("content_type", ["", FORM])
@pytest.mark.parametrize("body", [json.dumps(ROWS.tolist()), json.dumps({"instances": ROWS.tolist()}), as_csv(ROWS)])
def test_a_body_without_a_type_is_what_it_looks_like(served: Any, body: str, content_type: str) -> None:
    assert served.invoke(body, content_type).json == LABELS[::30].tolist()


def test_one_csv_row_is_a_table_of_one(served: Any) -> None:
    assert served.invoke(as_csv(ROWS[:1]), "text/csv").json == [0]


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "message"),
    [
        ("x", "application/pdf", "", 415, "content type application/pdf is not among application/json, text/csv,"),
        ("{", "application/json", "", 415, "the body is not application/json as expected"),
        ("1,2\n3\n", "text/csv", "", 415, "the rows have different numbers of fields"),
        (b"\xff", "text/csv", "", 415, "the body is not text/csv as expected"),
        (b"no npy", NPY, "", 415, "the body is not application/x-npy as expected"),
        (as_csv(ROWS), "text/csv", "application/pdf", 406, "Accept application/pdf is not among"),
        (
            '{"instances": [{"a": 1, "b": 2, "c": 3, "d": 4}]}',
            "application/json",
            "",
            400,
            "a row's 4 values as a list",
        ),
        ("1,2", "text/csv", "", 400, "ValueError: X has 2 features, but LogisticRegression is expecting 4"),
    ],
)
def test_what_cannot_be_read_or_answered(
    served: Any, body: Any, content_type: str, accept: str, status: int, message: str
) -> None:
    reply = served.invoke(body, content_type, accept)
    assert reply.status == status
    assert message in reply.text
    assert "CodecError" not in reply.text


def test_no_pickle_is_opened(served: Any) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert served.invoke(stream.getvalue(), NPY).status == 415


def test_handlers_of_a_script_get_what_the_toolkit_gives_them(make_tree: Any, serve: Any) -> None:
    tree = with_code(make_tree("sklearn"), {"inference.py": "import helper\n" + HANDLERS, "helper.py": ""})
    with serve(tree) as server:
        assert server.wait_until_it_answers().status == 200
        reply = server.invoke("a,b", "text/csv", **{"X-Amzn-SageMaker-Custom-Attributes": "trace=1"})
        assert reply.headers["content-type"] == "application/vnd.mine+json"
        assert reply.json == {
            "input": {"type": "text/csv", "is_text": True, "data": "a,b"},
            "model": {"dir": str(tree.model)},
            "attributes": "trace=1",
        }
        assert server.invoke(b"\x00\x01", "image/png").json["input"] == {
            "type": "image/png",
            "is_text": False,
            "data": 2,
        }
        failed = server.invoke("bad", "text/plain")
        assert (failed.status, failed.text) == (500, "ValueError: cannot read bad\n")
        assert server.stop() == 0


def test_transform_fn_answers_alone(make_tree: Any, serve: Any) -> None:
    script = """
class Busy(Exception):
    status_code = 429
def model_fn(model_dir):
    return 2
def transform_fn(model, data, content_type, accept):
    if data == "busy":
        raise Busy("come back later")
    return {"doubled": model * int(data), "accept": accept}
"""
    tree = with_code(make_tree("sklearn"), {"serving/app.py": script})
    with serve(
        tree, SAGEMAKER_PROGRAM="serving/app.py", SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/json"
    ) as server:
        assert server.wait_until_it_answers().status == 200
        assert server.invoke("21", "application/json").json == {"doubled": 42, "accept": "application/json"}
        assert server.invoke("busy", "text/csv").status == 429
        refused = server.invoke("21", "application/json", "image/png")
        assert (refused.status, "Accept image/png is not among" in refused.text) == (406, True)


@pytest.mark.parametrize(
    ("files", "program", "message"),
    [
        (
            {"inference.py": "def transform_fn(*_): ...\ndef predict_fn(*_): ...\n"},
            "",
            "transform_fn cannot be used with input_fn, predict_fn or output_fn",
        ),
        ({"inference.py": "def model_fn(model_dir): raise KeyError('weights')"}, "", "KeyError: 'weights'"),
        (
            {"inference.py": "def predict_fn(data, model): ..."},
            "",
            "model.joblib is missing",
        ),
        ({"inference.py": ""}, "infer.py", "there is no infer.py in the model's code/, which holds inference.py"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_reason(
    make_tree: Any, files: Mapping[str, str], program: str, message: str
) -> None:
    code, last = with_code(make_tree("sklearn"), files).end_of_serve(SAGEMAKER_PROGRAM=program)
    assert (code, message in last) == (1, True), last


def test_a_training_script_without_handlers_is_not_run_again(make_tree: Any, serve: Any) -> None:
    """The job's program is the training script; importing it would train."""
    tree = make_tree("sklearn")
    model = classifier(tree)
    with_code(tree, {"train.py": "raise SystemExit('training again')"})
    with serve(tree, SAGEMAKER_PROGRAM="train.py") as server:
        assert server.wait_until_it_answers().status == 200
        assert server.invoke(as_csv(ROWS), "text/csv").json == model.predict(ROWS).tolist()
    with_code(tree, {"inference.py": "def predict_fn(data, model):\n    return model.predict_proba(data)\n"})
    with serve(tree, SAGEMAKER_PROGRAM="train.py") as server:
        assert server.wait_until_it_answers().status == 200
        np.testing.assert_allclose(server.invoke(as_csv(ROWS), "text/csv").json, model.predict_proba(ROWS))


def test_the_context_says_what_the_answer_has(make_tree: Any, serve: Any) -> None:
    script = """
import sys
def model_fn(model_dir):
    return None
def transform_fn(model, data, content_type, accept, context):
    if data == "exit":
        sys.exit("gone")
    if data == "two lines":
        context.set_response_header(0, "X-Note", "a\\nb")
    processor = context.request_processor[0]
    assert processor.get_request_property("content-type") == "text/csv"
    assert "X-Amzn-SageMaker-Custom-Attributes" in context.get_all_request_header(0)
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", "trace=1")
    context.set_response_header(idx=0, key="Content-Length", value=7)
    context.set_response_content_type(0, "text/x-mine")
    context.set_response_status(code=202, phrase="Accepted")
    assert context.get_response_content_type(0) == "text/x-mine"
    if data == "late":
        processor.report_status(409, "not now")
    return b"said"
"""
    attributes = {"X-Amzn-SageMaker-Custom-Attributes": "asked"}
    with serve(with_code(make_tree("sklearn"), {"inference.py": script})) as server:
        assert server.wait_until_it_answers().status == 200
        reply = server.invoke("1", "text/csv", **attributes)
        assert (reply.status, reply.text, reply.headers["content-type"]) == (202, "said", "text/x-mine")
        assert reply.headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
        assert server.invoke("late", "text/csv", **attributes).status == 409
        reply = server.invoke("two lines", "text/csv", **attributes)
        assert (reply.status, "a header is one line of ASCII" in reply.text) == (500, True)
        reply = server.invoke("exit", "text/csv", **attributes)
        assert (reply.status, reply.text) == (500, "SystemExit: gone\n")
        assert server.invoke("1", "text/csv", **attributes).status == 202, "the worker is still there"


def test_a_model_is_warmed_up_before_the_first_request(make_tree: Any, serve: Any) -> None:
    script = """
called = []
def pre_model_fn(model_dir):
    called.append("pre_model_fn")
def model_fn(model_dir):
    called.append("model_fn")
    return called
def model_warmup_fn(model_dir, model, context):
    called.append(f"warm-up of {len(model)}: {context.system_properties['model_dir'] == model_dir}")
def predict_fn(data, model):
    return model
"""
    with serve(with_code(make_tree("sklearn"), {"inference.py": script})) as server:
        assert server.wait_until_it_answers().status == 200
        assert server.invoke("1", "text/csv").json == ["pre_model_fn", "model_fn", "warm-up of 2: True"]


def test_a_script_may_be_in_any_encoding_that_it_names(make_tree: Any, serve: Any) -> None:
    script = "# -*- coding: latin-1 -*-\ndef model_fn(model_dir):\n    return 'größe'\n"
    script += "def predict_fn(data, model):\n    return model\n"
    tree = with_code(make_tree("sklearn"), {"inference.py": ""})
    (tree.model / "code/inference.py").write_bytes(script.encode("latin-1"))
    with serve(tree) as server:
        assert server.wait_until_it_answers().status == 200
        assert server.invoke("1", "text/csv").json == "größe"


def test_a_script_that_exits_while_it_is_imported_says_so(make_tree: Any) -> None:
    tree = with_code(make_tree("sklearn"), {"inference.py": "import sys\nsys.exit('no licence')\n"})
    assert tree.end_of_serve() == (1, "the model could not be loaded: SystemExit: no licence")


def test_a_script_is_not_shadowed_by_our_folders(make_tree: Any, serve: Any) -> None:
    """images/tensorflow is a folder on our path; a script that asks for tensorflow must not find it."""
    script = "try:\n    import tensorflow\nexcept ImportError:\n    tensorflow = None\n" + HANDLERS
    script += "def model_fn(model_dir):\n    return tensorflow is None or hasattr(tensorflow, 'constant')\n"
    with serve(with_code(make_tree("sklearn"), {"inference.py": script})) as server:
        assert server.wait_until_it_answers().status == 200
        assert server.invoke("1", "text/csv").json["model"] is True


def test_requirements_beside_the_code_are_installed_at_the_start(
    make_tree: Any, serve: Any, make_wheel: Any, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "sagespec_test_served")
    script = "from sagespec_test_served import ANSWER\ndef model_fn(_):\n    return ANSWER\n"
    script += "def predict_fn(data, model):\n    return model\n"
    tree = with_code(make_tree("sklearn"), {"inference.py": script, "requirements.txt": str(wheel)})
    with serve(tree) as server:
        assert server.wait_until_it_answers().status == 200
        assert server.invoke("1", "text/csv").json == 42


def test_xgboost_serves_its_file_to_a_script(make_tree: Any, serve: Any) -> None:
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(FEATURES, LABELS), 3)
    tree = with_code(
        make_tree("xgboost"), {"train.py": "def output_fn(prediction, accept):\n    return prediction.argmax(1)\n"}
    )
    booster.save_model(tree.model / "model.ubj")
    (tree.model / "model.ubj").rename(tree.model / "xgboost-model")
    with serve(tree, SAGEMAKER_PROGRAM="train.py") as server:
        assert server.wait_until_it_answers().status == 200
        expected = booster.inplace_predict(ROWS).argmax(1).tolist()
        libsvm = "\n".join(" ".join(f"{i}:{v!r}" for i, v in enumerate(row)) for row in ROWS.tolist())
        for body, content_type in ((as_csv(ROWS), "text/csv"), (libsvm, "text/libsvm"), (as_npy(ROWS), NPY)):
            assert server.invoke(body, content_type).json == expected
        assert server.invoke("1:x", "text/libsvm").status == 415


def test_xgboost_trains_by_script_as_well(make_tree: Any) -> None:
    script = """
import argparse, os, xgboost
parser = argparse.ArgumentParser()
parser.add_argument("--num_round", type=int)
rounds = parser.parse_args().num_round
data = xgboost.DMatrix([[0.0], [1.0]], [0, 1])
xgboost.train({}, data, rounds).save_model(os.environ["SM_MODEL_DIR"] + "/model.ubj")
"""
    tree = make_tree("xgboost", {"sagemaker_program": '"train.py"', "num_round": "2"})
    (tree.base / "code").mkdir()
    (tree.base / "code" / "train.py").write_text(script)
    code, printed = tree.train()
    assert code == 0, printed
    assert sorted(path.name for path in tree.model.iterdir()) == ["code", "model.ubj"]
