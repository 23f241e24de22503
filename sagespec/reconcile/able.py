"""What the engine can never run, refused in the plan: with more than it has, or with what cannot be started there.

Called by `jobs` and `goals` for what would be started. `observe` has asked the engine; nothing is asked here.
"""

from __future__ import annotations

from sagespec.errors import Problem
from sagespec.reconcile.rooms import Resource, amounts_of
from sagespec.reconcile.turns import beyond, beyond_nodes, first_short, needs_of_endpoint, shown
from sagespec.state.desired import DesiredEndpoint, DesiredJob
from sagespec.state.observed import Observed


def why_no_run(job: DesiredJob, observed: Observed) -> tuple[Problem, ...]:
    """Why the job would wait forever, or fail at its start."""
    if unable := observed.unable.get(job.address):
        return (unable,)
    found = beyond(job, observed.capacity) if observed.capacity else None
    if found is None:
        return ()
    resource, what = found
    return (
        Problem(
            what=f"resources.{resource}: {what}",
            about=str(job.address),
            why="it would wait forever: all containers of a job run at the same time",
            fix=f"lower resources.{resource} or instances, or use a larger engine",
            where=job.field_origins.get(f"resources.{resource}", job.origin),
        ),
    )


def why_no_start(endpoint: DesiredEndpoint, observed: Observed) -> Problem | None:
    """Why not all instances of the endpoint could be started."""
    if unable := observed.unable.get(endpoint.address):
        return unable
    if observed.capacity is None:
        return None
    has = amounts_of(observed.capacity)
    for about, needs in needs_of_endpoint(endpoint):
        if resource := first_short(needs, has):
            asked = shown(resource, needs[resource])
            return Problem(
                what=f"resources.{resource} of {about}: asks for {asked} but the engine has "
                f"{shown(resource, has[resource])}",
                about=str(endpoint.address),
                why="such an instance could not run as it is asked for",
                fix=f"lower resources.{resource}, or use a larger engine",
                where=endpoint.origin,
            )
    for variant in endpoint.variants:
        of_one: dict[Resource, float | None] = {"cpus": variant.cpus, "memory": variant.memory, "gpus": variant.gpus}
        found = beyond_nodes({name: amount for name, amount in of_one.items() if amount}, 1, observed.capacity)
        if found:
            return Problem(
                what=f"resources.{found[0]} of {variant.name}: {found[1]}",
                about=str(endpoint.address),
                why="an instance is on one node",
                fix=f"lower resources.{found[0]}, or add a larger node",
                where=endpoint.origin,
            )
    return None
