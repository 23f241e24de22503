"""What an endpoint answered: as bytes, as text, parsed; and as an error of the model's or of the gateway's."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sagespec.display import Displayed
from sagespec.errors import ModelError, Problem, WorldError, did_you_mean
from sagespec.frames import frame_of

MODEL_ERROR = 424  # the gateway's, as SageMaker's: what the model answered is inside
LONGEST_MESSAGE = 1000


@dataclass(frozen=True, repr=False)
class Answer(Displayed):
    """What an endpoint answered; `variant` is the InvokedProductionVariant."""

    status: int
    body: bytes
    content_type: str
    variant: str
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def model(self) -> str:
        """What has made it, churn@3; '' where that was no job's model."""
        return next((value for name, value in self.headers.items() if name.lower() == "x-sagespec-model"), "")

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body, which must be JSON, or JSON Lines."""
        try:
            if "lines" in self.content_type:
                return [json.loads(line) for line in self.text.splitlines() if line.strip()]
            return json.loads(self.body)
        except ValueError as error:
            raise WorldError(
                f"the answer is {self.content_type or 'of no type'}, and not JSON",
                why=self.text[:200],
                fix='ask for it with accept="application/json", or read `.text`',
            ) from error

    def frame(self) -> Any:
        """The predictions as a data frame of pandas, a row for each. CSV has no names, so its columns are numbered."""
        frame = frame_of(self.rows())
        return frame.apply(_as_numbers) if self.is_csv else frame

    @property
    def is_csv(self) -> bool:
        return "csv" in self.content_type

    def rows(self) -> list[Any]:
        """The predictions, one for each row that was sent: of CSV as lists of texts, else of what JSON has."""
        if self.is_csv:
            return [line for line in csv.reader(io.StringIO(self.text)) if line]
        return _rows(self.json())


def _as_numbers(column: Any) -> Any:
    """The column as numbers, if all of it are some."""
    from pandas import to_numeric

    with suppress(ValueError, TypeError):
        return to_numeric(column)
    return column


def _rows(found: Any) -> list[Any]:
    """The list in an answer such as {"predictions": [{"score": 0.5}]}."""
    if isinstance(found, dict):
        lists = [value for name, value in found.items() if isinstance(value, list) and name == "predictions"]
        lists = lists or [value for value in found.values() if isinstance(value, list)]
        return lists[0] if len(lists) == 1 else [found]
    return found if isinstance(found, list) else [found]


class InvokeError(WorldError):
    """An answer that is an error, and not the model's; `answer` has it whole."""

    def __init__(self, problem: Problem, answer: Answer) -> None:
        super().__init__(problem)
        self.answer = answer


def error_of(endpoint_name: str, answer: Answer, known: Callable[[], Iterable[str]]) -> InvokeError | ModelError:
    """The error that an answer is. known: the names of the endpoints there are, for when this one is not among them."""
    if answer.status == MODEL_ERROR:
        status, said = _said_by_model(answer)
        about = f"endpoint/{endpoint_name}"
        fix = f"see `sagespec logs {about}/{answer.variant}`" if answer.variant else f"see `sagespec logs {about}`"
        return ModelError(about, status, said, answer.variant, fix=fix)
    return InvokeError(problem_of(endpoint_name, answer, known), answer)


def _said_by_model(answer: Answer) -> tuple[int, str]:
    """The status and the words that the gateway passes on."""
    said = _fields_of(answer)
    status, words = said.get("OriginalStatusCode"), said.get("OriginalMessage") or said.get("Message")
    return status if isinstance(status, int) else answer.status, str(words or answer.text[:LONGEST_MESSAGE]).strip()


def _fields_of(answer: Answer) -> Mapping[str, Any]:
    with suppress(ValueError):
        parsed = json.loads(answer.body)
        return parsed if isinstance(parsed, dict) else {}
    return {}


def problem_of(endpoint_name: str, answer: Answer, known: Callable[[], Iterable[str]]) -> Problem:
    """What an answer that is an error says, for people."""
    said = _fields_of(answer)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    error = headers.get("x-amzn-errortype") or said.get("Code") or said.get("__type") or "HTTP"
    about = f"endpoint/{endpoint_name}" + (f"/{answer.variant}" if answer.variant else "")
    if "OriginalStatusCode" in said:
        message = f"the model answered {said['OriginalStatusCode']}: {str(said.get('OriginalMessage', '')).strip()}"
        return Problem(f"{error} ({answer.status}): {message}", about=about, fix=f"see `sagespec logs {about}`")
    message = said.get("Message") or said.get("message") or answer.text.strip()[:LONGEST_MESSAGE]
    others = [name for name in known() if name != endpoint_name]
    return Problem(
        f"{error} ({answer.status}): {message}",
        about=about,
        fix=did_you_mean(endpoint_name, others) or "see `sagespec status` for what is served",
    )
