"""The hyperparameters of linear-learner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.solving import BY_SOLVER


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted linear learner's hyperparameters that have a meaning here."""

    predictor_type: Annotated[
        Literal["binary_classifier", "multiclass_classifier", "regressor"],
        "What the label is: 0 or 1, a class number, or a quantity",
    ]
    num_classes: Annotated[
        int | None, Range(minimum=2), "Number of classes, with labels 0 to num_classes-1; for multiclass_classifier"
    ] = None
    feature_dim: Annotated[int | Auto, Range(minimum=1), "Number of features; auto: as the data has"] = "auto"
    loss: Annotated[
        Literal[
            "auto",
            "logistic",
            "hinge_loss",
            "softmax_loss",
            "squared_loss",
            "absolute_loss",
            "eps_insensitive_squared_loss",
            "eps_insensitive_absolute_loss",
            "quantile_loss",
            "huber_loss",
        ],
        "auto: logistic, softmax_loss or squared_loss, depending on predictor_type",
    ] = "auto"
    margin: Annotated[
        float, Range(minimum=0), "How far from the decision boundary each row should be; for hinge_loss"
    ] = 1.0
    quantile: Annotated[
        float, Range(above=0, below=1), "Fraction of labels that should be below the prediction; for quantile_loss"
    ] = 0.5
    loss_insensitivity: Annotated[
        float, Range(above=0), "Errors up to this cost nothing in eps_insensitive losses; relative to normalised labels"
    ] = 0.01
    huber_delta: Annotated[
        float, Range(above=0), "Error at which huber_loss turns from squared to linear; relative to normalised labels"
    ] = 1.0
    epochs: Annotated[int, Range(minimum=1), "Maximum solver steps; each one reads all rows"] = 100
    l1: Annotated[float | Auto, Range(minimum=0), "L1 penalty on the weights; auto: 0"] = "auto"
    wd: Annotated[float | Auto, Range(minimum=0), "L2 penalty on the weights (weight decay); auto: 0.0001"] = "auto"
    use_bias: Annotated[bool, "Whether the model has an intercept"] = True
    normalize_data: Annotated[
        bool | Auto, "Whether to scale features to mean 0 and standard deviation 1 for training"
    ] = "auto"
    normalize_label: Annotated[bool | Auto, "Whether to scale the label in the same way; auto: only for regressor"] = (
        "auto"
    )
    positive_example_weight_mult: Annotated[
        float | Literal["balanced"],
        Range(above=0),
        "Weight of rows with label 1; balanced: both classes count the same",
    ] = 1.0
    balance_multiclass_weights: Annotated[bool, "Whether all classes count the same; for multiclass_classifier"] = False
    binary_classifier_model_selection_criteria: Annotated[
        Literal["accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision", "loss_function"],
        "Metric to tune a binary classifier's threshold for, on validation if given, otherwise on train; "
        "accuracy and loss_function leave it where both classes are equally likely",
    ] = "accuracy"
    target_recall: Annotated[float, Range(above=0, maximum=1), "Recall to reach; for precision_at_target_recall"] = 0.8
    target_precision: Annotated[
        float, Range(above=0, maximum=1), "Precision to reach; for recall_at_target_precision"
    ] = 0.8
    f_beta: Annotated[float, Range(above=0), "How many times as much recall counts as precision; for F scores"] = 1.0
    accuracy_top_k: Annotated[
        int,
        Range(minimum=1),
        "Number of likeliest classes that may include the right one; for multiclass_top_k_accuracy",
    ] = 3

    IGNORED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            *("mini_batch_size", "optimizer", "learning_rate", "momentum", "beta_1", "beta_2"),
            *("bias_lr_mult", "bias_wd_mult", "use_lr_scheduler", "lr_scheduler_step"),
            *("lr_scheduler_factor", "lr_scheduler_minimum_lr", "init_method", "init_scale", "init_sigma", "init_bias"),
            *("num_models", "early_stopping_patience", "early_stopping_tolerance", "num_point_for_scaler"),
            *("num_calibration_samples", "unbias_data", "unbias_label"),
        ),
        BY_SOLVER,
    )
