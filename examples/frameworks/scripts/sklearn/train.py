"""Handwritten digits by logistic regression. The defaults serve model.joblib; predict_fn here answers probabilities."""

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression


def predict_fn(data, model):
    return model.predict_proba(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--inverse-penalty", type=float, default=1.0)
    parser.add_argument("--max-iter", type=int, default=100)
    settings = parser.parse_args()

    rows = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"], "digits.csv"), delimiter=",")
    model = LogisticRegression(C=settings.inverse_penalty, max_iter=settings.max_iter).fit(rows[:, 1:], rows[:, 0])
    print(f"train:accuracy={model.score(rows[:, 1:], rows[:, 0]):.4f}")
    joblib.dump(model, Path(os.environ["SM_MODEL_DIR"], "model.joblib"))
