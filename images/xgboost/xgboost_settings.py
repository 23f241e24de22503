"""The hosted algorithm's hyperparameters: what they may be, alone and together, and what XGBoost is given of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from toolkit.errors import ClientError
from toolkit.hyperparameters import Declaration, Range, Words
from xgboost_metrics import METRICS, OWN, check_metrics, metrics_asked

NOT_NEGATIVE = Range(minimum=0)
SHARE = Range(minimum=0, maximum=1)
SHARE_ABOVE_0 = Range(above=0, maximum=1)
Objective = Literal[
    "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:logistic", "reg:pseudohubererror",
    "reg:absoluteerror", "reg:gamma", "reg:tweedie", "count:poisson", "survival:cox", "survival:aft",
    "binary:logistic", "binary:logitraw", "binary:hinge", "multi:softmax", "multi:softprob",
]  # fmt: skip
UPDATERS = (
    "grow_colmaker", "grow_histmaker", "grow_quantile_histmaker", "prune", "refresh", "sync",
    "shotgun", "coord_descent",
)  # fmt: skip
SIGNS = r"\s*[(\[]?\s*(-?1|0)(\s*,\s*(-?1|0))*\s*,?\s*[)\]]?\s*"
UPDATERS_OF_TREES_THAT_ARE_THERE = {"refresh", "prune", "sync"}


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted algorithm's; one that is not given keeps XGBoost's own default."""

    num_round: Annotated[int, Range(minimum=1), "Number of boosting rounds"]
    objective: Annotated[
        Objective, "Learning objective; ranking objectives need groups, which these file formats cannot hold"
    ] = "reg:squarederror"
    num_class: Annotated[
        int | None, Range(minimum=2), "Number of classes, with labels 0 to num_class-1; for multi:*"
    ] = None
    eval_metric: Annotated[
        tuple[str, ...] | None, Words(METRICS), "Metrics to print each round, a list; default: the objective's own"
    ] = None
    early_stopping_rounds: Annotated[
        int | None, Range(minimum=1), "Stop when the last metric on validation has not improved for this many rounds"
    ] = None
    csv_weights: Annotated[int, Range(minimum=0, maximum=1), "1: the second CSV column is the row's weight"] = 0
    booster: Annotated[Literal["gbtree", "gblinear", "dart"] | None, "Trees, a linear model, or trees with dropout"] = (
        None
    )
    eta: Annotated[float | None, SHARE, "Step size shrinkage"] = None
    learning_rate: Annotated[float | None, SHARE, "Another name of eta"] = None
    gamma: Annotated[float | None, NOT_NEGATIVE, "Minimum loss reduction for a split"] = None
    min_split_loss: Annotated[float | None, NOT_NEGATIVE, "Another name of gamma"] = None
    max_depth: Annotated[int | None, NOT_NEGATIVE, "Maximum depth of a tree; 0: no limit"] = None
    max_leaves: Annotated[int | None, NOT_NEGATIVE, "Maximum leaves of a tree; 0: no limit"] = None
    min_child_weight: Annotated[float | None, NOT_NEGATIVE, "Minimum sum of row weights in a leaf"] = None
    max_delta_step: Annotated[float | None, NOT_NEGATIVE, "Maximum step of a leaf; 0: no limit"] = None
    subsample: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the rows used for each tree"] = None
    sampling_method: Annotated[
        Literal["uniform", "gradient_based"] | None, "How the rows of a tree are drawn, if subsample is below 1"
    ] = None
    colsample_bytree: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the columns used for each tree"] = None
    colsample_bylevel: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the columns used for each level"] = None
    colsample_bynode: Annotated[float | None, SHARE_ABOVE_0, "Fraction of the columns used for each split"] = None
    lambda_: Annotated[float | None, NOT_NEGATIVE, "L2 penalty on leaf values"] = None
    reg_lambda: Annotated[float | None, NOT_NEGATIVE, "Another name of lambda"] = None
    alpha: Annotated[float | None, NOT_NEGATIVE, "L1 penalty on leaf values"] = None
    reg_alpha: Annotated[float | None, NOT_NEGATIVE, "Another name of alpha"] = None
    tree_method: Annotated[Literal["auto", "exact", "approx", "hist"] | None, "How splits are searched"] = None
    grow_policy: Annotated[Literal["depthwise", "lossguide"] | None, "Which node is split next"] = None
    max_bin: Annotated[int | None, Range(minimum=2), "Number of histogram bins for each feature"] = None
    num_parallel_tree: Annotated[int | None, Range(minimum=1), "Number of trees per round"] = None
    scale_pos_weight: Annotated[float | None, Range(above=0), "Weight of rows with label 1"] = None
    base_score: Annotated[float | None, "Initial prediction, before the first tree"] = None
    tweedie_variance_power: Annotated[float | None, Range(above=1, below=2), "Variance power of reg:tweedie"] = None
    huber_slope: Annotated[float | None, Range(above=0), "Error at which reg:pseudohubererror turns linear"] = None
    aft_loss_distribution: Annotated[
        Literal["normal", "logistic", "extreme"] | None, "Distribution of the noise, for survival:aft"
    ] = None
    aft_loss_distribution_scale: Annotated[float | None, Range(above=0), "Scale of that noise, for survival:aft"] = None
    monotone_constraints: Annotated[str | None, "One sign per feature: (1,0,-1)"] = None
    interaction_constraints: Annotated[str | None, "Groups of features that may interact in a tree: [[0,1],[2,3]]"] = (
        None
    )
    sample_type: Annotated[Literal["uniform", "weighted"] | None, "How dart chooses trees to drop"] = None
    normalize_type: Annotated[Literal["tree", "forest"] | None, "How dart weights a new tree"] = None
    rate_drop: Annotated[float | None, SHARE, "Fraction of the trees that dart drops"] = None
    one_drop: Annotated[int | None, Range(minimum=0, maximum=1), "1: dart always drops at least one tree"] = None
    skip_drop: Annotated[float | None, SHARE, "Probability that dart drops nothing"] = None
    updater: Annotated[tuple[str, ...] | None, Words(UPDATERS), "XGBoost's updaters, a list"] = None
    process_type: Annotated[
        Literal["default", "update"] | None, "update: change the trees of the latest checkpoint, instead of adding more"
    ] = None
    refresh_leaf: Annotated[
        int | None, Range(minimum=0, maximum=1), "Whether the updater refresh changes leaves, too"
    ] = None
    seed: Annotated[int | None, "Seed of all random choices"] = None
    nthread: Annotated[int | None, Range(minimum=1), "Number of threads; default: one per CPU"] = None
    verbosity: Annotated[
        int | None, Range(minimum=0, maximum=3), "XGBoost's own log, from 0 (nothing) to 3 (everything)"
    ] = None
    _kfold: Annotated[int | None, Range(minimum=2), "Cross-validate in so many folds, and keep the model of each"] = (
        None
    )
    _num_cv_round: Annotated[int, Range(minimum=1), "How often to cross-validate, each time in other folds"] = 1
    _tuning_objective_metric: Annotated[
        str | None, "A metric to print and to stop early by, as validation:auc; a tuning job sets it"
    ] = None

    IGNORED: ClassVar[Mapping[str, str]] = {
        "sketch_eps": "XGBoost no longer has it; max_bin is its successor",
        "predictor": "XGBoost chooses automatically",
        "deterministic_histogram": "histograms are always deterministic",
        "single_precision_histogram": "XGBoost no longer has it",
        "save_model_on_termination": "the model is always kept when training is stopped",
        "dsplit": "rows are split by file",
        "lambda_bias": "XGBoost no longer has it: the bias of gblinear is not penalised",
        "prob_buffer_row": "XGBoost no longer has it",
        "use_dask_gpu_training": "there are no GPUs here; all hosts always train together",
        "silent": "XGBoost no longer has it; verbosity is its successor",
    }

    @property
    def metrics(self) -> tuple[str, ...]:
        """What to print, in this order; empty: the objective's own metric. The last is what stops early."""
        return metrics_asked(self.eval_metric or (), self._tuning_objective_metric, self.tweedie_variance_power)

    @property
    def folds(self) -> int:
        """0: train one model of all rows."""
        return self._kfold or 0

    @property
    def repeats(self) -> int:
        return self._num_cv_round

    @property
    def is_classifier(self) -> bool:
        return self.objective.startswith(("binary:", "multi:"))

    @property
    def border(self) -> float:
        """Of two classes: above which a score means label 1."""
        return 0.0 if self.objective == "binary:logitraw" else 0.5


NOT_FOR_BOOSTER = {
    "num_round", "eval_metric", "early_stopping_rounds", "csv_weights",
    "_kfold", "_num_cv_round", "_tuning_objective_metric",
}  # fmt: skip
OTHER_NAMES = {"learning_rate": "eta", "min_split_loss": "gamma", "reg_lambda": "lambda_", "reg_alpha": "alpha"}


def check_settings(settings: Hyperparameters, *, has_validation: bool) -> None:
    """Raises ClientError for settings that do not go together."""
    problem = next(_problems(settings, has_validation), None)
    if problem:
        raise ClientError(f"hyperparameters: {problem}")
    check_metrics(settings.metrics, settings.objective)


def _problems(settings: Hyperparameters, has_validation: bool) -> Any:
    for name, other in OTHER_NAMES.items():
        if getattr(settings, name) is not None and getattr(settings, other) is not None:
            yield f"{name} is another name of {other.rstrip('_')}: give one of them"
    is_multi = settings.objective.startswith("multi:")
    if settings.num_class is not None and not is_multi:
        yield f"num_class is for multi:softmax and multi:softprob, not for {settings.objective}"
    if settings.early_stopping_rounds and not has_validation and not settings.folds:
        yield "early_stopping_rounds needs a validation channel"
    if settings.sampling_method == "gradient_based" and settings.tree_method == "exact":
        yield "sampling_method=gradient_based is for tree_method hist and approx, not for exact"
    if settings.monotone_constraints and not re.fullmatch(SIGNS, settings.monotone_constraints):
        yield f"monotone_constraints={settings.monotone_constraints}: must be 1, 0 or -1 for each feature: (1,0,-1)"
    if settings._tuning_objective_metric and not set(settings.metrics[-1:]) <= set(METRICS):
        yield f"_tuning_objective_metric={settings._tuning_objective_metric} is no metric of xgboost's"
    if settings.repeats > 1 and not settings.folds:
        yield "_num_cv_round repeats _kfold, which is not given"
    yield from _problems_of_updaters(settings)


def _problems_of_updaters(settings: Hyperparameters) -> Any:
    if settings.process_type != "update":
        return
    updaters = set(settings.updater or ())
    if not updaters or not updaters <= UPDATERS_OF_TREES_THAT_ARE_THERE:
        yield "process_type=update changes trees that are there: give updater refresh or prune"
    if settings.folds:
        yield "process_type=update changes the trees of a checkpoint, and _kfold trains models of its own: give one"


def booster_parameters(settings: Hyperparameters) -> dict[str, Any]:
    """XGBoost's parameters, by its own names."""
    given = {name.rstrip("_"): value for name, value in dataclasses.asdict(settings).items() if value is not None}
    parameters = {name: value for name, value in given.items() if name not in NOT_FOR_BOOSTER}
    if settings.objective == "reg:linear":  # the old name, gone from XGBoost
        parameters["objective"] = "reg:squarederror"
    if settings.updater:
        parameters["updater"] = ",".join(settings.updater)
    if settings.monotone_constraints:
        parameters["monotone_constraints"] = f"({settings.monotone_constraints.strip().strip('()[]')})"
    if metrics := [name for name in settings.metrics if name not in OWN]:
        parameters["eval_metric"] = metrics
    return parameters
