"""How a run ended: what is up to date, what failed, what is left, and where the endpoints are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sagespec.errors import Problem
from sagespec.events import Outcome, Result
from sagespec.show.figures import seconds_text
from sagespec.show.plan import running_row, write_refused_and_notes
from sagespec.show.problems import annotate, place_text
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.converge import Converged


def write_converged(
    screen: Screen,
    converged: Converged,
    seconds: float,
    *,
    urls: Mapping[str, str],
    done: str = "everything is up to date",
) -> None:
    """The end of apply, destroy or rollback. urls: of the endpoints by name; `done` is said when all went well."""
    plan = converged.plan
    if screen.format == "json":
        endpoints = [{"address": f"endpoint/{name}", "url": url} for name, url in urls.items()]
        screen.record({"event": "result"} | converged.as_json() | {"endpoints": endpoints})
        return
    annotate(screen, plan.refused)
    told = [problem for problem in plan.refused if _is_told(problem, converged.failures)]
    write_refused_and_notes(screen, [problem for problem in plan.refused if problem not in told], plan.notes)
    if converged.failures:  # why was said as they failed
        screen.line()
        screen.table([_failed_row(screen, outcome, told) for outcome in converged.failures])
    if plan.running:
        screen.line()
        screen.table([running_row(running) for running in plan.running])
    screen.line("\n", _ending(converged, seconds, done))
    urls = _as_specified(urls, converged)
    if urls and not converged.cancelled:
        screen.line()
        screen.table([[(f"endpoint/{name}", "name"), url] for name, url in urls.items()])
        if converged.ok and converged.outcomes and screen.live:
            name, url = next(iter(urls.items()))
            screen.line(("\ntry  ", "dim"), f"sagespec invoke {name} --file rows.csv")
            screen.line(f"     curl {url} -H 'Content-Type: text/csv' --data-binary @rows.csv")


def _is_told(refused: Problem, failures: Iterable[Outcome]) -> bool:
    """Whether it only says that something has failed in this run: this address, or a part of the endpoint."""
    return any(_is_of(outcome, refused) for outcome in failures)


def _is_of(outcome: Outcome, refused: Problem) -> bool:
    about, first = outcome.about.partition("#")[0], outcome.reason.partition("\n")[0].removesuffix("; its last lines:")
    return about == refused.about or (about.startswith(f"{refused.about}/") and first in refused.what)


def _failed_row(screen: Screen, outcome: Outcome, told: Iterable[Problem]) -> list[Cell]:
    where = next((problem.where for problem in told if _is_of(outcome, problem)), None)
    word = ("stopped", "change") if outcome.was_stopped else ("failed", "bad")
    return [word, (outcome.about, "name"), (place_text(screen, where) if where else "", "dim")]


def _as_specified(urls: Mapping[str, str], converged: Converged) -> Mapping[str, str]:
    """Those of endpoints that nothing is amiss with; whether the others answer is for `status` to say."""
    amiss = [outcome.about for outcome in converged.outcomes if outcome.result is not Result.DONE]
    amiss += [problem.about for problem in converged.plan.refused]
    amiss += [str(address) for running in converged.plan.running for address in running.needed_by]
    if "gateway" in amiss:
        return {}
    return {
        name: url for name, url in urls.items() if not any(f"{of}/".startswith(f"endpoint/{name}/") for of in amiss)
    }


def _ending(converged: Converged, seconds: float, done: str) -> Cell:
    from sagespec.passes import MOST_REPEATS

    results = Counter("stopped" if outcome.was_stopped else outcome.result.value for outcome in converged.outcomes)
    parts = [f"{results[word]} {word}" for word in (*Result, "stopped") if results[word]]
    did = f" ({', '.join(parts)} in {seconds_text(seconds)})" if parts else ""
    if converged.ok and converged.plan.running:
        what = f"everything else is up to date{did}" if parts else "nothing to do"
        return f"{what}; {len(converged.plan.running)} running elsewhere", "good"
    if converged.ok:
        return (f"{done}{did}" if parts else f"nothing to do: {done}", "good")
    if converged.cancelled:
        left = len(converged.plan.actions)
        return f"stopped{did}; {left} left to do: `sagespec apply` continues from here", "change"
    # What has failed in this run is refused after that; it is one thing that went wrong.
    failed = {outcome.about.partition("#")[0] for outcome in converged.failures}
    refused = {p.about for p in converged.plan.refused if not any(f"{of}/".startswith(f"{p.about}/") for of in failed)}
    ends = Counter("stopped" if outcome.was_stopped else "failed" for outcome in converged.failures)
    reasons = [f"{ends[word]} {word}" for word in ("failed", "stopped") if ends[word]]
    reasons += [f"{len(refused)} refused"] if refused else []
    return f"not up to date: {', '.join(reasons) or f'one action was undone {MOST_REPEATS} times'}{did}", "bad"
