"""Training of randomcutforest: each tree splits a sample of all hosts' rows by random cuts.

A tree's sample and cuts follow from its number, so N hosts, each growing its share of the trees,
make the forest that one host would make. Rows are taken as float32, as the hosted algorithm does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from forest_model import Floats, Forest
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.metrics import metrics_asked, report
from toolkit.rows import FloatArray
from toolkit.sampling import draw_rows
from toolkit.sparse import dense
from toolkit.training import Job

SEED = 0
CHANNELS = ("train", "test")
METRICS = {"accuracy": ("accuracy",), "precision_recall_fscore": ("precision", "recall", "f1")}
STRANGE_FROM_DEVIATIONS = 3.0  # above the mean score: the hosted algorithm's rule


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted random cut forest's hyperparameters."""

    feature_dim: Annotated[int | Auto, Range(minimum=1, maximum=10000), "Number of features; auto: as the data has"] = (
        "auto"
    )
    num_trees: Annotated[int, Range(minimum=50, maximum=1000), "Number of trees"] = 100
    num_samples_per_tree: Annotated[int, Range(minimum=1, maximum=2048), "Number of rows each tree is grown from"] = 256
    eval_metrics: Annotated[
        str, "JSON list of metrics to print for a labelled test channel: accuracy, precision_recall_fscore"
    ] = '["accuracy", "precision_recall_fscore"]'

    IGNORED: ClassVar[Mapping[str, str]] = {"mini_batch_size": "rows are read in blocks of the reader's own size"}


def train(job: Job[Hyperparameters]) -> None:
    """Leave the forest with the master, and print how well its scores predict the test channel's labels."""
    settings, hosts = job.hyperparameters, job.hosts
    metric_names = [name for group in metrics_asked(settings.eval_metrics, METRICS) for name in METRICS[group]]
    check_channels(job)
    tables = load_tables(job, CHANNELS, InputFormat(needs_labels=False), feature_dim=settings.feature_dim)
    check_labels(job, tables)

    samples = samples_of(hosts, tables["train"], settings)
    ranges = [np.ptp(sample, axis=0) for sample in samples.values()]
    require_finite(hosts, {"ranges of features as float32": ranges}, tables)
    forest = forest_of(hosts, grown(job, samples), tables["train"].features.shape[1])
    require_finite(hosts, {"cuts": forest.cut_values}, tables)
    if "test" in tables:
        report_quality(hosts, forest, tables, metric_names)
    if hosts.is_master:
        forest.save(job.model_folder)


def check_channels(job: Job[Hyperparameters]) -> None:
    if job.channel("train").replicated:
        raise ClientError(
            "channel train is FullyReplicated; the random cut forest takes it ShardedByS3Key only, "
            "as the hosted one does: set distribution: sharded"
        )


def check_labels(job: Job[Hyperparameters], tables: Mapping[str, Table]) -> None:
    """Raise ClientError on all hosts if the test channel has no labels, or others than 0 and 1."""
    labels = tables["test"].labels if "test" in tables else np.empty(0)
    problem = None
    if "test" in tables and len(labels) != len(tables["test"].features):
        problem = "channel test has no labels to measure by: its content type must be text/csv;label_size=1"
    elif not np.isin(labels, (0, 1)).all():
        wrong = labels[~np.isin(labels, (0, 1))][0]
        problem = f"channel test: label {wrong:g} is neither 0 nor 1 (an anomaly)"
    job.hosts.fail_together(problem)


def samples_of(hosts: Hosts, table: Table, settings: Hyperparameters) -> dict[int, Floats]:
    """The samples of the trees that grow on this host, by the number of the tree."""
    rows, size = np.asarray(table.features), settings.num_samples_per_tree
    place = hosts.numbered(len(rows))
    own_trees = range(
        settings.num_trees * hosts.rank // len(hosts.names), settings.num_trees * (hosts.rank + 1) // len(hosts.names)
    )
    samples = {}
    for tree in range(settings.num_trees):
        drawn = draw_rows(hosts, rows, size, place=place, seed=(SEED, tree, 0))
        if tree in own_trees:
            samples[tree] = dense(drawn).astype(np.float32)
    return samples


def grown(job: Job[Hyperparameters], samples: Mapping[int, Floats]) -> Iterator[Forest]:
    """A forest of one tree each; fewer than there are samples if the job is stopped."""
    for tree, sample in samples.items():
        if job.stop.requested:
            return
        yield grow(sample, np.random.default_rng((SEED, tree, 1)))
        job.stop.keep_model()
        print(f"{job.hosts.current}: tree {tree + 1} of {job.hyperparameters.num_trees} is grown", flush=True)


def grow(sample: Floats, rng: np.random.Generator) -> Forest:
    """One tree: the box around the rows is cut, the wider in a feature the likelier there, until rows are alone."""
    left: list[int] = []
    right: list[int] = []
    cut_features, cut_values, masses, lows, highs = [], [], [], [], []
    waiting = [(np.arange(len(sample)), -1)]
    while waiting:
        rows, parent = waiting.pop()
        node = len(left)
        if parent >= 0:  # the left child is taken first
            (right if left[parent] >= 0 else left)[parent] = node
        points = sample[rows]
        low, high = points.min(axis=0), points.max(axis=0)
        spans = np.cumsum((high - low).astype(np.float64))
        left.append(-1)
        right.append(-1)
        masses.append(len(rows))
        lows.append(low)
        highs.append(high)
        feature, value = 0, 0.0
        if spans[-1] > 0:
            place = rng.random() * spans[-1]
            feature = int(np.searchsorted(spans, place, side="right"))
            value = low[feature] + place - (spans[feature - 1] if feature else 0.0)
            value = float(min(value, np.nextafter(high[feature], low[feature])))  # one row goes right at least
            goes_left = points[:, feature] <= value
            waiting += [(rows[~goes_left], node), (rows[goes_left], node)]
        cut_features.append(feature)
        cut_values.append(value)
    return Forest(
        roots=np.zeros(1, np.int64),
        left=np.array(left),
        right=np.array(right),
        cut_features=np.array(cut_features),
        cut_values=np.array(cut_values),
        masses=np.array(masses),
        lows=np.array(lows),
        highs=np.array(highs),
    )


def forest_of(hosts: Hosts, trees: Iterable[Forest], width: int) -> Forest:
    """All hosts' trees as one forest, the same on every host."""
    parts, roots = [np.empty((0, 5 + 2 * width))], [0]
    for tree in trees:
        part = np.column_stack(
            [tree.left, tree.right, tree.cut_features, tree.cut_values, tree.masses, tree.lows, tree.highs]
        )
        parts.append(moved(part, roots[-1]))
        roots.append(roots[-1] + len(part))
    before, _ = hosts.numbered(roots.pop())
    nodes = hosts.gathered(moved(np.concatenate(parts), before))
    numbers = nodes[:, [0, 1, 2, 4]].astype(np.int64)
    boxes = nodes[:, 5:].astype(np.float32)
    return Forest(
        roots=hosts.gathered(np.array(roots, np.float64) + before).astype(np.int64),
        left=numbers[:, 0],
        right=numbers[:, 1],
        cut_features=numbers[:, 2],
        cut_values=nodes[:, 3],
        masses=numbers[:, 3],
        lows=boxes[:, :width],
        highs=boxes[:, width:],
    )


def moved(nodes: FloatArray, places: int) -> FloatArray:
    """The nodes with the indices of their children raised by `places`."""
    children = nodes[:, :2]
    return np.column_stack([np.where(children < 0, -1, children + places), nodes[:, 2:]])


def report_quality(hosts: Hosts, forest: Forest, tables: Mapping[str, Table], metric_names: list[str]) -> None:
    scores = hosts.gathered(forest.scores(tables["test"].features))
    require_finite(hosts, {"test scores": scores}, tables)
    is_strange = hosts.gathered(tables["test"].labels) == 1
    found = scores > scores.mean() + STRANGE_FROM_DEVIATIONS * scores.std()
    hits = float(np.sum(found & is_strange))
    precision, recall = hits / max(1, np.sum(found)), hits / max(1, np.sum(is_strange))
    values = {
        "accuracy": float(np.mean(found == is_strange)),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
    }
    for name in metric_names:
        report(hosts, "test", name, values[name])
