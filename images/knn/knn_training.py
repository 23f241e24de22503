"""Training of knn: a sample of all hosts' rows becomes the points that are searched.

Which rows are sampled follows from their place in the files of all hosts, host after host, so N
hosts keep the points that one host with all files would keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from knn_model import Index, unit_length
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hosts import Hosts
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.metrics import report
from toolkit.rows import FloatArray
from toolkit.sampling import draw_rows
from toolkit.sparse import dense, require_memory, thinned
from toolkit.training import Job

SEED = 0
CHANNELS = ("train", "test")
COPIES = 3  # of a projection, while it is made
EXACT = "the search here is exact, whatever the index"


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted k-NN's hyperparameters."""

    k: Annotated[int, Range(minimum=1), "Number of nearest neighbours"]
    predictor_type: Annotated[
        Literal["classifier", "regressor"], "Whether the neighbours' labels are counted or averaged"
    ]
    sample_size: Annotated[int, Range(minimum=1), "How many rows to keep, over all hosts; all if there are fewer"]
    feature_dim: Annotated[int | Auto, Range(minimum=1), "Number of features; auto: as the data has"] = "auto"
    dimension_reduction_type: Annotated[
        Literal["sign", "fjlt"] | None, "Random projection with signs, or with a Hadamard transform"
    ] = None
    dimension_reduction_target: Annotated[
        int | None, Range(minimum=1), "Number of features after the reduction, fewer than before"
    ] = None
    index_type: Annotated[
        Literal["faiss.Flat", "faiss.IVFFlat", "faiss.IVFPQ"], "Here, every type searches exactly, as faiss.Flat does"
    ] = "faiss.Flat"
    index_metric: Annotated[
        Literal["L2", "INNER_PRODUCT", "COSINE"], "Euclidean distance, or similarity by inner product or by angle"
    ] = "L2"

    IGNORED: ClassVar[Mapping[str, str]] = {
        "faiss_index_ivf_nlists": EXACT,
        "faiss_index_pq_m": EXACT,
        "mini_batch_size": "rows are read in blocks of the reader's own size",
    }


def train(job: Job[Hyperparameters]) -> None:
    """Leave the points with the master, and print how well they predict the test channel."""
    settings = job.hyperparameters
    check_settings(settings)
    hint = "predictor_type=regressor learns quantities; classifier learns classes"
    input_format = InputFormat(keep_sparse=True, quantities=hint if settings.predictor_type == "regressor" else "")
    tables = thinned(job.hosts, load_tables(job, CHANNELS, input_format, feature_dim=settings.feature_dim))

    check_reduction(settings, tables["train"].features.shape[1])
    sample = sample_of(job.hosts, tables["train"], settings.sample_size)
    if settings.k > len(sample.labels):
        raise ClientError(
            f"hyperparameters: k={settings.k}, but the sample has only {len(sample.labels)} "
            f"row{'s' * (len(sample.labels) > 1)}; lower k, or raise sample_size and give more rows"
        )
    index = index_of(settings, sample)
    require_finite(job.hosts, {"lengths of points": index.squares, "labels": index.labels}, tables)
    if "test" in tables:
        report_quality(job.hosts, index, tables)
    if job.hosts.is_master:
        index.save(job.model_folder)


def check_settings(settings: Hyperparameters) -> None:
    kind, target = settings.dimension_reduction_type, settings.dimension_reduction_target
    if kind and target is None:
        raise ClientError(f"hyperparameters: dimension_reduction_type={kind} needs dimension_reduction_target")
    if target is not None and not kind:
        raise ClientError("hyperparameters: dimension_reduction_target needs dimension_reduction_type, sign or fjlt")
    if settings.index_type == "faiss.IVFPQ" and settings.index_metric != "L2":
        raise ClientError(
            f"hyperparameters: index_metric={settings.index_metric} does not go with faiss.IVFPQ; L2 does"
        )
    if settings.index_type != "faiss.Flat":
        print(f"hyperparameter index_type={settings.index_type} acts as faiss.Flat: {EXACT}", flush=True)


def check_reduction(settings: Hyperparameters, width: int) -> None:
    target = settings.dimension_reduction_target
    if target is not None and target >= width:
        raise ClientError(
            f"hyperparameters: dimension_reduction_target={target} must be below the number of features, {width}"
        )


def sample_of(hosts: Hosts, table: Table, size: int) -> Table:
    place = hosts.numbered(len(table.labels))
    labels, features = (
        draw_rows(hosts, rows, size, place=place, seed=SEED) for rows in (table.labels[:, np.newaxis], table.features)
    )
    return Table(dense(labels)[:, 0], features)


def index_of(settings: Hyperparameters, sample: Table) -> Index:
    projection = projection_of(settings, sample.features.shape[1])
    points = sample.features @ projection if projection.size else sample.features
    return Index(
        k=settings.k,
        is_classifier=settings.predictor_type == "classifier",
        metric=settings.index_metric,
        projection=projection,
        points=unit_length(points) if settings.index_metric == "COSINE" else points,
        labels=sample.labels,
    )


def projection_of(settings: Hyperparameters, width: int) -> FloatArray:
    """Shape (width, target), keeping lengths on average; (width, 0) without a reduction.

    `sign` draws each entry from -1 and 1. `fjlt` flips features at random and takes columns of the
    Hadamard matrix, after Ailon and Chazelle's fast transform (doi:10.1145/1132516.1132597); as the
    columns are few, the product is made at once and not by the butterfly.
    """
    target = settings.dimension_reduction_target or 0
    what = f"a projection from {width} to {target} features"
    require_memory(COPIES * 8 * width * target, what, "lower dimension_reduction_target")
    rng = np.random.default_rng(SEED)
    matrix: FloatArray
    if settings.dimension_reduction_type != "fjlt":
        matrix = rng.choice([-1.0, 1.0], (width, target)) / np.sqrt(max(target, 1))
        return matrix
    signs = rng.choice([-1.0, 1.0], (width, 1))
    columns = rng.choice(1 << (width - 1).bit_length(), target, replace=False)
    is_odd = np.bitwise_count(np.arange(width)[:, np.newaxis] & columns) % 2 == 1
    matrix = signs * np.where(is_odd, -1.0, 1.0) / np.sqrt(target)
    return matrix


def report_quality(hosts: Hosts, index: Index, tables: Mapping[str, Table]) -> None:
    table = tables["test"]
    predicted = index.decide(index.search(table.features)[0]) if len(table.labels) else table.labels
    predicted, labels = hosts.gathered(predicted), hosts.gathered(table.labels)
    name, score = ("accuracy", predicted == labels) if index.is_classifier else ("mse", (predicted - labels) ** 2)
    require_finite(hosts, {f"test {name}": np.mean(score)}, tables)
    report(hosts, "test", name, float(np.mean(score)))
