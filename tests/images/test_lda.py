"""lda as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import LatentDirichletAllocation

from tests.images.tables import IMAGES, as_csv, metrics_in

IMAGE = "lda"
UNLABELLED = "text/csv;label_size=0"
THREE = {"num_topics": 3, "feature_dim": 30, "mini_batch_size": 200}


@pytest.fixture(autouse=True, scope="module")
def importable() -> Iterator[None]:
    sys.path.insert(0, str(IMAGES / IMAGE))
    yield
    sys.path.remove(str(IMAGES / IMAGE))


def documents(count: int = 200) -> tuple[Any, Any]:
    """Documents of 60 words from three topics of ten words each, and their true mixtures."""
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet([0.2, 0.2, 0.2], count)
    topics = np.repeat(np.eye(3), 10, axis=1) / 10
    return np.array([rng.multinomial(60, mixture @ topics) for mixture in mixtures]), mixtures


def mixtures_of(tree: Any, rows: Any) -> Any:
    from toolkit.media import media_type
    from toolkit.model import Request
    from topics_model import TopicModel

    return TopicModel(tree.model).predict(rows.astype(float), Request(media_type(""), ""))["topic_mixture"]


def test_topics_that_made_the_documents_are_found(make_tree: Any) -> None:
    rows, truth = documents()
    tree = make_tree(IMAGE, THREE, {"train": as_csv(rows), "test": as_csv(rows)}, content_type=UNLABELLED)
    code, printed = tree.train()
    assert code == 0, tree.failure
    found = mixtures_of(tree, rows)
    order = [
        int(np.argmax([np.corrcoef(found[:, ours], truth[:, true])[0, 1] for ours in range(3)])) for true in range(3)
    ]
    assert sorted(order) == [0, 1, 2]
    assert np.abs(found[:, order] - truth).mean() < 0.05
    assert -3.4 < metrics_in(IMAGE, printed)["test:pwll"] < -2.3  # ln(30) if nothing were learned, ln(10) at best


def test_one_start_equals_scikit_learn(make_tree: Any) -> None:
    rows = load_digits().data
    settings: dict[str, Any] = {
        "num_topics": 5,
        "feature_dim": 64,
        "mini_batch_size": 1,
        "max_restarts": 1,
        "max_iterations": 15,
    }
    settings |= {"tol": 1e-12, "alpha0": 0.5}
    tree = make_tree(
        IMAGE, settings, {"train": as_csv(rows[:300]), "test": as_csv(rows[300:400])}, content_type=UNLABELLED
    )
    code, printed = tree.train()
    assert code == 0, tree.failure
    reference = LatentDirichletAllocation(5, doc_topic_prior=0.1, learning_method="batch", max_iter=15, random_state=0)
    reference.fit(rows[:300])
    assert metrics_in(IMAGE, printed)["test:pwll"] == pytest.approx(
        -np.log(reference.perplexity(rows[300:400])), abs=0.05
    )


def test_mixtures_equal_those_of_scikit_learn(tmp_path: Any) -> None:
    from topics_model import save

    rows = load_digits().data[:200]
    reference = LatentDirichletAllocation(5, doc_topic_prior=0.1, max_iter=5, random_state=0).fit(rows)
    (tmp_path / "model").mkdir()
    save(tmp_path / "model", topic_prior=0.1, word_counts=reference.components_)

    class Tree:
        model = tmp_path / "model"

    np.testing.assert_allclose(mixtures_of(Tree, rows), reference.transform(rows), atol=1e-6)


def test_sparse_documents_are_read(make_tree: Any) -> None:
    rows, _ = documents()
    libsvm = "\n".join("0 " + " ".join(f"{word}:{row[word]}" for word in np.flatnonzero(row)) for row in rows)
    settings = THREE | {"max_restarts": 1, "max_iterations": 10}
    dense = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED)
    sparse = make_tree(IMAGE, settings, {"train": libsvm}, content_type="text/libsvm", host="sparse", hosts=("sparse",))
    assert [dense.train()[0], sparse.train()[0]] == [0, 0], sparse.failure
    np.testing.assert_allclose(mixtures_of(dense, rows), mixtures_of(sparse, rows), atol=1e-6)


def test_sigterm_ends_training_early_and_keeps_the_model(make_tree: Any) -> None:
    rows = load_digits().data
    settings: dict[str, Any] = {"num_topics": 10, "feature_dim": 64, "mini_batch_size": 1, "max_restarts": 1}
    settings |= {"max_iterations": 1000000, "tol": 1e-300}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED)
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if "epoch=5," in line)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0, printed
    assert mixtures_of(tree, rows[:3]).shape == (3, 10)


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({}, "1\n", "num_topics is required"),
        (THREE | {"alpha0": 0}, "1\n", "alpha0=0: must be above 0"),
        (THREE, "1,2\n", "feature_dim=30, but the data has 2 features"),
        (THREE | {"feature_dim": 2}, "1,-2\n", "a row has -2 of a word; rows are counts"),
        (THREE | {"feature_dim": 2}, "0,0\n", "channel train: no row has a word"),
        (THREE, "", "channel train has no rows"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train}, content_type=UNLABELLED)
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: "), tree.failure
    assert message in tree.failure


def test_several_hosts_are_refused_on_each(make_tree: Any, run_hosts: Any) -> None:
    hosts = ("algo-1", "algo-2")
    trees = [make_tree(IMAGE, THREE, {"train": "1\n"}, host=host, hosts=hosts) for host in hosts]
    assert [code for code, _ in run_hosts(trees)] == [1, 1]
    for tree in trees:
        assert tree.failure.startswith("ClientError: lda trains on one host, as the hosted algorithm does")


def test_answers_by_accept(make_tree: Any, serve: Any) -> None:
    rows, _ = documents()
    settings = THREE | {"max_restarts": 2, "max_iterations": 20}
    tree = make_tree(IMAGE, settings, {"train": as_csv(rows)}, content_type=UNLABELLED)
    assert tree.train()[0] == 0
    with serve(tree) as server:
        assert server.wait_until_it_answers().status == 200
        predictions = server.invoke(as_csv(rows[:2]), "text/csv").json["predictions"]
        for prediction, expected in zip(predictions, mixtures_of(tree, rows[:2]), strict=True):
            assert prediction == {"topic_mixture": pytest.approx(expected.tolist())}
        line = server.invoke(as_csv(rows[:1]), "text/csv", "application/jsonlines").text
        assert sum(json.loads(line)["topic_mixture"]) == pytest.approx(1.0)
        assert server.invoke("1,2", "text/csv").status == 400
        reply = server.invoke(as_csv(-rows[:1]), "text/csv")
        assert (reply.status, "a count below 0" in reply.text) == (400, True)
        assert server.stop() == 0
