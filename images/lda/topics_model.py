"""The model of lda as it is served: the topics' words, and the prior of a document's mixture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import psi
from toolkit import arrays
from toolkit.formats import Prediction
from toolkit.model import Model, Request
from toolkit.rows import FloatArray

FILE_NAME = "lda.npz"
MOST_STEPS = 100
SETTLED_WHEN_COUNTS_CHANGE_LESS_THAN = 1e-3  # on average over the topics; both as in scikit-learn
SMALLEST = np.finfo(np.float64).eps


def save(folder: Path, *, topic_prior: float, word_counts: FloatArray) -> None:
    """`word_counts`, of shape (topics, words), says how often each topic gave each word, priors included."""
    arrays.save(folder / FILE_NAME, topic_prior=topic_prior, words=expected_shares(word_counts))


def expected_shares(counts: FloatArray) -> FloatArray:
    """exp(E[log share]) of each row's Dirichlet distribution, unlike shares not quite of sum 1."""
    shares: FloatArray = np.exp(psi(counts) - psi(counts.sum(axis=1, keepdims=True)))
    return shares


class TopicModel(Model):
    """One column `topic_mixture`, a list of shares a row."""

    def __init__(self, folder: Path) -> None:
        given = arrays.load(folder / FILE_NAME)
        self.topic_prior: float = given["topic_prior"]
        self.words: FloatArray = given["words"]
        self.feature_count = self.words.shape[1]

    def predict(self, rows: FloatArray, request: Request) -> Prediction:  # noqa: ARG002
        """The mean of each document's mixture given its words, by variational Bayes (Blei, Ng, Jordan 2003)."""
        if rows.min() < 0:
            raise ValueError("words are counted: a count below 0 makes no sense")
        counts = np.ones((len(rows), len(self.words)))  # of a document's words by topic
        moving = np.arange(len(rows))
        for _ in range(MOST_STEPS):
            last, documents = counts[moving], rows[moving]
            mixtures = expected_shares(last)
            chances = mixtures @ self.words + SMALLEST
            counts[moving] = self.topic_prior + mixtures * ((documents / chances) @ self.words.T)
            changes = np.abs(counts[moving] - last).mean(axis=1)
            moving = moving[changes >= SETTLED_WHEN_COUNTS_CHANGE_LESS_THAN]
            if not len(moving):
                break
        return {"topic_mixture": counts / counts.sum(axis=1, keepdims=True)}
