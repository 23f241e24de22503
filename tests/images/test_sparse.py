"""Sparse rows: the same model as from dense ones, in the memory that their entries need, and a request likewise."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.images.jobs import train_all, write_job
from tests.images.record import framed, record_of
from tests.images.tables import IMAGES, as_csv, halves

ROWS, PER_ROW = 60, 12
HASHED = 2**18  # features, as a feature hasher makes them
SMALL_MEMORY = {"SAGESPEC_MEMORY_BYTES": str(2**29)}
BINARY = {"predictor_type": "binary_classifier"}
MACHINE = BINARY | {"num_factors": 2}
NEIGHBOURS = {"k": 3, "predictor_type": "classifier", "sample_size": 500}
MODELS = {
    "linear-learner": "linear_model:LinearModel",
    "kmeans": "kmeans_model:KMeansModel",
    "knn": "knn_model:NearestNeighbours",
    "lightgbm": "lightgbm_model:LightGBMModel",
    "factorization-machines": "machine_model:FactorizationMachine",
}


class Table(NamedTuple):
    """Rows with few numbers that are not 0."""

    labels: Any
    features: Any

    @property
    def csv(self) -> str:
        return as_csv(self.features, self.labels)

    @property
    def entries(self) -> list[tuple[list[int], list[float]]]:
        """Of each row: columns and values."""
        return [(np.flatnonzero(row).tolist(), row[row != 0].tolist()) for row in self.features]

    @property
    def libsvm(self) -> str:
        rows = (" ".join(f"{column}:{value}" for column, value in zip(*row, strict=True)) for row in self.entries)
        return "".join(f"{label} {row}\n" for label, row in zip(self.labels.tolist(), rows, strict=True))

    @property
    def records(self) -> bytes:
        shape = [self.features.shape[1]]
        rows = zip(self.labels, self.entries, strict=True)
        return framed(
            *(record_of(values, [label], keys=keys, shape=shape, kind="float64") for label, (keys, values) in rows)
        )

    @property
    def instances(self) -> list[dict[str, object]]:
        shape = [self.features.shape[1]]
        tensors = [{"keys": keys, "values": values, "shape": shape} for keys, values in self.entries]
        return [{"data": {"features": tensor}} for tensor in tensors]


def table(width: int, *, rows: int = ROWS) -> Table:
    rng = np.random.default_rng(2)
    features = np.zeros((rows, width))
    for row in features:
        row[rng.choice(width - 1, PER_ROW, replace=False) + 1] = rng.integers(1, 9, PER_ROW) / 4
    labels = np.arange(rows) % 2
    features[:, 0] = labels * (rng.random(rows) < 0.7)
    features[0, -1] = 1.0  # so that all formats have the same width
    return Table(labels, features)


def settings_of(image: str, width: int, more: Mapping[str, object]) -> dict[str, object]:
    return dict(more) | ({"feature_dim": width} if image in ("kmeans", "knn", "factorization-machines", "pca") else {})


def load(monkeypatch: Any, image: str, folder: Path) -> Any:
    monkeypatch.syspath_prepend(str(IMAGES))
    monkeypatch.syspath_prepend(str(IMAGES / image))
    module, _, name = MODELS[image].partition(":")
    return getattr(importlib.import_module(module), name)(folder / "model")


def answers(model: Any, rows: Any) -> dict[str, Any]:
    model_module = importlib.import_module("toolkit.model")
    media = importlib.import_module("toolkit.media")
    return dict(model.predict(rows, model_module.Request(media.media_type("application/json"), "")))


@pytest.mark.parametrize(
    ("image", "width", "settings"),
    [
        ("linear-learner", 5000, BINARY),
        ("linear-learner", 60, BINARY | {"loss": "hinge_loss", "epochs": 200}),
        ("linear-learner", 300, {"predictor_type": "multiclass_classifier", "num_classes": 2, "use_bias": False}),
        ("linear-learner", 300, {"predictor_type": "regressor", "l1": 0.01}),
        ("kmeans", 300, {"k": 3}),
        ("kmeans", 5000, {"k": 3}),
        ("knn", 5000, NEIGHBOURS),
        ("knn", 300, NEIGHBOURS | {"index_metric": "COSINE"}),
        ("knn", 300, NEIGHBOURS | {"dimension_reduction_type": "sign", "dimension_reduction_target": 20}),
        ("lightgbm", 300, {"num_boost_round": 5}),
    ],
)
def test_sparse_rows_give_the_model_of_dense_ones(
    tmp_path: Path, monkeypatch: Any, image: str, width: int, settings: Any
) -> None:
    data = table(width, rows=max(ROWS, 20_000 // width))  # where features are few, the rows cannot be separated
    contents: dict[str, str | bytes] = {
        "text/csv": data.csv,
        "text/libsvm": data.libsvm,
        "application/x-recordio-protobuf": data.records,
    }
    folders = [
        write_job(
            tmp_path / str(number),
            settings_of(image, width, settings),
            {"train": content},
            content_type=content_type,
        )
        for number, (content_type, content) in enumerate(contents.items())
    ]
    assert [code for code, _ in train_all(image, folders)] == [0, 0, 0]
    dense, *others = (answers(load(monkeypatch, image, folder), data.features) for folder in folders)
    for other in others:
        for name, values in dense.items():
            np.testing.assert_allclose(other[name], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("split", ["halves", "one"])
@pytest.mark.parametrize(("image", "settings"), [("linear-learner", BINARY), ("kmeans", {"k": 3}), ("knn", NEIGHBOURS)])
def test_two_hosts_find_the_model_of_one(
    make_tree: Any, run_hosts: Any, monkeypatch: Any, image: str, settings: Any, split: str
) -> None:
    """One host may have no rows at all."""
    data = table(300)
    parts = halves(data.libsvm) if split == "halves" else (data.libsvm, "")
    given, hosts = settings_of(image, 300, settings), ("algo-1", "algo-2")
    trees = [
        make_tree(image, given, {"train": part}, content_type="text/libsvm", host=host, hosts=hosts)
        for host, part in zip(hosts, parts, strict=True)
    ]
    alone = make_tree(image, given, {"train": data.libsvm}, content_type="text/libsvm", host="alone", hosts=("alone",))
    assert [code for code, _ in (*run_hosts(trees), alone.train())] == [0, 0, 0]
    ours, theirs = (answers(load(monkeypatch, image, tree.base), data.features) for tree in (trees[0], alone))
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "settings"),
    [
        ("linear-learner", BINARY),
        ("kmeans", {"k": 2, "extra_center_factor": 1}),
        ("knn", NEIGHBOURS),
        ("lightgbm", {"num_boost_round": 3}),
        ("factorization-machines", MACHINE),
    ],
)
def test_hashed_words_train_and_are_answered_in_little_memory(
    tmp_path: Path, monkeypatch: Any, image: str, settings: Any
) -> None:
    """Dense, these 200 rows would take 400 MiB, of which a copy is made."""
    data = table(HASHED, rows=200)
    job = write_job(tmp_path, settings_of(image, HASHED, settings), {"train": data.libsvm}, content_type="text/libsvm")
    assert train_all(image, [job], **SMALL_MEMORY)[0][0] == 0
    model = load(monkeypatch, image, job)
    limits = importlib.import_module("toolkit.limits")
    monkeypatch.setattr(limits, "memory_bytes", lambda: 2**28)
    bodies = {
        "application/jsonlines": "".join(json.dumps(instance) + "\n" for instance in data.instances).encode(),
        "application/json": json.dumps({"instances": data.instances}).encode(),
        "application/x-recordio-protobuf": data.records,
    }
    expected = answers(model, data.features)
    for content_type, body in bodies.items():
        rows = model.decode(body, content_type)
        assert rows.nnz == np.count_nonzero(data.features)
        for name, values in answers(model, rows).items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(
    ("image", "rows", "settings", "reason"),
    [
        ("pca", 20, {"num_components": 2, "mini_batch_size": 100}, "the covariances of 262144 features .* randomized"),
        (
            "pca",
            200,
            {"num_components": 2, "mini_batch_size": 100, "algorithm_mode": "randomized"},
            "200 sparse rows of 262144 features, which this algorithm makes dense, would take 800 MiB of memory; at "
            "most 256 MiB may be used here; raise resources.memory, map the features to fewer, or train on fewer rows",
        ),
        (
            "linear-learner",
            20,
            {"predictor_type": "multiclass_classifier", "num_classes": 100},
            "a model of 262144 features and 100 outputs, with its solver's memory, would take .* MiB",
        ),
        ("kmeans", 200, {"k": 100}, "400 first centers of 262144 features would take .* or lower k"),
        (
            "knn",
            20,
            NEIGHBOURS | {"dimension_reduction_type": "sign", "dimension_reduction_target": 1000},
            "a projection from 262144 to 1000 features would take .* lower dimension_reduction_target",
        ),
    ],
)
def test_what_is_too_large_is_refused(tmp_path: Path, image: str, rows: int, settings: Any, reason: str) -> None:
    content = table(HASHED, rows=rows).libsvm
    job = write_job(tmp_path, settings_of(image, HASHED, settings), {"train": content}, content_type="text/libsvm")
    ((code, said),) = train_all(image, [job], **SMALL_MEMORY)
    assert code == 1
    assert re.fullmatch(rf"ClientError: {reason}.*\n", said), said


@pytest.mark.parametrize("image", ["linear-learner", "xgboost"])
def test_an_index_of_which_no_model_has_room_is_refused(tmp_path: Path, image: str) -> None:
    settings: Any = {"xgboost": {"num_round": 1}, "linear-learner": BINARY}[image]
    job = write_job(tmp_path, settings, {"train": "0 1:1\n1 99999999999:1\n"}, content_type="text/libsvm")
    ((code, said),) = train_all(image, [job], **SMALL_MEMORY)
    assert code == 1
    assert said.startswith("ClientError: 100,000,000,000 features, by the largest index, would take 762939 MiB"), said
