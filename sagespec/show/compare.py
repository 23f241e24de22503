"""The variants of an endpoint compared, as a table and one sentence for each; and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sagespec.show.figures import counted, milliseconds_text, percent_text
from sagespec.show.plot import new_figure, save
from sagespec.show.screen import Cell, Screen

if TYPE_CHECKING:
    from sagespec.evidence.bounds import Bounds
    from sagespec.verbs.compare import Compared, Comparison
    from sagespec.verbs.feedback import Fed


def write_comparison(screen: Screen, found: Comparison) -> None:
    if screen.format == "json":
        screen.document(found.as_json())
        return
    screen.line((f"endpoint/{found.endpoint}", "bold"), f"  revision {found.revision}, compared with {found.control}")
    screen.table(comparison_rows(found), head=comparison_head(found), indent="  ")
    screen.line()
    for text in found.sentences:
        screen.line(*verdict_cells(text))
    for note in found.notes:
        screen.line(("note ", "change"), note)
    screen.line((footer(found), "dim"))


def write_fed(screen: Screen, fed: Fed) -> None:
    if screen.format == "json":
        screen.document(fed.as_json())
        return
    screen.line((f"{counted(fed.taken, 'reward')} taken", "good" if fed.taken else "change"))
    if fed.unknown:
        screen.line(
            (f"{counted(fed.unknown, 'reward')} left out", "change"),
            ": the prediction is not known (was InferenceId given?), or had a reward already",
        )


def comparison_head(found: Comparison) -> tuple[str, ...]:
    rewards = ("REWARDS", "MEAN") if any(one.rewarded.count for one in found.variants) else ()
    return ("VARIANT", "MODEL", "SHARE", "REQUESTS", "FAILED", "P50", "P99", *rewards)


def comparison_rows(found: Comparison) -> list[list[Cell]]:
    has_rewards = any(one.rewarded.count for one in found.variants)
    return [_row(one, has_rewards=has_rewards) for one in found.variants]


def _row(one: Compared, *, has_rewards: bool) -> list[Cell]:
    seen = "" if one.share_seen is None else f", came {percent_text(one.share_seen)}"
    row: list[Cell] = [
        (one.variant, "name"),
        one.model,
        f"{percent_text(one.share_asked)}{seen}",
        f"{one.counts.requests:,}",
        "-" if one.error_rate is None else f"{percent_text(one.error_rate)} ({_percents(one.error_bounds)})",
        milliseconds_text(one.p50_ms),
        milliseconds_text(one.p99_ms),
    ]
    if has_rewards:
        mean, bounds = one.rewarded.mean, one.rewarded.bounds
        within = f" ({bounds.low:.3g} to {bounds.high:.3g})"
        row += [f"{one.rewarded.count:,}", "-" if mean is None else f"{mean:.3g}{within}"]
    return row


def _percents(bounds: Bounds) -> str:
    return f"{bounds.low * 100:.2g} to {bounds.high * 100:.2g} %"


def verdict_cells(text: str) -> list[Cell]:
    tone = "good" if " is better than " in text else "bad" if " is worse than " in text else "change"
    return [(text, tone)]


def footer(found: Comparison) -> str:
    held = f"bounds and verdict hold at every look, at a level of {found.alpha * 100:g} %"
    if not found.is_split_judged:
        return held
    split = "do not come" if found.is_split_broken else "come"
    return f"requests {split} as the weights say (p {found.split_p:.2g}); {held}"


def write_comparison_png(file: Path, found: Comparison) -> None:
    """Rates of failure, latencies and rewards, each variant a point with its bounds."""
    drawn = [one for one in found.variants if one.counts.requests]
    rewarded = [one for one in found.variants if one.rewarded.count]
    figure = new_figure(2 + bool(rewarded))
    figure.suptitle(f"endpoint/{found.endpoint}: {found.sentences[0]}", fontsize=10, wrap=True)
    failed, latency, *rest = figure.subplots(2 + bool(rewarded), squeeze=False)[:, 0]
    rates = [((one.error_rate or 0.0) * 100, [edge * 100 for edge in one.error_bounds]) for one in drawn]
    _bars(failed, [one.variant for one in drawn], rates, "failed, %")
    for label, values in (("p50", [one.p50_ms for one in drawn]), ("p99", [one.p99_ms for one in drawn])):
        latency.plot([value or 0.0 for value in values], range(len(drawn)), "o", label=label)
    latency.set_yticks(range(len(drawn)), [one.variant for one in drawn])
    latency.set_xlabel("milliseconds")
    latency.legend(frameon=False, fontsize=9)
    if rewarded:
        means = [(one.rewarded.mean or 0.0, list(one.rewarded.bounds)) for one in rewarded]
        _bars(rest[0], [one.variant for one in rewarded], means, "mean reward")
    save(figure, file)


def _bars(axes: object, names: Sequence[str], values: Sequence[tuple[float, Sequence[float]]], label: str) -> None:
    from typing import Any, cast

    drawn = cast("Any", axes)
    below = [value - bounds[0] for value, bounds in values]
    above = [bounds[1] - value for value, bounds in values]
    middle = [value for value, _ in values]
    drawn.errorbar(middle, range(len(names)), xerr=[below, above], fmt="o", capsize=4)
    drawn.set_yticks(range(len(names)), names)
    drawn.set_xlabel(label)
    drawn.grid(alpha=0.25)
