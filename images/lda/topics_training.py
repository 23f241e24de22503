"""Training of lda: scikit-learn's latent Dirichlet allocation over whole passes of the corpus.

The hosted algorithm decomposes tensors, from several starts. Here several starts get a few passes each, and the best
one continues until a pass changes little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from sklearn.decomposition import LatentDirichletAllocation
from toolkit.data import InputFormat, Table, load_tables
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.metrics import report
from toolkit.training import Job
from topics_model import save

CHANNELS = ("train", "test")
INPUT_FORMAT = InputFormat(needs_labels=False, keep_sparse=True)
PASSES_TO_TRY_A_START = 5
PASSES_BETWEEN_MEASURES = 5

POSITIVE = Range(minimum=1)


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted LDA's hyperparameters; limits count passes of this solver, so their defaults differ."""

    num_topics: Annotated[int, POSITIVE, "Number of topics"]
    mini_batch_size: Annotated[int, POSITIVE, "Number of documents in the corpus; has no effect, as all are used"]
    feature_dim: Annotated[int | Auto, POSITIVE, "Number of words in the vocabulary; auto: as the data has"] = "auto"
    alpha0: Annotated[
        float, Range(above=0), "Sum of the mixtures' Dirichlet prior; small values give few topics per document"
    ] = 1.0
    max_restarts: Annotated[int, POSITIVE, "How many starting points to try; the best one is trained further"] = 10
    max_iterations: Annotated[int, POSITIVE, "Maximum number of passes over all documents"] = 100
    tol: Annotated[
        float, Range(above=0), "Stop when five passes change the log-likelihood per word by less than this"
    ] = 1e-4


def train(job: Job[Hyperparameters]) -> None:
    """Leave the topics in the model folder, and print how likely they make the words of the test channel."""
    settings = job.hyperparameters
    if len(job.hosts.names) > 1:
        raise ClientError("lda trains on one host, as the hosted algorithm does: set instances: 1")
    if settings.alpha0 > settings.num_topics:
        raise ClientError(
            f"hyperparameters: alpha0={settings.alpha0:g} is more than num_topics={settings.num_topics}: no topic's "
            "part of it may be above 1; lower alpha0"
        )
    tables = load_tables(job, CHANNELS, INPUT_FORMAT, feature_dim=settings.feature_dim)
    for name, table in tables.items():
        check_counts(name, table)

    documents = tables["train"].features
    topics = best_start(settings, documents)
    job.stop.keep_model()
    follow(job, topics, documents)
    require_finite(job.hosts, {"word counts": topics.components_}, tables)
    if "test" in tables:
        pwll = likelihood(topics, tables["test"].features)
        require_finite(job.hosts, {"test pwll": pwll}, tables)
        report(job.hosts, "test", "pwll", pwll)
    save(job.model_folder, topic_prior=topics.doc_topic_prior, word_counts=topics.components_)


def check_counts(name: str, table: Table) -> None:
    smallest, total = table.features.min(), table.features.sum()
    if smallest < 0:
        raise ClientError(f"channel {name}: a row has {smallest:g} of a word; rows are counts, 0 or more")
    if total == 0:
        raise ClientError(f"channel {name}: no row has a word")


def best_start(settings: Hyperparameters, documents: Any) -> LatentDirichletAllocation:
    starts = []
    for seed in range(settings.max_restarts):
        # With this decay and batch each partial_fit is one exact pass of variational Bayes.
        topics = LatentDirichletAllocation(
            settings.num_topics,
            doc_topic_prior=settings.alpha0 / settings.num_topics,
            learning_decay=0.0,
            batch_size=documents.shape[0],
            total_samples=documents.shape[0],
            random_state=seed,
        )
        for _ in range(min(PASSES_TO_TRY_A_START, settings.max_iterations)):
            topics.partial_fit(documents)
        starts.append(topics)
    return max(starts, key=lambda topics: likelihood(topics, documents)) if len(starts) > 1 else starts[0]


def follow(job: Job[Hyperparameters], topics: LatentDirichletAllocation, documents: Any) -> None:
    """Continue until five passes change little, the passes are used up, or the job is stopped."""
    settings, last = job.hyperparameters, -math.inf
    for number in range(PASSES_TO_TRY_A_START, settings.max_iterations + 1):
        if number % PASSES_BETWEEN_MEASURES == 0:
            now = likelihood(topics, documents)
            report(job.hosts, f"epoch={number}, train", "pwll", now)
            if now - last < settings.tol:
                return
            last = now
        if job.stop.requested or number == settings.max_iterations:
            return
        topics.partial_fit(documents)


def likelihood(topics: LatentDirichletAllocation, documents: Any) -> float:
    """scikit-learn's lower bound of the log-likelihood a word."""
    return float(-np.log(topics.perplexity(documents)))
