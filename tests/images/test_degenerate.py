"""Data with almost nothing in them: each algorithm trains sensibly, or says in one sentence what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.images.jobs import train_all, write_job
from tests.images.tables import as_csv

UNLABELLED = ("kmeans", "pca", "randomcutforest", "lda")
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "linear-learner": {"predictor_type": "binary_classifier"},
    "kmeans": {"k": 2},
    "pca": {"num_components": 1, "mini_batch_size": 10},
    "knn": {"k": 1, "predictor_type": "classifier", "sample_size": 60},
    "randomcutforest": {"num_trees": 50},
    "factorization-machines": {"num_factors": 2, "predictor_type": "binary_classifier"},
    "lightgbm": {"num_boost_round": 2},
    "lda": {"num_topics": 2, "mini_batch_size": 10, "max_restarts": 1},
}
ROWS = np.random.default_rng(1).exponential(size=(20, 3))
LABELS = np.arange(20) % 2.0
ONES, ZEROS, FEW = np.ones(20), np.zeros(20), 1.0 * (np.arange(20) % 3 == 0)
MULTICLASS = {"predictor_type": "multiclass_classifier", "num_classes": 3}
ONE_DIFFERENT = "k=2, but channel train has only 1 different row; lower k"
NOT_COMPUTED = "roc_auc_score is not computed: all rows have the same label"
NO_FEATURES = "channel train has no features, only labels: there is nothing to learn from"


class Case(NamedTuple):
    """What is expected: a part of the failure, or of what is printed when the job has trained."""

    rows: Any = ROWS
    labels: Any = LABELS
    more: Mapping[str, object] = {}
    failure: str = ""
    printed: str = ""


def of_every(image: str) -> Iterator[Case]:
    """Trained wherever it makes sense."""
    one_different = ONE_DIFFERENT if image == "kmeans" else ""
    too_few = "1 row to train on, of which bagging_fraction=0.9 takes none" if image == "lightgbm" else ""
    yield Case(ROWS[:1], LABELS[:1], failure=one_different or too_few)
    yield Case(ROWS[:2], LABELS[:2])
    yield Case(ROWS[:, :1])
    yield Case(ROWS * [1, 0, 1] + [0, 5, 0])
    yield Case(np.full((20, 3), 5.0), failure=one_different)
    yield Case(np.zeros((20, 3)), failure="no row has a word" if image == "lda" else one_different)
    yield Case(np.repeat(ROWS[:2], 10, axis=0))
    if image not in UNLABELLED:
        yield Case(labels=ONES)
        yield Case(labels=ZEROS)


BALANCED = {"positive_example_weight_mult": "balanced"}
OWN: Mapping[str, list[Case]] = {
    "linear-learner": [
        Case(ROWS[:, :0], failure=NO_FEATURES),
        Case(labels=ONES, more=BALANCED, failure="all labels are 1, but positive_example_weight_mult=balanced needs"),
        Case(labels=ZEROS, more=BALANCED, failure="all labels are 0, but positive_example_weight_mult=balanced needs"),
        Case(labels=2 * LABELS - 1, failure="label -1 is not a whole number from 0 to 1, .*; write 0 and 1 instead"),
        Case(labels=LABELS, more=MULTICLASS | {"balance_multiclass_weights": True}),
        Case(labels=1 + LABELS, more=MULTICLASS | {"balance_multiclass_weights": True}),
        Case(labels=2 + LABELS, more=MULTICLASS, failure="label 3 .* from 0 to 2, .*; number the classes from 0"),
        Case(labels=ONES, more={"loss": "hinge_loss"}, printed=NOT_COMPUTED),
        Case(np.column_stack([FEW, np.full(20, 7e29)]), FEW, printed="binary_classification_accuracy=1\n"),
        *(
            Case(
                labels=ZEROS,
                more={"binary_classifier_model_selection_criteria": name},
                printed="binary_classification_accuracy=1\n",
            )
            for name in ("f_beta", "precision_at_target_recall", "recall_at_target_precision")
        ),
        *(
            Case(labels=ONES, more={"predictor_type": "regressor", "loss": name}, printed="r2 is not computed")
            for name in ("squared_loss", "absolute_loss", "quantile_loss", "huber_loss")
        ),
    ],
    "kmeans": [
        Case(ROWS[:3], more={"k": 5}, failure="k=5, but channel train has only 3 different rows; lower k"),
        Case(np.repeat(ROWS[:2], 10, axis=0), more={"k": 3}, failure="only 2 different rows"),
        Case(ROWS[:3], more={"k": 3}),
    ],
    "pca": [
        Case(ROWS[:2], more={"num_components": 3}),
        Case(np.zeros((20, 3)), more={"algorithm_mode": "randomized"}, printed="all rows are the same"),
    ],
    "knn": [
        Case(ROWS[:3], LABELS[:3], {"k": 5}, failure="k=5, but the sample has only 3 rows; lower k"),
        Case(np.zeros((20, 3)), more={"index_metric": "COSINE"}),
    ],
    "randomcutforest": [Case(more={"num_samples_per_tree": 2048}), Case(more={"num_samples_per_tree": 1})],
    "factorization-machines": [Case(labels=2 * LABELS - 1, failure="label -1 is neither 0 nor 1, .*; write 0 and 1")],
    "lightgbm": [
        Case(ROWS[:, :0], failure=NO_FEATURES),
        Case(printed="objective: binary, chosen by auto as labels are 0 and 1\n"),
        Case(labels=np.arange(20) % 3, printed="objective: multiclass, chosen by auto as labels are 0, 1 and 2\n"),
        Case(
            labels=1 + np.arange(20) % 3, printed="objective: regression, .* 1, 2 and 3; to have classes, number them"
        ),
        Case(labels=ROWS[:, 0], printed="objective: regression, chosen by auto as labels are not whole numbers\n"),
        Case(labels=ONES, printed="objective: regression, chosen by auto as all labels are 1\n"),
        Case(labels=2 * LABELS - 1, failure="labels are -1 and 1, which .*; for two classes write 0 and 1"),
        Case(labels=2 * LABELS - 1, more={"objective": "regression"}),
        Case(
            labels=ONES, more={"objective": "binary", "metric": "auc"}, printed="auc is not computed: all labels are 1"
        ),
        Case(labels=ZEROS, more={"objective": "multiclass"}, failure="multiclass needs more classes; set num_class"),
        *(
            Case(labels=ZEROS, more={"objective": name}, failure=f"all labels are 0, but {name} needs some above")
            for name in ("poisson", "tweedie")
        ),
        *(Case(ROWS[:2], LABELS[:2], {"boosting": name}) for name in ("rf", "dart", "goss")),
    ],
    "lda": [
        Case(ROWS[:2], more={"num_topics": 5}),
        Case(more={"alpha0": 3}, failure="alpha0=3 is more than num_topics=2"),
    ],
}


@pytest.mark.parametrize("image", SETTINGS)
def test_data_with_almost_nothing_in_them(tmp_path: Path, image: str) -> None:
    cases = [*of_every(image), *OWN[image]]
    folders = [write(tmp_path / str(number), image, case) for number, case in enumerate(cases)]
    for case, folder, (code, said) in zip(cases, folders, train_all(image, folders), strict=True):
        assert bool(code) == bool(case.failure), (case, said)
        assert re.search(case.failure or case.printed, said), (case, said)
        assert bool(list((folder / "model").iterdir())) == (code == 0)
        assert said.count("\n") == 1 or code == 0


def write(base: Path, image: str, case: Case) -> Path:
    unlabelled = image in UNLABELLED
    counted = image not in ("linear-learner", "lightgbm")
    settings = {**SETTINGS[image], **({"feature_dim": case.rows.shape[1]} if counted else {}), **case.more}
    text = as_csv(case.rows, None if unlabelled else case.labels[: len(case.rows)])
    content_type = "text/csv;label_size=0" if unlabelled else "text/csv"
    return write_job(base, settings, {"train": text}, content_type=content_type)
