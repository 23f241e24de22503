"""A model in its fast form: a graph of ONNX, and what was found out about it when it was made.

`onnx_convert` makes one, `acceleration` keeps it, and a server's workers load it here, which imports neither
scikit-learn nor any other library that trains. It answers what it was checked for: rows of the model's width and kinds.
For everything else (names in another order, a missing value, too few columns) `rows_of` gives None, and the original
answers, with its own words where it refuses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

GRAPH, FACTS = "model.onnx", "facts.json"
ERRORS_ONLY = 3  # of onnxruntime's severities
TIED = 1e-6  # probabilities that float32 cannot tell apart after a hundred sums
LARGEST_FLOAT = float(np.finfo(np.float32).max)
KINDS: Mapping[str, Any] = {"double": np.float64, "float": np.float32, "int64": np.int64, "string": np.object_}


class NoForm(Exception):
    """There is no fast form of a model, with the reason for people."""


@dataclass(frozen=True)
class Facts:
    """What a form takes and gives.

    inputs: the graph's, each with its kind, a key of KINDS: `rows` for all columns, or by_column, where each is the
    name of one. output: the one that answers, and `column` of it, if it is not all; with `classes`, the one whose
    probability is the largest, the first of several that are tied, as in scikit-learn. dtype, tail: of the original's
    answer, and its shape after the first axis. names: the model's own for its columns, or none. is_narrow: whether
    numbers must fit float32. rows, largest: how many rows it was checked with, and the largest difference.
    times_faster: for a single row. model: its type.
    """

    inputs: tuple[tuple[str, str], ...]
    output: str
    dtype: str
    width: int
    tail: tuple[int, ...] = ()
    column: int | None = None
    names: tuple[str, ...] = ()
    classes: tuple[Any, ...] = ()
    takes_missing: bool = False
    takes_float32: bool = False
    is_narrow: bool = False
    by_column: bool = False
    rows: int = 0
    largest: float = 0.0
    times_faster: float = 0.0
    model: str = ""

    @classmethod
    def read(cls, folder: Path) -> Facts:
        said = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        said["inputs"] = tuple((name, kind) for name, kind in said["inputs"])
        said |= {name: tuple(said[name]) for name in ("tail", "names", "classes")}
        return cls(**said)

    def write(self, folder: Path) -> None:
        (folder / FACTS).write_text(json.dumps(asdict(self)), encoding="utf-8")


def session_of(graph: bytes | str) -> Any:
    """One thread: a row is answered before a second could be woken, and there is a worker for each CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class Form:
    """Predicts as the model does that it was made of."""

    def __init__(self, facts: Facts, session: Any) -> None:
        self.facts = facts
        self._session = session
        self._outputs = [facts.output]
        self._kind = KINDS[facts.inputs[0][1]]
        self._dtype = np.dtype(facts.dtype)
        self._classes = np.array(facts.classes, self._dtype) if facts.classes else None
        self._widths = (4, 8) if facts.takes_float32 else (8,)

    @classmethod
    def load(cls, folder: Path) -> Form:
        return cls(Facts.read(folder), session_of(str(folder / GRAPH)))

    def rows_of(self, data: Any) -> Mapping[str, Any] | None:
        """`data` as the graph takes it; None for what the form was not checked for."""
        if self.facts.by_column:
            return self._columns_of(data)
        names = getattr(data, "columns", None)
        if names is not None:
            if tuple(names) != self.facts.names:
                return None
            data = data.to_numpy() if hasattr(data, "to_numpy") else np.asarray(data)
        if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != self.facts.width or not len(data):
            return None
        return {"rows": data.astype(self._kind, copy=False)} if self._is_fit(data) else None

    def _columns_of(self, data: Any) -> Mapping[str, Any] | None:
        if tuple(getattr(data, "columns", ())) != self.facts.names or not hasattr(data, "to_numpy") or not len(data):
            return None
        found = {}
        for name, kind in self.facts.inputs:
            column = data[name].to_numpy()
            if kind == "string":
                if not all(isinstance(value, str) for value in column):
                    return None
                column = column.astype(object)
            elif column.dtype.kind not in ("iu" if kind == "int64" else "iuf") or not self._is_fit(column):
                return None
            found[name] = column.astype(KINDS[kind]).reshape(-1, 1)
        return found

    def _is_fit(self, numbers: Any) -> bool:
        """Whether these are numbers that the original takes, too."""
        if numbers.dtype.kind not in "iuf" or (
            numbers.dtype.kind == "f" and numbers.dtype.itemsize not in self._widths
        ):
            return False
        largest = np.abs(numbers).max() if numbers.dtype.kind == "f" else 0.0
        if largest != largest:
            if not self.facts.takes_missing:
                return False
            largest = np.nanmax(np.abs(numbers), initial=0.0)
        return bool(largest <= LARGEST_FLOAT if self.facts.is_narrow else largest < np.inf)

    def predict(self, rows: Mapping[str, Any]) -> Any:
        """The original's answer for what `rows_of` gave."""
        answer = self._session.run(self._outputs, rows)[0]
        if self._classes is not None:
            best = answer.max(axis=1, keepdims=True)
            return self._classes[(answer >= best - TIED).argmax(axis=1)]
        if self.facts.column is not None:
            answer = answer[:, self.facts.column]
        return np.asarray(answer, self._dtype).reshape(-1, *self.facts.tail)


class Accelerated:
    """Stands for a model: `predict` by its form where that was checked, and all else by the original, loaded when it
    is first needed."""

    def __init__(self, form: Form, load: Callable[[], Any]) -> None:
        self.form, self._load, self._original = form, load, None
        self.n_features_in_ = form.facts.width
        self.feature_names_in_ = np.array(form.facts.names, object) if form.facts.names else None

    @property
    def original(self) -> Any:
        if self._original is None:
            self._original = self._load()
        return self._original

    def predict(self, data: Any) -> Any:
        rows = self.form.rows_of(data)
        return self.original.predict(data) if rows is None else self.form.predict(rows)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.original, name)
