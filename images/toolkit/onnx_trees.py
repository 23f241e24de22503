"""Graphs of trees that take float64: what the converters leave to be done for them.

They write thresholds as float32 alone. The exact ones, which LightGBM and histogram gradient boosting compare with, are
known from the model, so each is put back, unless two of one feature are the same in float32: which of them a node has
cannot be told then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

OF_FLOATS = ("nodes_values", "nodes_hitrates", "base_values", "target_weights", "class_weights")
WITH_TENSORS = 3  # the first version of ai.onnx.ml in which these may be doubles


def retyped(graph: bytes) -> bytes:
    """The graph, with what its trees give declared as the float32 that it is, whatever they take."""
    import onnx
    from onnx import TensorProto

    model = onnx.load_from_string(graph)
    narrow = set()
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble") or (node.op_type == "Identity" and node.input[0] in narrow):
            narrow |= set(node.output)
    for value in [*model.graph.output, *model.graph.value_info]:
        if value.name in narrow and value.type.tensor_type.elem_type == TensorProto.DOUBLE:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return bytes(model.SerializeToString())


def widened(graph: bytes, thresholds: Mapping[int, Any]) -> bytes:
    """The graph with an input of doubles and these thresholds by feature. Raises ValueError if that cannot be."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(graph)
    trees = [node for node in model.graph.node if node.op_type.startswith("TreeEnsemble")]
    entry = model.graph.input[0]
    if len(trees) != 1 or len(model.graph.input) != 1:
        raise ValueError("only a single ensemble of trees can compare in float64")
    before = [node for node in model.graph.node if node.output[0] == trees[0].input[0]]
    if before and before[0].op_type == "Identity":
        model.graph.node.remove(before[0])
        trees[0].input[0] = before[0].input[0]
    if trees[0].input[0] != entry.name:
        raise ValueError("the trees do not take the features as they come")
    attributes = {attribute.name: attribute for attribute in trees[0].attribute}
    features = np.array(attributes["nodes_featureids"].ints)
    is_leaf = np.array([mode == b"LEAF" for mode in attributes["nodes_modes"].strings])
    narrow = np.array(attributes["nodes_values"].floats, np.float32)
    values = narrow.astype(np.float64)
    for feature, known in thresholds.items():
        chosen = (features == feature) & ~is_leaf
        values[chosen] = _exact(narrow[chosen], np.unique(known))
    for name in OF_FLOATS:
        if name in attributes and attributes[name].floats:
            numbers = values if name == "nodes_values" else np.array(attributes[name].floats, np.float64)
            tensor = numpy_helper.from_array(numbers, name)
            trees[0].attribute.remove(attributes[name])
            if name != "nodes_hitrates":
                trees[0].attribute.append(helper.make_attribute(f"{name}_as_tensor", tensor))
    entry.type.tensor_type.elem_type = TensorProto.DOUBLE
    for opset in model.opset_import:
        if opset.domain == "ai.onnx.ml":
            opset.version = max(opset.version, WITH_TENSORS)
    return bytes(model.SerializeToString())


def _exact(narrow: Any, known: Any) -> Any:
    in_float = known.astype(np.float32)
    if len(np.unique(in_float)) < len(known):
        raise ValueError("two thresholds of a feature are the same in float32")
    places = np.clip(np.searchsorted(in_float, narrow), 0, len(known) - 1)
    if (in_float[places] != narrow).any():
        raise ValueError("the graph has thresholds that the model has not")
    return known[places]
