"""What an operation answers instead of a result: an error with a code of AWS's, as its protocol writes it."""

from __future__ import annotations


class ApiError(Exception):
    """code: the name of the exception that clients see. message: for people, with the way out.

    status: of HTTP; a client tries 5xx again, so it is only for what may be better the next time.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def not_yet(what: str) -> ApiError:
    """For what sagespec lacks of SageMaker. what: the part, and perhaps the operation: pipelines: StartPipeline."""
    part, _, operation = what.partition(": ")
    asked = f": {operation}" if operation else ""
    text = f"sagespec has no {part} yet{asked}; docs/sagemaker-sdk.md lists what it has"
    return ApiError("ValidationException", text)
