"""Models of scikit-learn as subjects of `onnx_convert`, with those of XGBoost and LightGBM that have its interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit import onnx_samples
from toolkit.onnx_convert import Subject
from toolkit.onnx_form import NoForm
from toolkit.onnx_trees import retyped, widened


def subject_of(model: Any) -> Subject:
    """Raises NoForm for what is no fitted estimator."""
    if not hasattr(model, "predict") or not hasattr(model, "n_features_in_"):
        raise NoForm(f"it is a {type(model).__name__}, which is no model of scikit-learn, XGBoost or LightGBM")
    names = tuple(map(str, getattr(model, "feature_names_in_", ())))
    width = int(model.n_features_in_)
    columns = _columns_of(model) if names else None
    rows = onnx_samples.table(columns)[list(names)] if columns else onnx_samples.matrix(model, width)

    def inputs(way: str) -> tuple[tuple[str, str], ...]:
        kind = "float" if way == "float" else "double"
        if not columns:
            return (("rows", kind),)
        return tuple((name, kind if of == "number" else of) for name, (of, _) in columns.items() if of != "unused")

    def graph(way: str) -> bytes:
        if way == "wide":
            return widened(_graph(model, (("rows", "float"),), width), onnx_samples.by_feature(model))
        return retyped(_graph(_with_cast(model) if way == "cast" else model, inputs(way), width))

    return Subject(
        model=model,
        width=width,
        predict=model.predict,
        rows=rows,
        graph=graph,
        inputs=inputs,
        names=names,
        by_column=bool(columns),
        kinds=_ways(model),
    )


def _ways(model: Any) -> tuple[str, ...]:
    """Trees compare in float32, but for those of LightGBM and of histograms; steps before them compute in float64."""
    if not hasattr(model, "steps"):
        return ("double", "float", "wide")
    last = model.steps[-1][1]
    is_narrow = type(last).__module__.startswith(("sklearn.tree", "sklearn.ensemble", "xgboost"))
    is_narrow &= not hasattr(last, "_predictors")
    return ("cast", "double", "float") if is_narrow else ("double", "cast", "float")


def _with_cast(pipeline: Any) -> Any:
    """The same, where the last step gets float32: what trees make of it themselves."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    return Pipeline([*pipeline.steps[:-1], ("to float32", CastTransformer(dtype=np.float32)), pipeline.steps[-1]])


def _graph(model: Any, inputs: tuple[tuple[str, str], ...], width: int) -> bytes:
    import skl2onnx
    from skl2onnx.common import data_types

    _register_others()
    _register_imputer()
    _take_truth_for_numbers()
    types = {
        "double": data_types.DoubleTensorType,
        "float": data_types.FloatTensorType,
        "int64": data_types.Int64TensorType,
        "string": data_types.StringTensorType,
    }
    is_one = len(inputs) == 1 and inputs[0][0] == "rows"
    initial = [(name, types[kind]([None, width if is_one else 1])) for name, kind in inputs]
    options: dict[Any, Any] | None = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    try:
        made = skl2onnx.convert_sklearn(model, initial_types=initial, options=options, target_opset=_opset())
    except NameError:  # which skl2onnx raises for a classifier that has no such option
        made = skl2onnx.convert_sklearn(model, initial_types=initial, target_opset=_opset())
    return bytes(made.SerializeToString())


def _register_imputer() -> None:
    """onnxruntime fills in for missing numbers in float32 alone; in float64 the same takes two operations."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_shape_calculator
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
    from skl2onnx.proto import onnx_proto
    from sklearn.impute import SimpleImputer

    def convert(scope: Any, operator: Any, container: Any) -> None:
        imputer = operator.raw_operator
        statistics = np.asarray(imputer.statistics_)
        is_plain = statistics.dtype.kind == "f" and np.isfinite(statistics).all() and imputer.indicator_ is None
        is_double = len(operator.inputs) == 1 and isinstance(operator.inputs[0].type, DoubleTensorType)
        if not (is_plain and is_double and np.isnan(imputer.missing_values)):
            convert_sklearn_imputer(scope, operator, container)
            return
        missing, filling = scope.get_unique_variable_name("missing"), scope.get_unique_variable_name("filling")
        values, given = [float(value) for value in statistics], operator.inputs[0].full_name
        container.add_initializer(filling, onnx_proto.TensorProto.DOUBLE, [1, len(values)], values)
        container.add_node("IsNaN", given, missing, op_version=13, name=scope.get_unique_operator_name("IsNaN"))
        container.add_node(
            "Where",
            [missing, filling, given],
            operator.outputs[0].full_name,
            op_version=9,
            name=scope.get_unique_operator_name("Where"),
        )

    update_registered_converter(
        SimpleImputer, "SklearnImputer", get_shape_calculator("SklearnSimpleImputer"), convert, overwrite=True
    )


def _take_truth_for_numbers() -> None:
    """skl2onnx 1.20 gives onnx True for 1, which protobuf 7 refuses among integers."""
    from onnx import helper

    made = helper.make_attribute

    def make_attribute(key: str, value: Any, *more: Any, **settings: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, bool) for item in value):
            value = [int(item) for item in value]
        return made(key, value, *more, **settings)

    helper.make_attribute = make_attribute


def _opset() -> Mapping[str, int]:
    return {"": 18, "ai.onnx.ml": 3}


def _columns_of(model: Any) -> dict[str, tuple[str, Any]] | None:
    """For each column that a ColumnTransformer takes by its name: number, string, int64 or unused, and known values."""
    first = model.steps[0][1] if hasattr(model, "steps") else model
    if not hasattr(first, "transformers_"):
        return None
    names = list(map(str, first.feature_names_in_))
    found: dict[str, tuple[str, Any]] = dict.fromkeys(names, ("unused", ()))
    for _, transformer, columns in first.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        chosen = _chosen(columns, names)
        values = dict(onnx_samples.known_values(transformer)) if not isinstance(transformer, str) else {}
        for number, name in enumerate(chosen):
            found[name] = _kind_of(transformer, number) or ("number", values.get(number, ()))
    return found


def _chosen(columns: Any, names: list[str]) -> list[str]:
    """Names, of columns given by name, number, slice or mask."""
    if isinstance(columns, str | int):
        columns = [columns]
    is_by_name = not isinstance(columns, slice) and all(isinstance(column, str) for column in columns)
    return [str(name) for name in (columns if is_by_name else np.array(names)[columns])]


def _kind_of(transformer: Any, number: int) -> tuple[str, Any] | None:
    """That of a column with categories, or of one that holds text; None for one of numbers."""
    for step in [step for _, step in transformer.steps] if hasattr(transformer, "steps") else [transformer]:
        if hasattr(step, "vocabulary_"):
            return "string", sorted(step.vocabulary_)[:1000]
        if hasattr(step, "categories_"):
            values = np.asarray(step.categories_[number])
            if values.dtype.kind in "OU":
                return "string", [value for value in values if isinstance(value, str)]
            return ("int64", values) if values.dtype.kind in "iu" else ("number", values)
    return None


def _register_others() -> None:
    """Teach skl2onnx the models of XGBoost and LightGBM, where they are installed, as steps of pipelines too."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    of_classes = shape_calculator.calculate_linear_classifier_output_shapes
    of_numbers = shape_calculator.calculate_linear_regressor_output_shapes
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    try:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
        from xgboost import XGBClassifier, XGBRegressor
    except ImportError:
        pass
    else:
        update_registered_converter(
            XGBClassifier, "XGBoostXGBClassifier", of_classes, convert_xgboost, options=options, overwrite=True
        )
        update_registered_converter(XGBRegressor, "XGBoostXGBRegressor", of_numbers, convert_xgboost, overwrite=True)
    try:
        from lightgbm import LGBMClassifier, LGBMRegressor
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    except ImportError:
        pass
    else:
        update_registered_converter(
            LGBMClassifier, "LightGbmLGBMClassifier", of_classes, convert_lightgbm, options=options, overwrite=True
        )
        update_registered_converter(
            LGBMRegressor, "LightGbmLGBMRegressor", of_numbers, convert_lightgbm, overwrite=True
        )
