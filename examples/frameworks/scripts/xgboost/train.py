"""Handwritten digits with boosted trees, in your own script; served by the default handlers."""

import argparse
import os
from pathlib import Path

import numpy as np
import xgboost

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    settings = parser.parse_args()

    rows = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"], "digits.csv"), delimiter=",")
    data = xgboost.DMatrix(rows[:, 1:], rows[:, 0])
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 10}, data, settings.rounds)
    model = Path(os.environ["SM_MODEL_DIR"], "model.ubj")  # the ending says in which format
    booster.save_model(model)
    model.rename(model.with_name("xgboost-model"))
