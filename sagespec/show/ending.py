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
from sagespec.show.rollouts import rolling_row
from sagespec.show.screen import Cell, Screen
from sagespec.show.suspended import suspended_rows

if TYPE_CHECKING:
    from sagespec.converge import Converged


EVERYTHING = "everything is up to date"


def write_converged(
    screen: Screen,
    converged: Converged,
    seconds: float,
    *,
    urls: Mapping[str, str],
    done: str = EVERYTHING,
    curl: str = "curl",
) -> None:
    """The end of apply, destroy or rollback. urls: of the endpoints by name; `done` is said when all went well. curl:
    how it is called, up to the address."""
    plan = converged.plan
    if screen.format == "json":
        endpoints = [{"address": f"endpoint/{name}", "url": url} for name, url in urls.items()]
        screen.record({"event": "result"} | converged.as_json() | {"endpoints": endpoints})
        return
    annotate(screen, plan.refused)
    from sagespec.converge import is_told_by

    told = [one for one in plan.refused if any(is_told_by(outcome, one) for outcome in converged.failures)]
    write_refused_and_notes(screen, [problem for problem in plan.refused if problem not in told], plan.notes)
    if converged.failures:  # why was said as they failed
        screen.line()
        screen.table([_failed_row(screen, outcome, told) for outcome in converged.failures])
    held_back = suspended_rows(one for one in plan.suspended if one.held)
    if plan.running or plan.rolling or held_back:
        screen.line()
        screen.table([*map(running_row, plan.running), *map(rolling_row, plan.rolling), *held_back])
    screen.line("\n", ending_cell(converged, seconds, done))
    urls = _as_specified(urls, converged)
    if urls and not converged.cancelled:
        screen.line()
        screen.table([[(f"endpoint/{name}", "name"), url] for name, url in urls.items()])
        if converged.ok and converged.outcomes and screen.live:
            name, url = next(iter(urls.items()))
            screen.line(("\ntry  ", "dim"), f"sagespec invoke {name} --file rows.csv")
            screen.line(f"     {curl} {url} -H 'Content-Type: text/csv' --data-binary @rows.csv")


def _failed_row(screen: Screen, outcome: Outcome, told: Iterable[Problem]) -> list[Cell]:
    from sagespec.converge import is_told_by

    where = next((problem.where for problem in told if is_told_by(outcome, problem)), None)
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


def ending_cell(converged: Converged, seconds: float | None = None, done: str = EVERYTHING) -> Cell:
    """How a run ended, in a line. seconds: how long it took, if that is known."""
    from sagespec.passes import MOST_REPEATS

    results = Counter("stopped" if outcome.was_stopped else outcome.result.value for outcome in converged.outcomes)
    parts = [f"{results[word]} {word}" for word in (*Result, "stopped") if results[word]]
    took = "" if seconds is None else f" in {seconds_text(seconds)}"
    did = f" ({', '.join(parts)}{took})" if parts else ""
    running, rolling = len(converged.plan.running), len(converged.plan.rolling)
    if converged.ok and (running or rolling):
        what = f"everything else is up to date{did}" if parts else "nothing to do"
        elsewhere = [f"{running} running elsewhere"] if running else []
        elsewhere += [f"{rolling} being rolled out: `sagespec watch` or the next apply continues"] if rolling else []
        return "; ".join([what, *elsewhere]), "good"
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
    held_back = sum(bool(one.held) for one in converged.plan.suspended)
    reasons += [f"{held_back} suspended"] if held_back else []
    return f"not up to date: {', '.join(reasons) or f'one action was undone {MOST_REPEATS} times'}{did}", "bad"
