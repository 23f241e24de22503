"""What a cell shows below an error of boto3 that has no words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from sagespec.notebook.extension import _tell_reason

WHY = "There is no bucket samples in this project"


def error(said: str, headers: dict[str, str]) -> ClientError:
    answer = {"Error": {"Code": "404", "Message": said}, "ResponseMetadata": {"HTTPHeaders": headers}}
    return ClientError(answer, "HeadObject")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (error("Not Found", {"x-amz-error-message": WHY}), f"sagespec: {WHY}\n"),
        (error(WHY, {"x-amz-error-message": WHY}), ""),
        (error("Not Found", {}), ""),
        (ValueError("x"), ""),
        (None, ""),
    ],
)
def test_reason_of_an_answer_without_a_body(
    raised: Exception | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _tell_reason(SimpleNamespace(error_in_exec=raised))
    assert capsys.readouterr().err == shown
