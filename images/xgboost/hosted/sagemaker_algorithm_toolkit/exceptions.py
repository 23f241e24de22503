"""Whose fault an error is."""

from __future__ import annotations


class BaseToolkitError(Exception):
    """Any of them."""

    def __init__(self, message: str | None = None, caused_by: BaseException | None = None) -> None:
        super().__init__(message or str(caused_by or ""))
        self.message = str(self)
        self.caused_by = caused_by


class UserError(BaseToolkitError):
    """Of the data or the hyperparameters."""


class AlgorithmError(BaseToolkitError):
    """Of the algorithm."""


class PlatformError(BaseToolkitError):
    """Of the platform."""
