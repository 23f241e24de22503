"""Makes the fast form of a model, and checks it against the model: `converted` gives one that answers alike, or says
why there is none.

Called by `acceleration`, in a process of its own. skl2onnx and onnxmltools write the graph; what they write is
believed only as far as it was compared (`onnx_check`), on rows that `onnx_samples` makes. Graphs are tried in float64
first, then in float32: trees of scikit-learn and XGBoost compare in float32, most other models in float64.
"""

from __future__ import annotations

import timeit
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import onnx_samples
from toolkit.onnx_check import Comparison, compared, compared_probabilities, margins_of
from toolkit.onnx_form import GRAPH, Facts, Form, NoForm, session_of

TIMED = 20  # predictions of one row, of which the fastest counts
LARGEST_GRAPH_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Made:
    facts: Facts
    graph: bytes

    def write(self, folder: Path) -> None:
        (folder / GRAPH).write_bytes(self.graph)
        self.facts.write(folder)


@dataclass(frozen=True)
class Subject:
    """A model to convert: its answers, rows for it, and how each graph of it is written. names: of its columns.

    graph: its bytes, of one of `kinds`, ways to write it, which are tried in turn. inputs: what such a graph takes.
    """

    model: Any
    width: int
    predict: Callable[[Any], Any]
    rows: Any
    graph: Callable[[str], bytes]
    inputs: Callable[[str], tuple[tuple[str, str], ...]]
    names: tuple[str, ...] = ()
    by_column: bool = False
    kinds: Sequence[str] = ("double", "float")


def converted(subject: Subject) -> Made:
    """The form that answers as the model does. Raises NoForm with the reason, and the differences if that is it."""
    with warnings.catch_warnings():  # of libraries that are newer than the converters
        warnings.simplefilter("ignore")
        return _converted(subject)


def _converted(subject: Subject) -> Made:
    answers, reasons, nearest = _answers(subject), [], None
    for kind in subject.kinds:
        try:
            graph = subject.graph(kind)
            session = session_of(graph)
        except Exception as error:  # whatever converters and the runtime raise for what they do not know
            reasons.append(f"{type(error).__name__}: {_first_line(error)}")
            continue
        if len(graph) > LARGEST_GRAPH_BYTES:
            raise NoForm(f"its graph would take {len(graph) >> 20} MiB")
        tried = [
            (_compare(subject, Form(f, session), session, answers), f)
            for f in _outputs(subject, session, kind, answers)
        ]
        best, facts = min(tried, key=lambda found: (found[0].count, found[0].tied))
        if best.is_close:
            return _timed(subject, Made(replace(facts, **_found(best)), graph), session)
        nearest = best if nearest is None or best.count < nearest.count else nearest
    raise NoForm(str(nearest) if nearest else (reasons or ["no graph could be made"])[-1])


def _answers(subject: Subject) -> Any:
    try:
        return np.asarray(subject.predict(subject.rows))
    except Exception as error:
        raise NoForm(f"it does not predict sample rows itself: {type(error).__name__}: {_first_line(error)}") from error


def _outputs(subject: Subject, session: Any, kind: str, answers: Any) -> Iterator[Facts]:
    """What the form may be, by which of the graph's outputs may be the answer."""
    for output in session.get_outputs():
        width = output.shape[1] if len(output.shape) > 1 and isinstance(output.shape[1], int) else 0
        facts = Facts(
            inputs=subject.inputs(kind),
            output=output.name,
            dtype=answers.dtype.str if answers.dtype != object else "object",
            tail=tuple(answers.shape[1:]),
            width=subject.width,
            names=subject.names,
            by_column=subject.by_column,
            model=type(subject.model).__name__,
        )
        classes = getattr(subject.model, "classes_", None)
        if isinstance(classes, np.ndarray) and answers.ndim == 1 and len(classes) == width > 1:
            yield replace(facts, classes=tuple(classes.tolist()))
            continue
        yield facts
        if answers.ndim == 1 and width == 2:
            yield replace(facts, column=1)


def _compare(subject: Subject, form: Form, session: Any, answers: Any) -> Comparison:
    rows = form.rows_of(subject.rows)
    if rows is None:
        return Comparison(len(answers), np.inf, ("the sample rows do not fit the graph",), len(answers))
    try:
        given = form.predict(rows)
        one = form.predict(form.rows_of(subject.rows[:1]) or {})
    except Exception as error:
        return Comparison(len(answers), np.inf, (f"{type(error).__name__}: {_first_line(error)}",), len(answers))
    is_label = answers.dtype.kind not in "fc"
    margins = margins_of(subject.model, subject.rows) if is_label else None
    found = compared(answers, given, subject.rows, margins=margins)
    if found.is_close and one.shape != answers[:1].shape:
        return Comparison(1, np.inf, (f"an answer of {one.shape} to a single row",), 1)
    if found.is_close and is_label:
        of_probabilities = _probabilities(subject, session, rows)
        return replace(of_probabilities, tied=found.tied) if of_probabilities else found
    return found


def _probabilities(subject: Subject, session: Any, rows: Any) -> Comparison | None:
    """Those of a classifier, where both have them: labels may be right by luck."""
    names = [output.name for output in session.get_outputs() if output.name.startswith("prob")]
    if not names or not hasattr(subject.model, "predict_proba"):
        return None
    return compared_probabilities(
        subject.model.predict_proba(subject.rows), session.run(names[:1], rows)[0], subject.rows
    )


def _found(comparison: Comparison) -> dict[str, Any]:
    return {"rows": comparison.rows, "largest": comparison.largest}


def _timed(subject: Subject, made: Made, session: Any) -> Made:
    """With how much faster it is, and whether it takes missing and wide numbers. Raises NoForm if it is not faster."""
    facts = made.facts
    if not facts.by_column:
        facts = replace(facts, takes_missing=_takes_missing(subject, Form(replace(facts, takes_missing=True), session)))
    facts = replace(facts, takes_float32=_takes_float32(subject, Form(replace(facts, takes_float32=True), session)))
    facts = replace(facts, is_narrow=any(kind == "float" for _, kind in facts.inputs) or _is_narrow(subject))
    form, row = Form(facts, session), subject.rows[:1]
    theirs = min(timeit.repeat(lambda: subject.predict(row), number=1, repeat=TIMED))
    ours = min(timeit.repeat(lambda: form.predict(form.rows_of(row) or {}), number=1, repeat=TIMED))
    if ours >= theirs:
        raise NoForm(f"it is not faster: a row takes {ours * 1e6:.0f} µs, and {theirs * 1e6:.0f} µs by the original")
    return Made(replace(facts, times_faster=round(theirs / ours, 1)), made.graph)


def _takes_missing(subject: Subject, form: Form) -> bool:
    """Whether rows in which any of the features is missing are answered alike."""
    rows = np.array(subject.rows[: max(200, 2 * subject.width)], np.float64)
    generator = np.random.default_rng(onnx_samples.SEED)
    rows[generator.random(rows.shape) < 0.2] = np.nan
    for feature in range(min(subject.width, len(rows))):
        rows[feature, feature] = np.nan
    try:
        original = np.asarray(subject.predict(rows))
        given = form.predict(form.rows_of(rows) or {})
    except Exception:  # the original refuses them
        return False
    return compared(original, given, rows).is_close


def _takes_float32(subject: Subject, form: Form) -> bool:
    """Whether arrays of float32 have answers of the same type, too."""
    if subject.by_column:
        return False
    rows = np.asarray(subject.rows, np.float32)
    try:
        return compared(subject.predict(rows), form.predict(form.rows_of(rows) or {}), rows).count == 0
    except Exception:
        return False


def _is_narrow(subject: Subject) -> bool:
    """Whether the original refuses numbers beyond float32, as trees of scikit-learn do."""
    if subject.by_column:
        return False
    row = np.array(subject.rows[:1], np.float64)
    row[:] = 1e39
    try:
        subject.predict(row)
    except Exception:
        return True
    return False


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
