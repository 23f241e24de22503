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
from toolkit.sparse import Rows, as_sparse, dense, gathered_rows, require_memory, thinned
from toolkit.training import Job, Stop

SEED = 0
CHANNELS = ("train", "test")
METRICS = ("msd", "ssd")
LEAST_SAMPLE = 10_000
EXTRA_CENTERS = 4  # times k
TRIALS = 10
INPUT_FORMAT = InputFormat(needs_labels=False, keep_sparse=True)
COPIES = 8  # of the centers, while they are moved
WIDE = 4096  # features from which on rows are scrambled by their entries
BLOCK_ROWS = 1024
LOWER_K = "lower k or extra_center_factor"
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
        "force_dense": "rows stay sparse where that takes less memory",  # sent by the SDK's KMeans
    }


def train(job: Job[Hyperparameters]) -> None:
    """Leave the centers with the master, and print how close the rows are to them."""
    settings, hosts = job.hyperparameters, job.hosts
    names = metrics_asked(settings.eval_metrics, METRICS)
    tables = thinned(hosts, load_tables(job, CHANNELS, INPUT_FORMAT, feature_dim=settings.feature_dim))
    rows = tables["train"].features
    means, variances = moments_of(hosts, rows)
    require_finite(hosts, {"variances of features": variances}, tables)

    if not isinstance(rows, np.ndarray):  # shifted, they would be sparse no more
        means = np.zeros_like(means)
    steps = Steps(hosts, shifted(rows, means), job.stop)  # near 0 less is lost to rounding
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
        _, squares = closest_centers(shifted(table.features, means), centers)
        total, count = hosts.sum(np.array([squares.sum(), float(len(squares))]))
        require_finite(hosts, {"centers": centers + means, f"{name} msd": total / count}, tables)
        report_distances(hosts, name, names, squares=total, count=count)
    if hosts.is_master:
        save(job.model_folder, centers + means)


def shifted(rows: Rows, means: FloatArray) -> Rows:
    return rows - means if means.any() else rows


class Steps:
    """Lloyd's steps over all hosts' rows; after each, what it found about the centers it was given."""

    def __init__(self, hosts: Hosts, rows: Rows, stop: Stop) -> None:
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
        sums_of_rows = of_center.T @ self.rows
        if not isinstance(sums_of_rows, np.ndarray):
            sums_of_rows = sums_of_rows.toarray()
        totals = np.column_stack([sums_of_rows, np.bincount(closest, minlength=len(centers))])
        facts = [squares.sum(), float(self.stop.requested)]
        sums = self.hosts.sum(np.concatenate([totals.ravel(), facts]))
        totals = sums[: totals.size].reshape(totals.shape)
        self.counts, self.squares, self.must_stop = totals[:, -1], float(sums[-2]), sums[-1] > 0
        # All hosts continue with the master's centers: hosts that differ in a bit might not stop together.
        filled = np.maximum(self.counts, 1.0)[:, np.newaxis]
        middles = np.where(self.counts[:, np.newaxis] > 0, totals[:, :-1] / filled, centers)
        return self.hosts.from_master(middles)


def first_centers(hosts: Hosts, rows: Rows, settings: Hyperparameters) -> FloatArray:
    """Centers for the first steps, the same on every host: rows of a sample, no two of them equal."""
    factor = EXTRA_CENTERS if settings.extra_center_factor == "auto" else settings.extra_center_factor
    wanted = settings.k * factor
    sample = different_rows(hosts, rows, max(LEAST_SAMPLE, 20 * wanted))
    found = sample.shape[0]
    if found < settings.k:
        raise ClientError(
            f"hyperparameters: k={settings.k}, but channel train has only "
            f"{found} different row{'s' * (found > 1)}; lower k"
        )
    require_memory(COPIES * 8 * wanted * rows.shape[1], f"{wanted} first centers of {rows.shape[1]} features", LOWER_K)
    if found <= wanted or settings.init_method == "random":
        return dense(sample[:wanted])
    from sklearn.cluster import kmeans_plusplus

    centers, _ = kmeans_plusplus(sample, wanted, random_state=SEED)
    return hosts.from_master(np.asarray(centers))


def different_rows(hosts: Hosts, rows: Rows, size: int) -> Rows:
    """At most `size` different rows of all hosts, in an order that is random and always the same."""
    found = _smallest(rows, size)
    return _smallest(gathered_rows(hosts, found), size)


def _smallest(rows: Rows, size: int) -> Rows:
    keys = scrambled_entries(as_sparse(rows)) if rows.shape[1] > WIDE else _scrambled_by_block(rows)
    _, places = np.unique(keys, return_index=True)
    return rows[places[:size]]


def _scrambled_by_block(rows: Rows) -> NDArray[np.uint64]:
    parts = [_scrambled(dense(rows[start : start + BLOCK_ROWS])) for start in range(0, rows.shape[0], BLOCK_ROWS)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _scrambled(rows: FloatArray) -> NDArray[np.uint64]:
    """A number that looks random for each row, and is the same for the same row; shape (rows,).

    Mixes the bits column after column.
    """
    bits = np.ascontiguousarray(rows + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    keys = np.zeros(len(rows), np.uint64)
    for column in bits.T:
        keys = mixed(keys ^ column)
    return keys


def scrambled_entries(rows: csr_array) -> NDArray[np.uint64]:
    """The same for wide rows, in time that grows with their entries: zeros count for nothing, written or not."""
    bits = np.ascontiguousarray(rows.data + 0.0).view(np.uint64)
    parts = np.where(rows.data == 0, np.uint64(0), mixed(bits ^ mixed(rows.indices.astype(np.uint64))))
    totals = np.concatenate([np.zeros(1, np.uint64), np.cumsum(parts)])
    return mixed(totals[rows.indptr[1:]] - totals[rows.indptr[:-1]])


def mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number turned into one that looks random, as splitmix64 does."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


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
