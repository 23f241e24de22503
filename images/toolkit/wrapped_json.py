"""The JSON bodies that other servers read, as the default codec of a framework's server reads them.

`{"instances": [...]}` is TensorFlow Serving's and SageMaker's built-ins', `{"inputs": ...}` that of TensorFlow Serving
by column, `{"dataframe_split": ...}` and `{"dataframe_records": ...}` are MLflow's. One object of names is one row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.instances import features_of
from toolkit.limits import require_room

LONGEST_PADDED_TEXT = 256
OF_OBJECTS = "sagespec: of objects"


class NamedRows(np.ndarray[Any, Any]):
    """An array that knows the names of its columns, as a DataFrame does; what is made of it does not."""

    columns: list[str]
    attrs: dict[str, bool]

    @classmethod
    def of(cls, rows: Any, columns: list[str]) -> NamedRows:
        named: NamedRows = rows.view(cls)
        named.columns, named.attrs = columns, {}
        return named


def is_of_objects(table: Any) -> bool:
    """Whether only their names, not their order, tell the columns of a table apart."""
    return bool(getattr(table, "attrs", {}).get(OF_OBJECTS))


def unwrapped(document: Any) -> Any:
    """The array in a JSON document, or by name if it names its arrays. Raises ValueError.

    A table with named columns becomes a DataFrame where pandas is installed, else NamedRows.
    """
    if not isinstance(document, dict):
        return array_of(document)
    if "dataframe_split" in document:
        return _split_table(document["dataframe_split"])
    if "dataframe_records" in document:
        return _table_of(_records(document["dataframe_records"]))
    if "instances" in document:
        return _instances(document["instances"])
    if "inputs" in document:
        inputs = document["inputs"]
        return {name: array_of(values) for name, values in inputs.items()} if _is_dict(inputs) else array_of(inputs)
    if document and not any(isinstance(value, list | dict) for value in document.values()):
        return _table_of([document])
    return array_of(document)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _instances(instances: Any) -> Any:
    """Rows, in the spellings of the built-in algorithms too, or objects that name their columns."""
    if not isinstance(instances, list):
        raise ValueError('"instances" holds a list')
    if not instances or not all(map(_is_dict, instances)):
        return array_of(instances)
    if all(instance.keys() & {"features", "data"} for instance in instances):
        rows = [features_of(instance) for instance in instances]
        if any(map(_is_dict, rows)):
            raise ValueError("sparse instances are for the built-in algorithms")
        return array_of(rows)
    return _table_of(instances)


def _records(records: Any) -> list[dict[str, Any]]:
    if not isinstance(records, list) or not all(map(_is_dict, records)):
        raise ValueError('"dataframe_records" holds a list of objects')
    return records


def _split_table(split: Any) -> Any:
    if not _is_dict(split) or not isinstance(split.get("data"), list):
        raise ValueError('"dataframe_split" holds an object with columns and data')
    return _frame(split["data"], split.get("columns"), split.get("index"))


def _table_of(records: list[dict[str, Any]]) -> Any:
    """Objects as rows: of all the columns that any has, in the order in which they come."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    require_room(8 * len(records) * len(columns), f"a table of {len(records)} rows and {len(columns)} columns")
    table = _frame([[record.get(name) for name in columns] for record in records], columns, None)
    table.attrs[OF_OBJECTS] = True
    return table


def _frame(rows: list[Any], columns: list[str] | None, index: list[Any] | None) -> Any:
    if columns is not None and any(not isinstance(row, list) or len(row) != len(columns) for row in rows):
        raise ValueError(f"each row needs a value for each of the {len(columns)} columns")
    try:
        import pandas
    except ImportError:
        return array_of(rows) if columns is None else NamedRows.of(array_of(rows), columns)
    return pandas.DataFrame(rows, index=index, columns=columns)


def array_of(values: Any) -> Any:
    """Lists as an array; of objects where texts are long, for in numpy's own each takes as much as the longest."""
    objects = np.array(values, object)
    if str in set(map(type, objects.flat)) and _longest_text(objects) > LONGEST_PADDED_TEXT:
        return objects
    return np.array(values)


def _longest_text(objects: Any) -> int:
    return max(len(value) for value in objects.flat if isinstance(value, str))
