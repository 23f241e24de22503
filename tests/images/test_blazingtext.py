"""blazingtext as a process: what it learns, what it refuses, what it answers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import fasttext
import numpy as np
import pytest

from tests.images.tables import metrics_in

IMAGE = "blazingtext"
SMALL = {"mode": "supervised", "vector_dim": 8, "epochs": 10, "min_count": 1, "learning_rate": 0.5}


def reviews(count: int = 400) -> tuple[list[str], list[str]]:
    """Labels and sentences; that a bad one is good if `not` stands before it, only pairs of words tell."""
    rng = np.random.default_rng(0)
    labels, sentences = [], []
    for _ in range(count):
        words = rng.choice(["the", "film", "was", "long", "and", "loud"], 6).tolist()
        is_bad, is_denied = rng.integers(0, 2, 2).tolist()
        place = int(rng.integers(0, 6))
        words[place:place] = ["not" if is_denied else "so", "bad" if is_bad else "fine"]
        labels.append("pos" if is_bad == is_denied else "neg")
        sentences.append(" ".join(words))
    return labels, sentences


def lines_of(labels: list[str], sentences: list[str]) -> str:
    return "".join(f"__label__{label} {sentence}\n" for label, sentence in zip(labels, sentences, strict=True))


def channels(train: int = 300) -> dict[str, str]:
    labels, sentences = reviews()
    return {
        "train": lines_of(labels[:train], sentences[:train]),
        "validation": lines_of(labels[train:], sentences[train:]),
    }


def test_classifier_is_as_good_as_fasttext_by_hand(make_tree: Any) -> None:
    tree = make_tree(IMAGE, SMALL | {"buckets": 5000}, channels(), content_type="text/plain")
    code, printed = tree.train()
    assert code == 0, tree.failure
    train, validation = (str(tree.base / f"input/data/{name}/part-0") for name in ("train", "validation"))
    reference = fasttext.train_supervised(
        train, lr=0.5, dim=8, epoch=10, minCount=1, wordNgrams=2, bucket=5000, thread=11, verbose=0
    )
    found = metrics_in(IMAGE, printed)
    assert found["train:accuracy"] == pytest.approx(reference.test(train)[1], abs=0.03)
    assert found["validation:accuracy"] == pytest.approx(reference.test(validation)[1], abs=0.05)
    assert found["validation:accuracy"] > 0.9


def test_json_lines_are_read_as_text_is(make_tree: Any) -> None:
    labels, sentences = reviews(100)
    samples = [{"source": text, "label": label} for label, text in zip(labels, sentences, strict=True)]
    samples[0]["label"] = ["pos", "neg"]  # type: ignore[assignment]
    tree = make_tree(IMAGE, SMALL, {"train": "\n".join(map(json.dumps, samples))}, content_type="application/jsonlines")
    assert tree.train()[0] == 0, tree.failure
    assert set(fasttext.load_model(str(tree.model / "model.bin")).get_labels()) == {"__label__pos", "__label__neg"}


def test_table_of_word_runs_is_as_large_as_the_corpus_needs(make_tree: Any) -> None:
    tree = make_tree(IMAGE, SMALL, channels())
    assert tree.train()[0] == 0
    assert (tree.model / "model.bin").stat().st_size < 2**20


def test_early_stopping_keeps_the_best_number_of_epochs(make_tree: Any) -> None:
    settings = SMALL | {"epochs": 60, "early_stopping": "True", "min_epochs": 2, "patience": 3}
    tree = make_tree(IMAGE, settings, channels())
    code, printed = tree.train()
    assert code == 0
    tried = [float(line.split()[-1]) for line in printed.splitlines() if line.startswith("epochs=")]
    assert len(tried) == int(np.argmax(tried)) + 1 + 3
    assert metrics_in(IMAGE, printed)["validation:accuracy"] == max(tried)


def test_early_stopping_of_fewer_epochs_than_it_starts_with_trains_these(make_tree: Any) -> None:
    tree = make_tree(IMAGE, SMALL | {"epochs": 1, "early_stopping": "True", "min_epochs": 5}, channels())
    code, printed = tree.train()
    assert code == 0, tree.failure
    assert [line.split()[0] for line in printed.splitlines() if line.startswith("epochs=")] == ["epochs=1"]


def test_sigterm_ends_early_stopping_with_the_best_so_far(make_tree: Any) -> None:
    settings = SMALL | {"epochs": 100000, "early_stopping": "True", "min_epochs": 1, "patience": 100000}
    tree = make_tree(IMAGE, settings, channels())
    process = tree.start("train")
    assert process.stdout is not None
    next(line for line in process.stdout if "epochs=3 " in line)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0, printed
    assert len(fasttext.load_model(str(tree.model / "model.bin")).get_labels()) == 2


@pytest.mark.parametrize(
    ("settings", "train", "message"),
    [
        ({}, "__label__a b\n", "mode is required"),
        ({"mode": "skipgram"}, "a b\n", "makes word vectors, which are not supported; use mode=supervised"),
        (SMALL | {"epochs": 0}, "__label__a b\n", "epochs=0: must be at least 1"),
        (SMALL | {"early_stopping": "True"}, "__label__a b\n", "early_stopping needs a validation channel"),
        (SMALL, "__label__a b\nc d\n", "part-0:2: the line has no label, a word that begins with __label__"),
        (SMALL, b"__label__a b\n__label__b \xff\n", "part-0:2: not UTF-8"),
        (SMALL | {"min_count": 9}, "__label__a b\n", "no word occurs min_count=9 times; lower min_count"),
        (SMALL | {"learning_rate": 1e9}, "__label__a b\n__label__c d\n" * 50, "learning_rate=1000000000.0 is too high"),
        (SMALL, "\n", "channel train has no sentences"),
    ],
)
def test_what_is_wrong_is_said(make_tree: Any, settings: Any, train: Any, message: Any) -> None:
    tree = make_tree(IMAGE, settings, {"train": train}, content_type="text/plain")
    assert tree.train()[0] == 1
    assert tree.failure.startswith("ClientError: "), tree.failure
    assert message in tree.failure


def test_json_line_that_is_none_is_said(make_tree: Any) -> None:
    for line in ('{"text": "a"}', "{"):
        tree = make_tree(IMAGE, SMALL, {"train": line}, content_type="application/jsonlines")
        assert tree.train()[0] == 1
        assert "part-0:1: " in tree.failure


def test_several_hosts_are_refused_on_each(make_tree: Any, run_hosts: Any) -> None:
    hosts = ("algo-1", "algo-2")
    trees = [make_tree(IMAGE, SMALL, {"train": "__label__a b\n"}, host=host, hosts=hosts) for host in hosts]
    assert [code for code, _ in run_hosts(trees)] == [1, 1]
    assert all("blazingtext classifies text on one host" in tree.failure for tree in trees)


@pytest.fixture(scope="module")
def served(make_module_tree: Any, serve_for_module: Any) -> Iterator[Any]:
    tree = make_module_tree(IMAGE, SMALL, channels())
    assert tree.train()[0] == 0
    with serve_for_module(tree) as server:
        assert server.wait_until_it_answers().status == 200
        yield server


def test_sentences_are_answered_with_their_likeliest_labels(served: Any) -> None:
    body = json.dumps({"instances": ["the film was not bad", "so bad\nand loud"]})
    reply = served.invoke(body, "application/json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    good, bad = reply.json
    assert (good["label"], bad["label"]) == (["__label__pos"], ["__label__neg"])
    assert min(good["prob"][0], bad["prob"][0]) > 0.5
    body = json.dumps({"instances": ["not bad"], "configuration": {"k": 2}})
    (both,) = served.invoke(body, "application/json").json
    assert both["label"] == ["__label__pos", "__label__neg"]
    assert sum(both["prob"]) == pytest.approx(1.0, abs=1e-3)


def test_json_lines_are_answered_with_json_lines_whatever_accept_says(served: Any) -> None:
    body = '{"source": "not bad"}\n{"source": "so bad", "k": 2}\n'
    for accept in ("", "application/jsonlines", "application/json", "text/csv"):
        reply = served.invoke(body, "application/jsonlines", accept)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/jsonlines")
        answers = [json.loads(line) for line in reply.text.splitlines()]
        assert [answer["label"] for answer in answers] == [["__label__pos"], ["__label__neg", "__label__pos"]]


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("a b", "text/csv", "content type text/csv is not among application/json, application/jsonlines"),
        ("{", "application/json", "the body is not application/json as expected"),
        ('{"instances": []}', "application/json", 'sentences are written {"instances"'),
        ('{"instances": [1]}', "application/json", "a sentence must be a string"),
        ('{"instances": ["a"], "configuration": {"k": 0}}', "application/json", "k is 0, it must be a whole number"),
        ('{"source": "a", "k": "2"}', "application/jsonlines", "k is 2, it must be a whole number"),
        ("[]", "application/jsonlines", 'is written {"source"'),
    ],
)
def test_unreadable_requests_are_refused(served: Any, body: Any, content_type: Any, text: Any) -> None:
    reply = served.invoke(body, content_type)
    assert reply.status == 415
    assert text in reply.text
