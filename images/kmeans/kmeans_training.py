"""Training of kmeans: Lloyd's algorithm over the rows of all hosts.

As in the hosted algorithm, more than k centers are placed first, moved over all rows, and reduced to k by Lloyd's
algorithm on the centers themselves. The hosted one stops there; here the k centers are then moved over all rows until
they settle, as in scikit-learn.

Every host adds up its rows by center, so N hosts take the steps one host would take. The first centers come from a
sample chosen by the rows' own bits, whatever file or host they are in. scikit-learn is slow to import and is loaded
only where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from kmeans_model import closest_centers, save
from numpy.typing import NDArray
from scipy.sparse import csr_array
from toolkit.data import InputFormat, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.metrics import metrics_asked, report
from toolkit.moments import moments_of
from toolkit.rows import FloatArray
from toolkit.training import Job, Stop

SEED = 0
CHANNELS = ("train", "test")
METRICS = ("msd", "ssd")
LEAST_SAMPLE = 10_000
EXTRA_CENTERS = 4  # times k
TRIALS = 10
NO_BATCHES = "every step goes over all rows, there are no batches"


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted k-means' hyperparameters that have a meaning here."""

    k: Annotated[int, Range(minimum=1), "Number of clusters"]
    feature_dim: Annotated[int | Auto, Range(minimum=1), "Number of features; auto: as the data has"] = "auto"
    init_method: Annotated[
        Literal["random", "kmeans++"], "How the initial centers, including the extra ones, are chosen from a sample"
    ] = "random"
    extra_center_factor: Annotated[
        int | Auto, Range(minimum=1), "Initial centers per cluster, reduced to k centers later; auto: 4"
    ] = "auto"
    epochs: Annotated[int, Range(minimum=1), "Number of steps over all rows with the extra centers"] = 1
    local_lloyd_init_method: Annotated[
        Literal["random", "kmeans++"], "How the k centers are chosen from the initial centers"
    ] = "kmeans++"
    local_lloyd_num_trials: Annotated[
        int | Auto,
        Range(minimum=1),
        "How many times to reduce the initial centers to k, keeping the best result; auto: 10",
    ] = "auto"
    local_lloyd_max_iter: Annotated[
        int, Range(minimum=1), "Maximum steps of Lloyd's algorithm, on the initial centers and then over all rows"
    ] = 300
    local_lloyd_tol: Annotated[
        float, Range(minimum=0, maximum=1), "Stop when the centers move less than this fraction of the variance"
    ] = 0.0001
    eval_metrics: Annotated[
        str, "JSON list of metrics to print: msd, the mean squared distance to the closest center; ssd, the sum"
    ] = '["msd"]'

    IGNORED: ClassVar[Mapping[str, str]] = {
        "mini_batch_size": NO_BATCHES,
        "half_life_time_size": NO_BATCHES,
        "force_dense": "rows are always dense here",  # sent by the SDK's KMeans
    }


def train(job: Job[Hyperparameters]) -> None:
    """Leave the centers with the master, and print how close the rows are to them."""
    settings, hosts = job.hyperparameters, job.hosts
    names = metrics_asked(settings.eval_metrics, METRICS)
    tables = load_tables(job, CHANNELS, InputFormat(needs_labels=False), feature_dim=settings.feature_dim)
    rows = np.asarray(tables["train"].features)
    means, variances = moments_of(hosts, rows)
    require_finite(hosts, {"variances of features": variances}, tables)

    steps = Steps(hosts, rows - means, job.stop)  # near 0 less is lost to rounding
    centers = first_centers(hosts, rows, settings) - means
    job.stop.keep_model()
    for _ in range(settings.epochs):
        centers = steps.moved(centers)
        if steps.must_stop:
            break
    centers = reduced_to_k(hosts, centers, steps.counts, settings)
    for epoch in range(settings.local_lloyd_max_iter):
        before, centers = centers, steps.moved(centers)
        report_distances(hosts, f"epoch={epoch}, train", names, squares=steps.squares, count=steps.counts.sum())
        if steps.must_stop or np.square(centers - before).sum() <= settings.local_lloyd_tol * variances.mean():
            break

    for name, table in tables.items():
        _, squares = closest_centers(np.asarray(table.features) - means, centers)
        total, count = hosts.sum(np.array([squares.sum(), float(len(squares))]))
        require_finite(hosts, {"centers": centers + means, f"{name} msd": total / count}, tables)
        report_distances(hosts, name, names, squares=total, count=count)
    if hosts.is_master:
        save(job.model_folder, centers + means)


class Steps:
    """Lloyd's steps over all hosts' rows; after each, what it found about the centers it was given."""

    def __init__(self, hosts: Hosts, rows: FloatArray, stop: Stop) -> None:
        self.hosts = hosts
        self.rows = rows
        self.stop = stop
        self.counts: FloatArray = np.empty(0)  # rows of each center
        self.squares = 0.0  # sum of the squared distances
        self.must_stop = False

    def moved(self, centers: FloatArray) -> FloatArray:
        """Each center in the middle of the rows that are closest to it; one without rows stays."""
        closest, squares = closest_centers(self.rows, centers)
        of_center = csr_array(
            (np.ones(len(closest)), closest, np.arange(len(closest) + 1)), shape=(len(closest), len(centers))
        )
        totals = np.column_stack([of_center.T @ self.rows, np.bincount(closest, minlength=len(centers))])
        facts = [squares.sum(), float(self.stop.requested)]
        sums = self.hosts.sum(np.concatenate([totals.ravel(), facts]))
        totals = sums[: totals.size].reshape(totals.shape)
        self.counts, self.squares, self.must_stop = totals[:, -1], float(sums[-2]), sums[-1] > 0
        # All hosts continue with the master's centers: hosts that differ in a bit might not stop together.
        filled = np.maximum(self.counts, 1.0)[:, np.newaxis]
        middles = np.where(self.counts[:, np.newaxis] > 0, totals[:, :-1] / filled, centers)
        return self.hosts.from_master(middles)


def first_centers(hosts: Hosts, rows: FloatArray, settings: Hyperparameters) -> FloatArray:
    """Centers for the first steps, the same on every host: rows of a sample, no two of them equal."""
    factor = EXTRA_CENTERS if settings.extra_center_factor == "auto" else settings.extra_center_factor
    wanted = settings.k * factor
    sample = different_rows(hosts, rows, max(LEAST_SAMPLE, 20 * wanted))
    if len(sample) < settings.k:
        raise ClientError(
            f"hyperparameters: k={settings.k}, but channel train has only "
            f"{len(sample)} different row{'s' * (len(sample) > 1)}; lower k"
        )
    if len(sample) <= wanted or settings.init_method == "random":
        return sample[:wanted]
    from sklearn.cluster import kmeans_plusplus

    centers, _ = kmeans_plusplus(sample, wanted, random_state=SEED)
    return hosts.from_master(np.asarray(centers))


def different_rows(hosts: Hosts, rows: FloatArray, size: int) -> FloatArray:
    """At most `size` different rows of all hosts, in an order that is random and always the same."""
    found = _smallest(rows, size)
    return _smallest(hosts.gathered(found), size)


def _smallest(rows: FloatArray, size: int) -> FloatArray:
    keys = _scrambled(rows)
    _, places = np.unique(keys, return_index=True)
    return rows[places[:size]]


def _scrambled(rows: FloatArray) -> NDArray[np.uint64]:
    """A number that looks random for each row, and is the same for the same row; shape (rows,).

    Mixes the bits as splitmix64 does, column after column.
    """
    bits = np.ascontiguousarray(rows + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    keys = np.zeros(len(rows), np.uint64)
    for column in bits.T:
        keys = (keys ^ column) + np.uint64(0x9E3779B97F4A7C15)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys ^= keys >> np.uint64(31)
    return keys


def reduced_to_k(hosts: Hosts, centers: FloatArray, counts: FloatArray, settings: Hyperparameters) -> FloatArray:
    """k centers of the first ones, each of which weighs as much as it has rows."""
    if len(centers) == settings.k:
        return centers
    if not hosts.is_master:
        return hosts.from_master(centers)
    from sklearn.cluster import KMeans

    lloyd = KMeans(
        settings.k,
        init="k-means++" if settings.local_lloyd_init_method == "kmeans++" else "random",
        n_init=TRIALS if settings.local_lloyd_num_trials == "auto" else settings.local_lloyd_num_trials,
        max_iter=settings.local_lloyd_max_iter,
        tol=settings.local_lloyd_tol,
        random_state=SEED,
    )
    return hosts.from_master(np.asarray(lloyd.fit(centers, sample_weight=counts).cluster_centers_))


def report_distances(hosts: Hosts, place: str, names: Iterable[str], *, squares: float, count: float) -> None:
    values = {"msd": squares / count, "ssd": squares}
    for name in names:
        report(hosts, place, name, values[name], kind="loss")
