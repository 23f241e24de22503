"""What an algorithm implements to be served: a Model, loaded from a folder, rows in, columns out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from toolkit.archives import contents
from toolkit.errors import ClientError
from toolkit.formats import DECODERS, ENCODERS, Prediction, encode_json
from toolkit.media import CSV, JSON, JSON_LINES, RECORDIO, MediaType

if TYPE_CHECKING:
    from toolkit.columns import Columns
    from toolkit.onnx_convert import Subject
    from toolkit.onnx_form import Form

COLUMNS_FILE = ".columns.json"  # hosted servers pass over a name that begins with a dot


@dataclass(slots=True)
class Request:
    """What an algorithm may need besides the rows, and the custom attributes it may send back."""

    accept: MediaType
    attributes: str
    answer_attributes: str = ""


def load_model(model_class: type[Model], folder: Path) -> Model:
    """The model in `folder`. Raises ClientError, with what is there, if its file is not."""
    try:
        model = model_class(folder)
    except FileNotFoundError as error:
        if error.filename is None:  # not of a file that was opened
            raise
        name = Path(error.filename).name
        raise ClientError(f"{name} is missing at the archive's root: {contents(folder)}") from error
    if (folder / COLUMNS_FILE).is_file():
        model.columns = _columns_of(model, (folder / COLUMNS_FILE).read_bytes())
    return model


def _columns_of(model: Model, text: bytes) -> Columns:
    """Raises ClientError for a mapping that is damaged, or another model's."""
    from toolkit.columns import Columns

    try:
        columns = Columns.from_json(text)
    except (KeyError, TypeError, ValueError) as error:
        raise ClientError(f"{COLUMNS_FILE} in the archive is damaged: {type(error).__name__}: {error}") from error
    expected = getattr(model, "feature_count", None)
    if columns.width != expected:
        raise ClientError(
            f"{COLUMNS_FILE} in the archive is another model's: its columns make {columns.width} features, and the "
            f"model takes {expected}"
        )
    return columns


class Model:
    """A subclass says how to load a model, how wide its rows are, and what it predicts."""

    reads: ClassVar[tuple[str, ...]] = (CSV, JSON, JSON_LINES, RECORDIO)  # the first is the default
    writes: ClassVar[tuple[str, ...]] = (JSON, JSON_LINES, CSV, RECORDIO)  # the first is the default
    json_name: ClassVar[str] = "predictions"  # the member of a JSON answer that holds the rows
    absent: ClassVar[float | None] = 0.0  # what sparse input leaves out; None: 0, and wide sparse rows stay sparse
    allow_missing: ClassVar[bool] = False  # whether a feature may be NaN

    answers_in_kind: ClassVar[bool] = False  # whether an answer has the type of the request, whatever Accept says

    class_columns: tuple[str, ...] = ("predicted_label", "labels")  # those of an answer that hold classes
    class_lists: ClassVar[str] = "score"  # the column that may have a number for each class
    feature_count: int
    form: Form | None = None  # that predicts in its place, where `accelerate: onnx` is on
    columns: Columns | None = None  # what the columns of requests mean, of a model that was trained on named ones

    def __init__(self, folder: Path) -> None:
        """Load from `folder`, the unpacked model archive."""
        raise NotImplementedError

    def subject(self) -> Subject:
        """What `accelerate: onnx` converts; ClientError if nothing can be."""
        raise ClientError("models of this algorithm cannot be converted")

    def fast(self, rows: Any) -> Any:
        """What its form predicts for rows that it was checked for; None where the model itself has to."""
        given = self.form.rows_of(rows) if self.form else None
        return self.form.predict(given) if self.form and given is not None else None

    def decode(self, body: bytes, content_type: str) -> Any:
        """What `predict` is given, of a body in one of `reads`; ValueError if it cannot be read.

        Rows of numbers are checked afterwards; an algorithm that takes anything else checks it here.
        """
        return DECODERS[content_type](body, self.feature_count, self.absent)

    def predict(self, rows: Any, request: Request) -> Prediction:
        """Output columns for rows of shape (rows, feature_count): an array, or a sparse one if `absent` is None."""
        raise NotImplementedError

    def named(self, classes: Any) -> Any:
        """Classes by their names, where the model learned from labels that were texts; else as they are."""
        names = self.columns.classes if self.columns else ()
        return np.array(names, object)[np.asarray(classes).astype(np.int64)] if names else classes

    def encode(self, prediction: Prediction, media: MediaType) -> bytes:
        """The body in one of `writes`."""
        if media.name == JSON:
            return encode_json(prediction, self.json_name)
        return ENCODERS[media.name](prediction)
