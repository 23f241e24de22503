"""The lines in which an algorithm prints its metrics, as the hosted algorithms print theirs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from toolkit.errors import ClientError
from toolkit.hosts import Hosts


def report(hosts: Hosts, place: str, name: str, value: float, *, kind: str = "score") -> None:
    """Print a metric, on the master only. `place` is a channel, or `epoch=3, train`."""
    if hosts.is_master:
        print(f"#quality_metric: host={hosts.current}, {place} {name} <{kind}>={value:.9g}", flush=True)


def metrics_asked(text: str, known: Iterable[str]) -> list[str]:
    """The names in the hyperparameter eval_metrics, a JSON list of some of `known`. Raises ClientError."""
    names = tuple(known)
    try:
        asked = json.loads(text)
        if not isinstance(asked, list) or not set(asked) <= set(names):
            raise ValueError
    except (ValueError, TypeError):
        raise ClientError(
            f"hyperparameters: eval_metrics={text}: must be a JSON list of some of {', '.join(names)}"
        ) from None
    return asked
