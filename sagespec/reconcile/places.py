"""Where the specs say what is new in a plan: the file, line and column of each changed field.

`endpoints` asks here for the actions of an endpoint; `jobs` knows the fields of a job under the names they have there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sagespec.causes import Change
from sagespec.errors import Origin
from sagespec.plan import Action
from sagespec.spec.endpoint import Variant
from sagespec.spec.job import Resources
from sagespec.state.desired import DesiredEndpoint


def placed(actions: Iterable[Action], endpoint: DesiredEndpoint) -> tuple[Action, ...]:
    """The actions that lead to the endpoint, each change with its place, as far as its spec writes it."""
    return tuple(_placed(action, endpoint) for action in actions)


def _placed(action: Action, endpoint: DesiredEndpoint) -> Action:
    if not action.cause.changes:  # asked first: places are found out when they are asked for
        return action
    changes = tuple(
        replace(change, origin=_place(change, action.about.variant, endpoint)) for change in action.cause.changes
    )
    return replace(action, cause=replace(action.cause, changes=changes))


def _place(change: Change, variant: str, endpoint: DesiredEndpoint) -> Origin | None:
    paths = _paths(change.field, variant, [one.name for one in endpoint.variants])
    return next((endpoint.field_origins[path] for path in paths if path in endpoint.field_origins), None)


def _paths(field: str, variant: str, names: list[str]) -> Iterator[str]:
    """Where a field may stand that a plan calls so: `weight of stable`, or `weight` where the action is about it.

    >>> list(_paths("cpus of stable", "", ["stable"])), list(_paths("min_healthy", "", ["stable"]))
    (['variants.0.resources.cpus'], ['rollout.min_healthy', 'min_healthy'])
    """
    name, _, of = field.rpartition(" of ")
    name, variant = (name, of) if name and of in names else (field, variant)
    if name == f"variant {name.removeprefix('variant ')}" and (added := name.removeprefix("variant ")) in names:
        yield f"variants.{names.index(added)}"
    elif variant in names:
        inside = f"resources.{name}" if name in Resources.model_fields else name
        if name.partition(".")[0] in {*Variant.model_fields, *Resources.model_fields}:
            yield f"variants.{names.index(variant)}.{inside}"
    else:
        yield from (f"rollout.{name}", name)
