"""Every built-in algorithm through the whole loop: specs to trained models to hosted answers at the gateway."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from sagespec.resolve.builtins import describe_images
from sagespec.runtimes.choose import images_dir
from sagespec.state.addresses import job_address
from tests import built
from tests.scenarios.workspace import Workspace

WITHOUT_LABELS = "text/csv;label_size=0"
SENTENCES = ["a good film", "a very good day", "what a bad day", "so bad a film"] * 10


@dataclass(frozen=True)
class Example:
    """answer: the fields of the first prediction, as the hosted algorithm names them."""

    hyperparameters: str
    answer: frozenset[str]
    content_type: str = "text/csv"
    distribution: str = "replicated"
    classes: int = 3


def fields(*names: str) -> frozenset[str]:
    return frozenset(names)


EXAMPLES: Mapping[str, Example] = {
    "xgboost": Example("{num_round: 5, objective: 'multi:softprob', num_class: 3}", fields("score")),
    "linear-learner": Example(
        "{predictor_type: multiclass_classifier, num_classes: 3}", fields("score", "predicted_label")
    ),
    "lightgbm": Example("{num_boost_round: 5, min_data_in_leaf: 5}", fields("probabilities")),
    "knn": Example("{k: 5, feature_dim: 4, predictor_type: classifier, sample_size: 150}", fields("predicted_label")),
    "kmeans": Example(
        "{k: 3, feature_dim: 4}", fields("closest_cluster", "distance_to_cluster"), content_type=WITHOUT_LABELS
    ),
    "pca": Example(
        "{num_components: 2, feature_dim: 4, mini_batch_size: 50}", fields("projection"), content_type=WITHOUT_LABELS
    ),
    "lda": Example(
        "{num_topics: 2, feature_dim: 4, mini_batch_size: 50}", fields("topic_mixture"), content_type=WITHOUT_LABELS
    ),
    "randomcutforest": Example(
        "{feature_dim: 4, num_trees: 50}", fields("score"), content_type=WITHOUT_LABELS, distribution="sharded"
    ),
    "factorization-machines": Example(
        "{feature_dim: 4, num_factors: 2, predictor_type: binary_classifier}",
        fields("score", "predicted_label"),
        classes=2,
    ),
    "blazingtext": Example("{mode: supervised, min_count: 1}", fields("label", "prob"), content_type="text/plain"),
}


def test_every_algorithm_is_here() -> None:
    kinds = {name: description.kind for name, description in describe_images(images_dir()).items()}
    assert EXAMPLES.keys() == {name for name, kind in kinds.items() if kind == "algorithm"}


@pytest.mark.slow
def test_every_algorithm_trains_and_answers_as_hosted(workspace: Workspace) -> None:
    if workspace.runtime == "docker":
        built.ready(*EXAMPLES)
    write_data(workspace.root / "data")
    workspace.write("---\n".join(spec(name, example) for name, example in EXAMPLES.items()))
    workspace.run("apply", timeout=900)
    wrong = {name: got for name, example in EXAMPLES.items() if (got := answer(workspace, name)) != example.answer}
    assert not wrong


def test_an_algorithm_learns_from_pipes_what_it_learns_from_files(workspace: Workspace) -> None:
    if workspace.runtime == "docker":
        built.ready("pca")
    write_data(workspace.root / "data")
    (workspace.root / "data/parts").mkdir()
    rows = (workspace.root / "data/bare.csv").read_text().splitlines(keepends=True)
    for number in range(3):
        (workspace.root / f"data/parts/{number}.csv").write_text("".join(rows[number::3]))
    (workspace.root / "data/parts/.ipynb_checkpoints").mkdir()
    for stray in (".0.csv.crc", ".ipynb_checkpoints/0-checkpoint.csv", "_SUCCESS"):
        (workspace.root / "data/parts" / stray).write_text("no row of the data")
    pca = EXAMPLES["pca"]
    channels = ("input_mode: file", "input_mode: pipe", "input_mode: pipe, record_wrapper: recordio")
    workspace.write(
        "---\n".join(
            f"apiVersion: sagespec/v1\nkind: TrainingJob\nname: pca\nversion: {version}\nalgorithm: pca\n"
            f"instances: 2\nhyperparameters: {pca.hyperparameters}\nchannels:\n"
            f"  train: {{source: ../data/parts, content_type: {pca.content_type}, distribution: sharded, {channel}}}\n"
            for version, channel in enumerate(channels, 1)
        )
    )
    workspace.run("apply", timeout=600)
    files, *pipes = (components(workspace, version) for version in (1, 2, 3))
    for found in pipes:
        np.testing.assert_allclose(found, files, rtol=1e-6)
    read = [job["read"]["train"]["line"] for job in workspace.json("status")["jobs"]]
    assert read == ["train: 3 files, 150 rows, 4 features", *["train: 150 rows, 4 features"] * 2]


def components(workspace: Workspace, version: int) -> Any:
    """What the job pca has stored as its model."""
    records, file = workspace.records(), workspace.root / f"model-{version}.tar.gz"
    records.store.download(records.job_key(job_address("pca", version), "model.tar.gz"), file)
    with tarfile.open(file) as archive:
        model = archive.extractfile("pca.npz")
        assert model
        return np.load(io.BytesIO(model.read()), allow_pickle=False)["components"]


def write_data(folder: Path) -> None:
    features, labels = load_iris(return_X_y=True)
    two = labels < 2
    write_rows(folder / "labelled-3.csv", np.column_stack([labels, features]))
    write_rows(folder / "labelled-2.csv", np.column_stack([labels, features])[two])
    write_rows(folder / "bare.csv", features)
    words = [f"__label__{'good' if 'good' in text else 'bad'} {text}\n" for text in SENTENCES]
    (folder / "words.txt").write_text("".join(words))


def write_rows(file: Path, rows: Any) -> None:
    np.savetxt(file, rows, delimiter=",", fmt="%g")


def spec(name: str, example: Example) -> str:
    data = f"labelled-{example.classes}.csv"
    if example.content_type != "text/csv":
        data = "bare.csv" if example.content_type == WITHOUT_LABELS else "words.txt"
    channel = f"{{source: ../data/{data}, content_type: {example.content_type}, distribution: {example.distribution}}}"
    return (
        f"apiVersion: sagespec/v1\nkind: TrainingJob\nname: {name}\nversion: 1\nalgorithm: {name}\n"
        f"hyperparameters: {example.hyperparameters}\nchannels:\n  train: {channel}\n---\n"
        f"apiVersion: sagespec/v1\nkind: Endpoint\nname: {name}\n"
        f"variants: [{{name: only, model: {name}@1, environment: {{SAGEMAKER_MODEL_SERVER_WORKERS: 1}}}}]\n"
    )


def answer(workspace: Workspace, name: str) -> frozenset[str]:
    """The fields of the first prediction, or what was said instead."""
    body, content_type = "5.1,3.5,1.4,0.2", "text/csv"
    if name == "blazingtext":
        body, content_type = json.dumps({"instances": ["a good day"]}), "application/json"
    status, text, _ = workspace.invoke(name, body, content_type=content_type, accept="application/json")
    if status != 200:
        return fields(f"{status}: {text!r}")
    document = json.loads(text)
    (first, *_) = document if isinstance(document, list) else next(iter(document.values()))
    return frozenset(first) if isinstance(first, dict) else frozenset(document)
