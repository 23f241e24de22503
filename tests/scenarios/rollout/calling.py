"""Callers of an endpoint, who ask again and again and note who answered; and specs of one that is rolled out."""

from __future__ import annotations

import http.client
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import Workspace

QUICK = "min_healthy: 300ms, drain_within: 5s"


def spec(mark: str = "", *, rollout: str, fails: float = 0.0, instances: int = 1) -> str:
    """One variant. mark: in the environment of its containers, so that another one needs others, and says who it is."""
    environment = f"{{MARK: '{mark}', ECHO_FAILS: '{fails}'}}" if fails else f"{{MARK: '{mark}'}}"
    variant = f"only model@1 1 instances: {instances}, environment: {environment}"
    return job(1) + endpoint(variant, rollout=f"{{{rollout}, {QUICK}}}")


@dataclass
class Answers:
    """by: status and mark. variants: every InvokedProductionVariant. lost: what came instead of an answer."""

    by: Counter[tuple[int, str]] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Requests that got another answer than 200, or none."""
        return sum(count for (status, _), count in self.by.items() if status != 200) + sum(self.lost.values())

    def of(self, mark: str) -> int:
        return sum(count for (_, of), count in self.by.items() if of == mark)

    def share_of(self, mark: str) -> float:
        return self.of(mark) / max(1, sum(self.by.values()))


@contextmanager
def callers(workspace: Workspace, *, count: int = 4, pause_seconds: float = 0.01) -> Iterator[Answers]:
    over, found = threading.Event(), Answers()

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", workspace.port, timeout=30)
        while not over.wait(pause_seconds):
            try:
                connection.request("POST", "/endpoints/answers/invocations", b"1,2", {"Content-Type": "text/csv"})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                found.lost[repr(error)] += 1
                continue
            found.by[answer.status, mark_in(body)] += 1
            found.variants[answer.headers.get("x-Amzn-Invoked-Production-Variant", "")] += 1
        connection.close()

    threads = [threading.Thread(target=call, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def mark_in(body: bytes) -> str:
    """Of a failure, the beginning of the model's own answer is a text inside of the one that SageMaker makes of it."""
    found = re.search(rb'"MARK": "([\w-]*)"', body.replace(b"\\u0022", b'"'))
    return found[1].decode() if found else "?"
