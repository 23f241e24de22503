"""Why something changes: the fields that differ, old and new, with the values of secrets masked.

The other files of `reconcile` ask here when they give an action its cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sagespec.causes import ADDED, MASK, REMOVED, Cause, Change, Reason
from sagespec.reconcile.callers import callers_moved, moving_note, split_changes
from sagespec.spec.document import Update
from sagespec.spec.secrets import SecretUse
from sagespec.spec.values import in_flow, written_size
from sagespec.state.desired import DesiredEndpoint, DesiredModel, DesiredVariant, JobModel
from sagespec.state.hashes import UNTRAINED, model_of, same_but_for_models, same_hash
from sagespec.state.observed import Container, Route
from sagespec.state.revision import settings_of
from sagespec.state.secrets import ROTATED, is_secret_field, rotated


def replace_changes(old: DesiredVariant, new: DesiredVariant) -> tuple[Change, ...]:
    """The changed fields that ask for new containers, as a person would name them."""
    changes = []
    for change in changed_by_update(old, new, Update.REPLACE):
        if change.field == "model" and old.model.text != new.model.text:
            changes.append(model_change("model", old.model, new.model))
        elif change.field == "environment":
            changes += _variables(old.environment, new.environment)
        else:
            changes.append(change)
    return (*changes, *(Change(f"secret {name}", "", ROTATED) for name in rotated(old.secrets, new.secrets)))


def model_change(field: str, old: DesiredModel, new: DesiredModel) -> Change:
    """With the alias that stands for it in the spec, if one does."""
    had = old.alias if isinstance(old, JobModel) else ""
    alias = new.alias if isinstance(new, JobModel) else ""
    note = f" ({alias}{' moved' if alias == had else ''})" if alias else ""
    return Change(field, old.text, f"{new.text}{note}")


def trained_again(variant: DesiredVariant, hashes: Iterable[str]) -> str:
    """What to say where its instances, of these hashes, serve an earlier training of its model; '' where none does."""
    same = [text for text in hashes if same_but_for_models(variant.hash, text)]
    earlier = [text for text in same if model_of(text) != model_of(variant.hash)]
    if not earlier or not model_of(variant.hash):
        return ""
    if model_of(variant.hash) == UNTRAINED:
        return f"model {variant.model.text} is trained again"
    known = next((f": {model_of(text)} -> {model_of(variant.hash)}" for text in earlier if model_of(text)), "")
    return f"model {variant.model.text} was trained again{known}"


def _variables(old: Mapping[str, str | SecretUse], new: Mapping[str, str | SecretUse]) -> list[Change]:
    """The variables that differ, by name: any value may be secret."""
    differ = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    kinds = {name: ADDED if name not in old else REMOVED if name not in new else MASK for name in differ}
    return [Change(f"environment.{name}", "", kinds[name], secret=True) for name in differ]


def route_cause(
    before: DesiredEndpoint | None,
    goal: DesiredEndpoint,
    route: Route | None,
    *,
    has_new_instances: bool,
    has_new_gateway: bool,
) -> Cause:
    changes = route_changes(before, goal) if before else ()
    if before and changes:
        moved = callers_moved(before, goal)
        return Cause(Reason.CHANGED, changes, note=moving_note(before, goal), callers_moved=moved)
    if before is None:
        return Cause(Reason.NEW, note="first traffic")
    if route is None:
        return Cause(Reason.DRIFT, note="the gateway has no route for it")
    if has_new_instances:
        return Cause(Reason.FOLLOWS, note="new instances")
    if has_new_gateway:
        return Cause(Reason.FOLLOWS, note="new gateway")
    return Cause(Reason.DRIFT, note="the route was changed")


def route_changes(before: DesiredEndpoint, goal: DesiredEndpoint) -> tuple[Change, ...]:
    """What changes for callers, variant by variant in the order of the spec, dropped ones last."""
    changes = []
    for variant in goal.variants:
        old = before.variant(variant.name)
        if old is None:
            changes.append(Change(f"variant {variant.name}", "none", f"weight {variant.weight:g}"))
            continue
        if old.model.text != variant.model.text:
            changes.append(model_change(f"model of {variant.name}", old.model, variant.model))
        elif not same_hash(variant.hash, old.hash):
            fields = (c for c in replace_changes(old, variant) if c.field != "split")  # the weights say it
            changes += (replace(c, field=f"{c.field} of {variant.name}") for c in fields)
        for update in (Update.ROUTE, Update.SCALE):
            changed = changed_by_update(old, variant, update)
            changes += (replace(c, field=f"{c.field} of {variant.name}") for c in changed)
    gone = [variant for variant in before.variants if goal.variant(variant.name) is None]
    changes += (*split_changes(before, goal), *limit_changes(before, goal))
    return (*changes, *(Change(f"variant {v.name}", f"weight {v.weight:g}", "none") for v in gone))


def limit_changes(before: DesiredEndpoint, goal: DesiredEndpoint) -> tuple[Change, ...]:
    had, has = (one.record.limits for one in (before, goal))
    fields = ("concurrency", "queue")
    return tuple(
        Change(f"limits.{name}", str(getattr(had, name) or "none"), str(getattr(has, name) or "none"))
        for name in fields
        if getattr(had, name) != getattr(has, name)
    )


def setting_changes(before: DesiredEndpoint, goal: DesiredEndpoint) -> tuple[Change, ...]:
    """Changed fields that touch nothing live: the rollout's settings and protection."""
    return changed_fields(settings_of(before.record), settings_of(goal.record))


def changed_by_update(old: DesiredVariant, new: DesiredVariant, update: Update) -> tuple[Change, ...]:
    """The changed fields of one update class. A restart is none: it is said in other words."""
    return tuple(c for c in changed_fields(old.fields[update], new.fields[update]) if c.field != "restart")


LONGEST_SHOWN = 60


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields whose values differ, sorted by name; a missing one shows as '', a secret one as changed."""
    fields = sorted(old.keys() | new.keys())
    return tuple(_change(field, old.get(field), new.get(field)) for field in fields if old.get(field) != new.get(field))


def _change(field: str, old: Any, new: Any) -> Change:
    if is_secret_field(field, _text(old), _text(new)):
        return Change(field, "", MASK, secret=True)
    if field == "memory":
        old, new = (written_size(size) if isinstance(size, int) else size for size in (old, new))
    return Change(field, _shown(old), _shown(new))


def _shown(value: Any) -> str:
    text = "" if value is None else in_flow(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def how_it_ended(container: Container) -> str:
    """Of one that has; a node that was lost takes its exit code with it."""
    if container.exit_code is not None:
        return f"it exited with code {container.exit_code}"
    said = container.last_exit.note if container.last_exit else ""
    return f"it has ended: {said}" if said else "it has ended, and nobody knows how"
