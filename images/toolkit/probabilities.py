"""Margins to probabilities."""

from __future__ import annotations

import numpy as np

from toolkit.rows import FloatArray


def sigmoid(margins: FloatArray) -> FloatArray:
    """1 / (1 + exp(-margins)), computed by tanh, which does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * margins))


def softmax(margins: FloatArray) -> FloatArray:
    """Shares that sum to 1 in each row."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return shares
