"""Callbacks of training scripts that a debugger would read: there is none here."""

from __future__ import annotations

from typing import Any


def add_debugging(
    callbacks: list[Any],
    hyperparameters: Any,
    train_dmatrix: Any,
    val_dmatrix: Any = None,
    json_config_path: Any = None,
) -> None:
    """Does nothing, as hosted without a debugger's configuration."""
