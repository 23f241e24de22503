"""Training of xgboost: the hosted algorithm's hyperparameters, passed to XGBoost.

XGBoost itself joins the hosts: inside the toolkit's connection every histogram is summed over all
of them, and each ends with the same model. A CSV field left empty and a libsvm index left out are
missing values.
"""

from __future__ import annotations

from dataclasses import replace

from toolkit.checkpoints import Checkpoints
from toolkit.data import InputFormat, load_tables
from toolkit.media import LIBSVM
from toolkit.training import Job
from xgboost_boosting import boost
from xgboost_errors import plain_errors
from xgboost_files import FILE_NAME
from xgboost_folds import train_folds
from xgboost_rows import check_rows, label_rule
from xgboost_settings import Hyperparameters, check_settings

__all__ = ["Hyperparameters", "train"]

CHANNELS = ("train", "validation")
INPUT_FORMAT = InputFormat(default_type=LIBSVM, allow_missing=True, keep_sparse=True, takes_weights=True)


def train(job: Job[Hyperparameters]) -> None:
    """Train, print every metric each round, and leave the model with the master."""
    settings = job.hyperparameters
    check_settings(settings, has_validation="validation" in job.channels)
    tables = load_tables(job, CHANNELS, input_format_of(settings))
    check_rows(job, tables)
    job.stop.keep_model()
    with plain_errors():
        if settings.folds:
            train_folds(job, tables)
            return
        booster, _ = boost(job, tables, Checkpoints(job.checkpoint_folder, "xgboost-checkpoint"))
    if job.hosts.is_master:
        (job.model_folder / FILE_NAME).write_bytes(booster.save_raw("ubj"))


def input_format_of(settings: Hyperparameters) -> InputFormat:
    """How rows are read: whether a column of CSV is their weight, and which labels fit the objective."""
    is_for_classes = settings.objective.startswith(("binary:", "multi:")) or settings.objective == "reg:logistic"
    hint = f"objective={settings.objective} learns quantities; binary:logistic and multi:softprob learn classes"
    quantities = "" if is_for_classes else hint
    rule = label_rule(settings)
    return replace(INPUT_FORMAT, csv_weights=settings.csv_weights == 1, quantities=quantities, label_rule=rule)
