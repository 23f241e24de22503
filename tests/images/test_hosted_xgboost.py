"""Scripts that were written for SageMaker's own XGBoost container, on one host and on two, and their handlers.

They import its packages, sagemaker_xgboost_container and sagemaker_containers, as public scripts do.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer

from tests.images.record import framed, record_of
from tests.images.test_script import bring
from tests.images.test_xgboost import as_csv, as_libsvm

# One job on any number of hosts: rows by get_dmatrix, the hosts joined by rabit_run, a pickled booster.
DISTRIBUTED = """
import argparse, json, logging, os
import pickle as pkl

import pandas as pd
from sagemaker_containers import entry_point
from sagemaker_xgboost_container import distributed
from sagemaker_xgboost_container.data_utils import get_dmatrix, get_size
import xgboost as xgb

def train_here(params, dtrain, evals, num_boost_round, model_dir, is_master):
    booster = xgb.train(params=params, dtrain=dtrain, evals=evals, num_boost_round=num_boost_round)
    print(f"rank {xgb.collective.get_rank()} of {xgb.collective.get_world_size()}")
    if is_master:
        with open(os.path.join(model_dir, "xgboost-model"), "wb") as file:
            pkl.dump(booster, file)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_depth", type=int)
    parser.add_argument("--objective")
    parser.add_argument("--num_round", type=int)
    parser.add_argument("--model_dir", default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
    parser.add_argument("--sm_hosts", default=os.environ["SM_HOSTS"])
    parser.add_argument("--sm_current_host", default=os.environ["SM_CURRENT_HOST"])
    args, _ = parser.parse_known_args()

    dtrain = get_dmatrix(args.train, "libsvm") if get_size(args.train) > 0 else None
    job = dict(
        params={"max_depth": args.max_depth, "objective": args.objective, "verbosity": None},
        dtrain=dtrain,
        evals=[(dtrain, "train")],
        num_boost_round=args.num_round,
        model_dir=args.model_dir,
    )
    hosts = json.loads(args.sm_hosts)
    if len(hosts) > 1:
        entry_point._wait_hostname_resolution()
        distributed.rabit_run(
            exec_fun=train_here, args=job, include_in_training=(dtrain is not None), hosts=hosts,
            current_host=args.sm_current_host, update_rabit_args=True,
        )
    elif dtrain:
        train_here(is_master=True, **job)
    else:
        raise ValueError("Training channel must have data to train model.")

def model_fn(model_dir):
    with open(os.path.join(model_dir, "xgboost-model"), "rb") as file:
        return pkl.load(file)
"""
SETTINGS: dict[str, Any] = {"max_depth": 3, "objective": "binary:logistic", "num_round": 4}


def pickled(tree: Any) -> xgboost.Booster:
    import pickle

    booster = pickle.loads((tree.model / "xgboost-model").read_bytes())
    assert isinstance(booster, xgboost.Booster)
    return booster


def script_tree(make_tree: Any, rows: str, *, host: str = "algo-1", hosts: Any = ("algo-1",)) -> Any:
    tree = make_tree("xgboost", {}, {"train": rows}, content_type="text/libsvm", host=host, hosts=hosts)
    return bring(tree, {"train.py": DISTRIBUTED}, **SETTINGS)


def by_hand(features: Any, labels: Any) -> Any:
    """What libsvm leaves out is missing."""
    matrix = xgboost.DMatrix(np.where(features == 0, np.nan, features), labels)
    return xgboost.train({"max_depth": 3, "objective": "binary:logistic"}, matrix, 4).predict(matrix)


def test_a_script_of_the_hosted_container_trains_on_one_host_and_serves(make_tree: Any, serve: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    tree = script_tree(make_tree, as_libsvm(features, labels))
    code, printed = tree.train()
    assert code == 0, printed
    expected = by_hand(features, labels)[:3]
    np.testing.assert_array_equal(pickled(tree).predict(xgboost.DMatrix(features[:3], missing=0)), expected)
    with serve(tree, SAGEMAKER_PROGRAM="train.py") as server:
        server.wait_until_it_answers()
        body = as_csv(features[:3, 1:], features[:3, 0])
        assert np.allclose(json.loads(server.invoke(body, "text/csv").text), expected)


@pytest.mark.parametrize("empty", [(), ("algo-1",), ("algo-2",)])
def test_it_trains_one_model_on_two_hosts(make_tree: Any, run_hosts: Any, empty: Any) -> None:
    """Also where one of them has no data: it ends well, and the other is the master."""
    features, labels = load_breast_cancer(return_X_y=True)
    rows = as_libsvm(features, labels).splitlines()
    hosts = ("algo-1", "algo-2")
    parts = {host: rows if empty else rows[part::2] for part, host in enumerate(hosts)}
    trees = {
        host: script_tree(make_tree, "" if host in empty else "\n".join(own), host=host, hosts=hosts)
        for host, own in parts.items()
    }
    for host in empty:
        next((trees[host].base / "input/data/train").iterdir()).unlink()
    ended = dict(zip(hosts, run_hosts(list(trees.values())), strict=True))
    assert [code for code, _ in ended.values()] == [0, 0], ended
    world = 1 if empty else 2
    masters = [host for host, tree in trees.items() if (tree.model / "xgboost-model").exists()]
    assert masters == [next(host for host in hosts if host not in empty)]
    assert f"rank 0 of {world}" in ended[masters[0]][1]
    predicted = pickled(trees[masters[0]]).predict(xgboost.DMatrix(features, missing=0))
    np.testing.assert_allclose(predicted, by_hand(features, labels), atol=0.05)


CHECKPOINTED = """
import os, sys
import xgboost as xgb
from sagemaker_xgboost_container import checkpointing
from sagemaker_xgboost_container.data_utils import get_content_type, get_dmatrix, validate_data_file_path
from sagemaker_algorithm_toolkit.exceptions import UserError

train = os.environ["SM_CHANNEL_TRAIN"]
validate_data_file_path(train, "text/libsvm")
dtrain = get_dmatrix(train, get_content_type("text/libsvm; charset=utf-8"))
arguments = dict(params={"max_depth": 3}, dtrain=dtrain, evals=[(dtrain, "train")], num_boost_round=int(sys.argv[-1]))
booster = checkpointing.train(arguments, checkpoint_dir="/opt/ml/checkpoints")
booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"))
try:
    get_dmatrix(train, "text/csv")
except UserError as error:
    print("refused:", error)
"""


def test_checkpoints_of_a_script_are_found_again(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    rows = as_libsvm(features, labels)
    tree = make_tree("xgboost", {}, {"train": rows}, content_type="text/libsvm")
    for rounds, first in ((7, 0), (9, 7)):
        bring(tree, {"train.py": CHECKPOINTED}, rounds=rounds)
        code, printed = tree.train()
        assert code == 0, printed
        assert re.findall(r"^\[(\d+)\]\ttrain-rmse", printed, re.MULTILINE) == [str(n) for n in range(first, rounds)]
        assert "refused: channel train: part-0" in printed
    names = {path.name for path in (tree.base / "checkpoints").iterdir()}
    assert {f"xgboost-checkpoint.{number}" for number in (6, 7, 8)} <= names
    missing = np.where(features == 0, np.nan, features)
    reference = xgboost.train({"max_depth": 3}, xgboost.DMatrix(missing, labels), 9)
    resumed = xgboost.Booster(model_file=str(tree.model / "model.json"))
    np.testing.assert_array_equal(resumed.inplace_predict(features[:9]), reference.inplace_predict(features[:9]))


HANDLERS = """
import json, os
import numpy as np
import sagemaker_xgboost_container.encoder as xgb_encoders
import xgboost as xgb
from sagemaker_containers.beta.framework import content_types, encoders, env, modules, transformer, worker

def model_fn(model_dir):
    booster = xgb.Booster()
    booster.load_model(os.path.join(model_dir, "xgboost-model"))
    return booster

def input_fn(body, content_type):
    if content_type == content_types.JSON:
        return xgb.DMatrix(np.array(json.loads(body)["instances"][0]["features"]).reshape((1, -1)))
    if content_type == "text/csv":
        return xgb_encoders.csv_to_dmatrix(body.rstrip("\\n"), dtype=float)
    return xgb_encoders.decode(body, content_type)

def predict_fn(data, model):
    return model.predict(data)

def output_fn(prediction, accept):
    if accept == "application/jsonlines":
        text = json.dumps({"predictions": [{"score": float(score)} for score in prediction]})
        return worker.Response(xgb_encoders.json_to_jsonlines(text), mimetype=accept)
    return worker.Response(encoders.encode(prediction, accept), mimetype=accept)
"""


def test_handlers_use_the_encoders_of_the_hosted_container(make_tree: Any, serve: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features = features[:, :3]
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(features, labels), 3)
    tree = make_tree("xgboost")
    (tree.model / "code").mkdir(parents=True)
    (tree.model / "code/inference.py").write_text(HANDLERS)
    (tree.model / "xgboost-model").write_bytes(booster.save_raw("ubj"))
    row = features[0]
    score = float(booster.predict(xgboost.DMatrix(row.reshape(1, -1)))[0])
    text = ",".join(map(str, row))
    with serve(tree) as server:
        server.wait_until_it_answers()
        for body, content_type in (
            (text, "text/csv"),
            (text.replace(",", ";") + "\n", "text/csv"),
            (json.dumps({"instances": [{"features": row.tolist()}]}), "application/json"),
            (" ".join(f"{index}:{value}" for index, value in enumerate(row)), "text/libsvm"),
            (" ".join(f"{index}:{value}" for index, value in enumerate(row, 1)), "text/x-libsvm"),
            (framed(record_of(row, kind="float64")), "application/x-recordio-protobuf"),
        ):
            reply = server.invoke(body, content_type, "application/json")
            assert reply.status == 200, reply.text
            assert json.loads(reply.text) == pytest.approx([score])
        lines = server.invoke(text, "text/csv", "application/jsonlines")
        assert lines.headers["content-type"] == "application/jsonlines"
        assert json.loads(lines.text) == {"score": pytest.approx(score)}
        assert server.invoke(text, "image/png").status == 415
