"""Training of pca: principal components from sums that every host adds its rows to.

`regular` adds up the covariance of all features and decomposes it. `randomized` multiplies a few random directions by
the covariance, without forming it, until they span where the variance is (Halko, Martinsson and Tropp,
arXiv:0909.4061, algorithm 4.4). Either way N hosts find the components of one. They are saved in order of their
variance, the largest last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pca_model import save
from toolkit.data import InputFormat, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.metrics import report
from toolkit.moments import means_of
from toolkit.rows import FloatArray
from toolkit.sparse import require_memory
from toolkit.training import Job

SEED = 0
CHANNELS = ("train", "test")
LEAST_EXTRA_COMPONENTS = 10
POWER_STEPS = 7  # as scikit-learn for few components
COPIES = 3  # of the covariances, while they are decomposed
SAME_SIZE = 1e-9  # relative: numbers of a component that count as equally large


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted PCA's hyperparameters that have a meaning here."""

    num_components: Annotated[int, Range(minimum=1), "Number of components, at most as many as features"]
    feature_dim: Annotated[int | Auto, Range(minimum=1), "Number of features; auto: as the data has"] = "auto"
    algorithm_mode: Annotated[
        Literal["regular", "randomized"],
        "regular: all covariances at once; randomized: an approximation for many features",
    ] = "regular"
    subtract_mean: Annotated[bool, "Whether to shift features to mean 0, in training and in serving"] = True
    extra_components: Annotated[
        int,
        Range(minimum=-1),
        "Directions computed in addition to num_components; -1: as many again, at least 10; for randomized",
    ] = -1

    IGNORED: ClassVar[Mapping[str, str]] = {"mini_batch_size": "sums go over all rows, there are no batches"}


def train(job: Job[Hyperparameters]) -> None:
    """Leave the components with the master, and print how much of the variance they explain."""
    settings, hosts = job.hyperparameters, job.hosts
    tables = load_tables(job, CHANNELS, InputFormat(needs_labels=False), feature_dim=settings.feature_dim)
    rows = np.asarray(tables["train"].features)
    if settings.num_components > rows.shape[1]:
        raise ClientError(
            f"hyperparameters: num_components={settings.num_components} is more than the number of features, "
            f"{rows.shape[1]}"
        )
    check_room(settings, rows.shape[1])
    count, mean = means_of(hosts, rows)
    if not settings.subtract_mean:
        mean = np.zeros_like(mean)

    find = regular if settings.algorithm_mode == "regular" else randomized
    rows = rows - mean
    require_finite(hosts, {"squared lengths of rows": np.einsum("ij,ij->i", rows, rows)}, tables)
    components, squares = find(hosts, rows, settings)
    variances = squares / np.maximum(count - 1.0, 1.0)
    require_finite(hosts, {"components": components, "variances": variances, "means": mean}, tables)
    for name, table in tables.items():
        share = explained(hosts, np.asarray(table.features) - mean, components)
        if np.isfinite(share):
            report(hosts, name, "explained_variance_ratio", share)
        elif hosts.is_master:
            print(f"{name}: explained_variance_ratio is not computed: all rows are the same", flush=True)
    if hosts.is_master:
        save(job.model_folder, mean=mean, components=components, variances=variances)


def check_room(settings: Hyperparameters, width: int) -> None:
    """Raise ClientError if the covariances of so many features do not fit."""
    if settings.algorithm_mode == "regular":
        what = f"the covariances of {width} features"
        require_memory(COPIES * 8 * width**2, what, "set algorithm_mode: randomized")


def regular(hosts: Hosts, rows: FloatArray, settings: Hyperparameters) -> tuple[FloatArray, FloatArray]:
    """Components of shape (components, features), and the sum of the squares along each."""
    squares, directions = np.linalg.eigh(hosts.sum(rows.T @ rows))
    return _largest(hosts, squares, directions, settings.num_components)


def randomized(hosts: Hosts, rows: FloatArray, settings: Hyperparameters) -> tuple[FloatArray, FloatArray]:
    """The same, nearly: exact if the directions are as many as the features."""
    wanted = settings.num_components
    extra = max(wanted, LEAST_EXTRA_COMPONENTS) if settings.extra_components == -1 else settings.extra_components
    directions = np.random.default_rng(SEED).normal(size=(rows.shape[1], min(wanted + extra, rows.shape[1])))
    for _ in range(POWER_STEPS):
        directions = np.linalg.qr(hosts.sum(rows.T @ (rows @ directions)))[0]
    projected = rows @ directions
    squares, turns = np.linalg.eigh(hosts.sum(projected.T @ projected))
    return _largest(hosts, squares, directions @ turns, wanted)


def _largest(hosts: Hosts, squares: FloatArray, directions: FloatArray, wanted: int) -> tuple[FloatArray, FloatArray]:
    """The last `wanted` columns, in their order, pointing where their largest number is positive."""
    components = directions[:, -wanted:].T
    sizes = np.abs(components)
    first_large = (sizes >= sizes.max(axis=1, keepdims=True) * (1.0 - SAME_SIZE)).argmax(axis=1)
    signs = np.where(components[np.arange(wanted), first_large] < 0, -1.0, 1.0)
    return hosts.from_master((components * signs[:, np.newaxis], np.maximum(squares[-wanted:], 0.0)))


def explained(hosts: Hosts, rows: FloatArray, components: FloatArray) -> float:
    """The share of the rows' squared lengths that is left in their projections."""
    kept, whole = hosts.sum(np.array([np.square(rows @ components.T).sum(), np.square(rows).sum()]))
    return float(kept / whole) if whole else np.nan
