"""randomcutforest as a process: what it grows and finds, what it refuses, what it answers."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from tests.images.tables import IMAGES, as_csv, halves, metrics_in

IMAGE = "randomcutforest"
UNLABELLED = "text/csv;label_size=0"


@pytest.fixture(autouse=True, scope="module")
def importable() -> Iterator[None]:
    sys.path.insert(0, str(IMAGES / IMAGE))
    yield
    sys.path.remove(str(IMAGES / IMAGE))


def with_anomalies() -> tuple[Any, Any]:
    """A cloud of 1000 rows, and 10 far off it."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(1000, 3)), rng.normal(size=(10, 3)) + 9])
    return rows, np.repeat([0, 1], [1000, 10])


def forest_in(folder: Path) -> Any:
    from forest_model import Forest

    return Forest.load(folder)


def score_by_definition(forest: Any, tree: int, row: Any) -> Any:
    """The expected score of a place, straight from its recursive definition."""

    def at(node: int, depth: int) -> Any:
        low, high = forest.lows[node].astype(float), forest.highs[node].astype(float)
        merged = np.maximum(high, row) - np.minimum(low, row)
        if merged.sum() == 0:
            mass, whole = forest.masses[node], forest.masses[forest.roots[tree]]
            return (1 - mass / (2 * whole)) / (depth + np.log2(mass + 1))
        parted = 1 - (high - low).sum() / merged.sum()
        if forest.left[node] < 0:
            return 1 / (depth + 1)
        goes_left = row[forest.cut_features[node]] <= forest.cut_values[node]
        child = forest.left[node] if goes_left else forest.right[node]
        return parted / (depth + 1) + (1 - parted) * at(child, depth + 1)

    return at(forest.roots[tree], 0) * np.log2(forest.masses[forest.roots[tree]] + 1)


def test_scores_follow_their_definition() -> None:
    from forest_training import forest_of, grow
    from toolkit.hosts import Hosts

    rng = np.random.default_rng(1)
    sample = rng.integers(0, 4, (40, 3)).astype(np.float32)  # with rows that are equal
    trees = [grow(sample, np.random.default_rng(number)) for number in range(5)]
    forest = forest_of(Hosts(("algo-1",), "algo-1"), trees, 3)
    rows = np.concatenate([sample[:6], rng.integers(-2, 6, (6, 3)) + 0.5])
    expected = [np.mean([score_by_definition(forest, tree, row) for tree in range(5)]) for row in rows]
    np.testing.assert_allclose(forest.scores(rows), expected, rtol=1e-6)


def test_every_tree_cuts_its_rows_apart() -> None:
    from forest_training import grow

    sample = np.random.default_rng(2).integers(0, 5, (60, 2)).astype(np.float32)
    tree = grow(sample, np.random.default_rng(0))
    leaves = tree.left < 0
    assert tree.masses[leaves].sum() == 60
    np.testing.assert_array_equal(tree.lows[leaves], tree.highs[leaves])
    assert leaves.sum() == len(np.unique(sample, axis=0))
    for node in np.flatnonzero(~leaves):
        cut, value = tree.cut_features[node], tree.cut_values[node]
        assert tree.highs[tree.left[node]][cut] <= value < tree.lows[tree.right[node]][cut]


def test_anomalies_are_found(make_tree: Any) -> None:
    rows, labels = with_anomalies()
    tree = make_tree(IMAGE, {"feature_dim": 3}, {"train": as_csv(rows), "test": as_csv(rows, labels)})
    inputs = {name: {"ContentType": f"text/csv;label_size={size}"} for name, size in (("train", 0), ("test", 1))}
    tree.write_config("inputdataconfig", inputs)
    code, printed = tree.train()
    assert code == 0, printed
    metrics = metrics_in(IMAGE, printed)
    assert metrics["test:recall"] == 1.0
    assert metrics["test:accuracy"] > 0.99
    assert metrics["test:f1"] == pytest.approx(2 / (1 + 1 / metrics["test:precision"])), "with a recall of 1"
    scores = forest_in(tree.model).scores(rows)
    assert 0.5 < scores[:1000].mean() < 1.0 < scores[1000:].min()


def test_tells_as_much_as_an_isolation_forest(make_tree: Any) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    usual, strange = features[labels == 1], features[labels == 0]
    tree = make_tree(IMAGE, {"feature_dim": 30}, {"train": as_csv(usual[:200])}, content_type=UNLABELLED)
    assert tree.train()[0] == 0
    rows, is_strange = np.concatenate([usual[200:], strange]), np.repeat([0, 1], [len(usual) - 200, len(strange)])
    reference = -IsolationForest(random_state=0).fit(usual[:200]).score_samples(rows)
    ours = roc_auc_score(is_strange, forest_in(tree.model).scores(rows))
    assert ours > roc_auc_score(is_strange, reference) - 0.05


def test_two_hosts_grow_the_forest_of_one(make_tree: Any, run_hosts: Any) -> None:
    rows, labels = with_anomalies()
    hosts = ("algo-1", "algo-2")
    settings = {"feature_dim": 3, "num_trees": 51, "num_samples_per_tree": 32}
    labelled = as_csv(rows, labels)
    pair = [
        make_tree(IMAGE, settings, {"train": part, "test": labelled}, host=host, hosts=hosts, replicated=("test",))
        for host, part in zip(hosts, halves(labelled), strict=True)
    ]
    alone = make_tree(IMAGE, settings, {"train": labelled, "test": labelled}, host="alone", hosts=("alone",))
    results = run_hosts(pair)
    code, printed = alone.train()
    assert [code, *(code for code, _ in results)] == [0, 0, 0]
    ours, theirs = forest_in(pair[0].model), forest_in(alone.model)
    assert len(ours.roots) == 51
    for name, values in vars(theirs).items():
        np.testing.assert_array_equal(getattr(ours, name), values)
    assert metrics_in(IMAGE, results[0][1]) == metrics_in(IMAGE, printed)
    assert not list(pair[1].model.iterdir()), "only the master writes"


def test_sigterm_ends_training_early_and_keeps_the_trees_so_far(make_tree: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(3000, 20))
    settings = {"feature_dim": 20, "num_trees": 1000, "num_samples_per_tree": 2048}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED)
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if "tree 2 of" in line)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0, printed
    assert 2 <= len(forest_in(tree.model).roots) < 1000


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({"feature_dim": 0}, "1\n", "feature_dim=0: must be at least 1"),
        ({"feature_dim": 1, "num_trees": 10}, "1\n", "num_trees=10: must be at least 50 and at most 1000"),
        ({"feature_dim": 1, "num_samples_per_tree": 4096}, "1\n", "must be at least 1 and at most 2048"),
        ({"feature_dim": 2}, "1\n", "feature_dim=2, but the data has 1"),
        ({"feature_dim": 1, "eval_metrics": '["f1"]'}, "1\n", "must be a JSON list of some of accuracy, precision"),
        ({"feature_dim": 1}, "", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train}, content_type=UNLABELLED)
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: ")
    assert message in tree.failure


def test_replicated_rows_and_missing_labels_are_refused(make_tree: Any) -> None:
    tree = make_tree(IMAGE, {"feature_dim": 1}, {"train": "1\n2\n"}, content_type=UNLABELLED, replicated=("train",))
    assert tree.train()[0] == 1
    assert "set distribution: sharded" in tree.failure
    for test, content_type, message in (("1\n", UNLABELLED, "must be text/csv;label_size=1"), ("2,1\n", "", "label 2")):
        tree.write_channel("test", test)
        tree.write_config(
            "inputdataconfig", {"train": {"ContentType": UNLABELLED}, "test": {"ContentType": content_type}}
        )
        assert tree.train()[0] == 1
        assert message in tree.failure


def test_answers_by_accept(make_tree: Any, serve: Any) -> None:
    rows, _ = with_anomalies()
    tree = make_tree(IMAGE, {"feature_dim": 3}, {"train": as_csv(rows)}, content_type=UNLABELLED)
    assert tree.train()[0] == 0
    with serve(tree) as server:
        assert server.wait_until_it_answers().status == 200
        body = json.dumps({"instances": [{"features": [0.0, 0.0, 0.0]}, {"features": [12.0, 12.0, 12.0]}]})
        scores = [score["score"] for score in server.invoke(body, "application/json").json["scores"]]
        assert scores[0] < 1 < scores[1]
        reply = server.invoke("0,0,0\n12,12,12", "text/csv", "application/jsonlines")
        assert [json.loads(line) for line in reply.text.splitlines()] == [{"score": score} for score in scores]
        reply = server.invoke("1,2", "text/csv")
        assert (reply.status, reply.text) == (400, "expected 3 features, got 2\n")
        assert server.stop() == 0
