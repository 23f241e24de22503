"""Both sides of one rollout: what is live and the candidate, and the actions that give each its part.

`rollouts` decides with it, and `take_back` ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sagespec.causes import Cause, Reason
from sagespec.plan import Action, RecordProgress, SetRoutes
from sagespec.reconcile.given import Given
from sagespec.reconcile.goals import Goal
from sagespec.reconcile.instances import Instance, await_actions, start_action, wanted_instances
from sagespec.reconcile.judging import Pair, pairs_of
from sagespec.reconcile.leaving import removals
from sagespec.reconcile.routes import route_is_off, routed_names, wanted_route, with_draining
from sagespec.reconcile.standing import name_of, percent
from sagespec.reconcile.steps import Step, limited, mixture, steps_of
from sagespec.state.observed import Container, Route
from sagespec.state.progress import Progress

Actions = tuple[Action, ...]


@dataclass(frozen=True)
class Rollout:
    """Both sides of one rollout, as they are now. live, candidate: with all their instances."""

    goal: Goal
    given: Given
    live: Goal
    old: tuple[Instance, ...]
    new: tuple[Instance, ...]
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        return self.goal.endpoint.name

    @property
    def route_now(self) -> Route | None:
        return self.given.observed.gateway.routes.get(self.name)

    @property
    def live_route(self) -> Route:
        return wanted_route(self.live.endpoint, self.old)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return pairs_of(self.live_route, wanted_route(self.goal.endpoint, self.new))

    @property
    def is_routed(self) -> bool:
        """Whether the candidate is in the route, or the route is lost."""
        targets = {target for pair in self.pairs for target in pair.candidate}
        route = self.route_now
        return route is None or any(t.instances and f"{t.variant}/{t.hash}" in targets for t in route.targets)

    def sides(self, step: Step) -> tuple[tuple[Instance, ...], tuple[Instance, ...]]:
        """The instances that old and new have in a step."""
        return limited(self.old, step.old), limited(self.new, step.new)

    def route(self, step: Step) -> Route:
        old, new = self.sides(step)
        return mixture(wanted_route(self.live.endpoint, old), wanted_route(self.goal.endpoint, new), step)


def rollout_to(goal: Goal, given: Given) -> Rollout:
    assert goal.before is not None
    live = Goal(goal.before, False, goal.before, goal.next_number)
    old, new = wanted_instances(live, given), wanted_instances(goal, given)
    return Rollout(goal, given, live, old, new, steps_of(goal.endpoint, goal.before))


def starts_of(
    rollout: Rollout, old: tuple[Instance, ...], new: tuple[Instance, ...]
) -> tuple[tuple[Actions, Actions], tuple[Actions, Actions]]:
    """What starts and what is waited for, of what is live and of the candidate. What stays as it is is on both sides,
    and counts as live."""
    given, kept = rollout.given, {instance.container for instance in old}
    added = tuple(instance for instance in new if instance.container not in kept)
    return _starts(rollout.live, old, given), _starts(rollout.goal, added, given)


def _starts(goal: Goal, instances: tuple[Instance, ...], given: Given) -> tuple[Actions, Actions]:
    starts = tuple(start_action(instance, given) for instance in instances if instance.start)
    return starts, await_actions(goal, instances, starts, given)


def sets_of(rollout: Rollout, route: Route, is_new: bool, after: tuple[str, ...], step: Step) -> tuple[SetRoutes, ...]:
    if not is_new and not route_is_off(rollout.route_now, route, rollout.goal.endpoint, rollout.given.observed):
        return ()
    note = f"{name_of(step)}: {percent(step.share)} of the traffic"
    return (set_routes(rollout, route, after, note, f"step {step.number}"),)


def set_routes(rollout: Rollout, route: Route, after: tuple[str, ...], note: str, step: str) -> SetRoutes:
    """With what leaves the route, or is in none, as draining."""
    named, now = routed_names(route), routed_names(rollout.route_now)
    leaving = tuple(c for c in containers(rollout) if c.name in now and c.name not in named)
    return SetRoutes(
        about=rollout.goal.endpoint.address,
        cause=Cause(Reason.ROLLOUT, note=note),
        after=after,
        route=with_draining(route, leaving),
        step=step,
    )


def record_progress(rollout: Rollout, progress: Progress, after: tuple[str, ...], note: str) -> RecordProgress:
    return RecordProgress(
        about=rollout.goal.endpoint.address,
        cause=Cause(Reason.ROLLOUT, note=note),
        after=after,
        number=progress.number,
        step=progress.step,
        at=(progress.looked_at or progress.begun).isoformat(),
        progress=progress,
    )


def leaving_of(rollout: Rollout, kept: tuple[Instance, ...], after: tuple[str, ...]) -> Actions:
    names, routed = {instance.container for instance in kept}, routed_names(rollout.route_now)
    leaving = tuple(c for c in containers(rollout) if c.name not in names)
    if rollout.given.options.leaves_new:
        leaving = tuple(c for c in leaving if c.name in routed)
    draining = frozenset(c.name for c in leaving) & routed
    drain_within = rollout.goal.endpoint.drain_within_seconds
    return removals(leaving, draining, after, drain_within, note="no longer needed")


def containers(rollout: Rollout) -> tuple[Container, ...]:
    return rollout.given.observed.containers_of(rollout.goal.endpoint.address)
