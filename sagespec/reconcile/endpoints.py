"""Endpoints: which instances start, take traffic, drain and go.

The goal of an endpoint (`goals`) is its spec, unless that failed before or its model is missing; then it is the
live revision. What leads to it is one sequence (`at_once`), or a rollout step by step (`rollouts`).
"""

from __future__ import annotations

from dataclasses import replace

from sagespec.plan import Action
from sagespec.reconcile.at_once import steps_at_once
from sagespec.reconcile.gates import notes_of_gate
from sagespec.reconcile.given import Decision, Given
from sagespec.reconcile.goals import Choice, choose_goal, goal_as_it_is
from sagespec.reconcile.leaving import remove_idle
from sagespec.reconcile.places import placed
from sagespec.reconcile.restarts import notes_of_images, with_restarts
from sagespec.reconcile.rollouts import reconcile_rollout
from sagespec.state.desired import DesiredEndpoint


def reconcile_endpoint(desired: DesiredEndpoint, given: Given) -> Decision:
    """What to do about one endpoint of the specs."""
    choice = choose_goal(desired, given)
    decision = _decision(desired, choice, given)
    goal = choice.goal
    return replace(decision, actions=placed(decision.actions, goal.endpoint)) if goal else decision


def kept_up(desired: DesiredEndpoint, given: Given) -> tuple[Action, ...]:
    """What repairs what is live, while its spec waits for something that nobody does just now. What is started for
    the spec meanwhile stays, as it has no traffic yet."""
    goal = goal_as_it_is(desired, given)
    given = replace(given, options=replace(given.options, leaves_new=True))
    return placed(steps_at_once(goal, given), goal.endpoint) if goal else ()


def _decision(desired: DesiredEndpoint, choice: Choice, given: Given) -> Decision:
    goal = choice.goal
    problems = (choice.problem,) if choice.problem else ()
    if goal is None:
        return Decision(remove_idle(desired.address, given.observed, desired.drain_within_seconds), refused=problems)
    goal = with_restarts(goal, given)
    rollout = reconcile_rollout(goal, given, why_not=choice.problem)
    if rollout:
        return replace(rollout, refused=() if choice.is_held else problems, held=problems if choice.is_held else ())
    actions, notes = steps_at_once(goal, given), tuple(notes_of_images(goal.endpoint, given))
    notes += notes_of_gate(goal.endpoint, goal.before, given) if goal.pending else ()
    is_rollback = goal.live_number is not None
    if (request := given.restart_of(desired.address)) and not (is_rollback or goal.is_spec_of(desired)):
        notes = (f"{desired.address}: its spec waits for the restart that {request.by} asked for", *notes)
    if choice.is_held:
        notes += tuple(
            f"{held.about}: its spec stays aside until it changes, since it {held.what}" for held in problems
        )
        return Decision(actions, notes=notes, held=problems)
    is_up_to_date = not actions and not problems and goal.is_spec_of(desired)
    unchanged = (desired.address,) if is_up_to_date else ()
    return Decision(actions, unchanged, problems, notes)
