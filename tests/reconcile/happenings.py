"""What a case may say has happened to the world: `- WHAT: WHOM`, where the key is one of HAPPENINGS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from sagespec.events import silent
from sagespec.reconcile.notebooks import OPENS_WITHIN
from sagespec.records.leases import Leases
from sagespec.run.launches import training_launches
from sagespec.run.stops import ask_to_stop
from sagespec.spec.project import GatewaySettings
from sagespec.state.addresses import GATEWAY, Address
from sagespec.state.desired import Desired, desired_endpoint
from sagespec.state.doors import Certified
from sagespec.state.labels import container_name
from sagespec.state.launches import Launch
from sagespec.state.observed import ContainerState, Route
from sagespec.state.progress import AbortRequest, PromoteRequest
from sagespec.state.revision import (
    RemovalRequest,
    RestartRequest,
    RetryRequest,
    RevisionStatus,
    RollbackRequest,
    live_revision,
)
from sagespec.state.rollout import RolloutRecord
from sagespec.state.suspension import Suspension
from sagespec.verbs.addresses import restartable
from sagespec.verbs.rollback import rollback_target
from tests.fakes import others
from tests.fakes.engine import SERVES, TRAINS
from tests.fakes.gateway import FakeGateway
from tests.fakes.specs import PROJECT
from tests.fakes.world import NEVER_HEALTHY, SimulatedWorld


def gone(world: SimulatedWorld, address: str) -> None:
    world.runtime.remove(world.container_at(Address.parse(address)).launch.name)


def exited(world: SimulatedWorld, address: str) -> None:
    world.engine.end(world.container_at(Address.parse(address)), 137)


def lost(world: SimulatedWorld, address: str) -> None:
    """With its node, which takes the exit code with it."""
    container = world.container_at(Address.parse(address))
    world.engine.end(container, 137)
    container.exit_code = None


def being_stopped(world: SimulatedWorld, address: str) -> None:
    """Another run, which did not want it, has told it to stop."""
    Leases(world.records.store, PROJECT).mark_leaving(world.container_at(Address.parse(address)).launch.name)


def ended(world: SimulatedWorld, address: str) -> None:
    world.engine.end(world.container_at(Address.parse(address)), 0)


def manifest_lost(world: SimulatedWorld, address: str) -> None:
    """Of a trained job, which gives another model when it is trained again."""
    job = Address.parse(address)
    world.objects.pop(f"{PROJECT}/jobs/{job.name}/{job.version}/manifest.json", None)
    world.engine.behave(address, replace(TRAINS, files={"model/model.txt": b"another model\n"}))


def revision_lost(world: SimulatedWorld, revision: str) -> None:
    """The record of a revision was deleted: churn 1."""
    name, number = revision.split()
    del world.objects[f"{PROJECT}/endpoints/{name}/revisions/{number}.json"]


def data_edited(world: SimulatedWorld, address: str) -> None:
    """The channel train of a job has other data now."""
    world.edited_inputs[Address.parse(address)] = {"train": "0123456789abcdef" * 4}


def measured(world: SimulatedWorld, what: str) -> None:
    """A job that is trained has ended with a metric: job/churn@2 auc 0.741."""
    job, metric, value = what.split()
    address = Address.parse(job)
    manifest = world.manifests[address].model_copy(update={"metrics": {metric: float(value)}})
    key = f"{PROJECT}/jobs/{address.name}/{address.version}/manifest.json"
    world.records.store.write(key, manifest.model_dump_json().encode())


def stop_asked(world: SimulatedWorld, address: str) -> None:
    ask_to_stop(world.records, Address.parse(address), "ada on build-7", None)


def seen_from(world: SimulatedWorld, where: str) -> None:
    """Another checkout looks, or one on another machine: of the same store, on an engine of its own."""
    world.runtime.where = where


def created(world: SimulatedWorld, address: str) -> None:
    """An earlier run was killed before it started the container."""
    world.container_at(Address.parse(address)).state = ContainerState.CREATED


def cannot_start(world: SimulatedWorld, program: str) -> None:
    world.engine.cannot_start.add(program)


def silent_model(world: SimulatedWorld, model: str) -> None:
    """Its instances stopped answering /ping, and were started longer ago than is borne."""
    world.turn_unhealthy(model)
    world.clock.sleep(RolloutRecord().healthy_within + 1)


def busy(world: SimulatedWorld, model: str) -> None:
    """Its instances have been at a request for so long that they stopped answering /ping."""
    silent_model(world, model)
    for name, served in world.models.items():
        if served == model:
            world.engine.all[name].behaviour = replace(NEVER_HEALTHY, active_requests=1)


def silent_notebook(world: SimulatedWorld, address: str) -> None:
    """It was started and does not answer yet."""
    world.silent.add(world.container_at(Address.parse(address)).launch.name)


def hung_notebook(world: SimulatedWorld, address: str) -> None:
    silent_notebook(world, address)
    world.clock.sleep(OPENS_WITHIN.total_seconds() + 1)


def route_lost(world: SimulatedWorld, endpoint_name: str) -> None:
    world.gateway.set_route(endpoint_name, None, {})


def route_changed(world: SimulatedWorld, endpoint_name: str) -> None:
    route = world.routes[endpoint_name]
    even = replace(route, targets=tuple(replace(target, weight=1.0) for target in route.targets))
    world.gateway.set_route(endpoint_name, even, {c.name: (c.host, c.port) for c in world.containers})


def gateway(world: SimulatedWorld, what: str) -> None:
    match what:
        case "gone":
            gone(world, str(GATEWAY))
        case "exited":
            exited(world, str(GATEWAY))
        case "silent":
            world.container_at(GATEWAY).behaviour = NEVER_HEALTHY
        case "off its network":
            world.container_at(GATEWAY).is_on_network = False
        case "changed":  # it was started with another port
            FakeGateway(world.runtime, PROJECT, GatewaySettings(port=8081)).start(silent)
        case _:
            raise AssertionError(f"a gateway is never {what!r}")


def certificate(world: SimulatedWorld, days: str) -> None:
    """The gateway shows one that ends in so many days, or ended so many days ago."""
    ends_at = world.clock.now() + timedelta(days=int(days))
    world.gateway.change(lambda t: replace(t, doors=replace(t.doors, certificate=Certified("c1", ends_at))))


def rolled_back(world: SimulatedWorld, endpoint_name: str) -> None:
    """As releases up to 0.1 recorded it, before it was carried out: the earlier live revision again."""
    history = world.records.history(endpoint_name)
    live = live_revision(history)
    assert live
    earlier = next(r for r in reversed(history) if r.status is RevisionStatus.LIVE and r.number < live.number)
    again = {"number": history[-1].number + 1, "instead_of": live.hash}
    world.records.write_revision(earlier.model_copy(update=again))
    world.records.write_revision(live.model_copy(update={"status": RevisionStatus.ROLLED_BACK}))


def rollback_asked(world: SimulatedWorld, endpoint_name: str) -> None:
    """Somebody wants the earlier live revision back, and nobody has carried it out yet. The spec is what is live."""
    history = world.records.history(endpoint_name)
    live = live_revision(history)
    assert live
    target = rollback_target(history, live, None)
    world.records.write_rollback(
        RollbackRequest(
            endpoint=endpoint_name,
            number=target.number,
            hash=target.hash,
            asked=target.asked,
            instead_of=live.hash,
            after=history[-1].number,
            reason="it was worse",
            by="ada on build-7",
            at=world.clock.now(),
        )
    )


def removal_asked(world: SimulatedWorld, endpoint_name: str) -> None:
    """Somebody wants the endpoint gone, and nobody has carried it out yet."""
    number = world.records.history(endpoint_name)[-1].number
    world.records.write_removal(
        RemovalRequest(endpoint=endpoint_name, after=number, by="ada on build-7", at=world.clock.now())
    )


def retry_asked(world: SimulatedWorld, endpoint_name: str) -> None:
    """Of a spec that was given up; nobody has carried it out yet."""
    number = world.records.history(endpoint_name)[-1].number
    world.records.write_retry(RetryRequest(endpoint=endpoint_name, after=number, by="ada", at=world.clock.now()))


def upgraded(world: SimulatedWorld, _what: str) -> None:
    """To a release with other images. What runs stays on the engine."""
    world.engine.release += 1


def image_gone(world: SimulatedWorld, image: str) -> None:
    world.engine.images_gone.add(image)


def restart_asked(world: SimulatedWorld, name: str) -> None:
    """Of churn, churn/stable or gateway; nobody has carried it out yet."""
    endpoint, _, variant = name.partition("/")
    about = Address.parse(name) if name.startswith("notebook/") else restartable(endpoint)
    history = world.records.history(about.name) if about.kind == "endpoint" else ()
    after = history[-1].number if history else 0
    world.records.write_restart(
        RestartRequest(
            about=str(about),
            variant="" if about.kind == "notebook" else variant,
            after=after,
            reason="a new image",
            by="ada",
            at=world.clock.now(),
        )
    )


def followed(world: SimulatedWorld, address: str) -> None:
    """Another run, on another machine, follows the job."""
    others.follow(world.records.store, Address.parse(address), others.ada(world.clock.now()))


def followed_here(world: SimulatedWorld, address: str) -> None:
    world.follow(Address.parse(address))


def requests_came(world: SimulatedWorld, what: str) -> None:
    """So many to an endpoint: churn 100. Or with what becomes of those that churn@2 gets: churn 100 failing."""
    endpoint, count, *failing = what.split()
    world.ask(endpoint, int(count), {"churn@2": 1} if failing else {})


def hours_passed(world: SimulatedWorld, hours: str) -> None:
    world.clock.sleep(float(hours) * 3600)


def promotion_asked(world: SimulatedWorld, endpoint_name: str) -> None:
    """Of its rollout, which has begun; nobody has carried it out yet."""
    number = world.observed().rollouts[endpoint_name].number
    request = PromoteRequest(endpoint=endpoint_name, number=number, reason="a demo", by="ada", at=world.clock.now())
    world.records.write_promotion(request)


def abort_asked(world: SimulatedWorld, endpoint_name: str) -> None:
    number = world.observed().rollouts[endpoint_name].number
    request = AbortRequest(endpoint=endpoint_name, number=number, reason="a complaint", by="ada", at=world.clock.now())
    world.records.write_abort(request)


def suspended(world: SimulatedWorld, what: str) -> None:
    """An address, or project; with hours, for so long: endpoint/churn 2."""
    about, _, hours = what.partition(" ")
    now = world.clock.now()
    until = now + timedelta(hours=float(hours)) if hours else None
    world.records.write_suspension(Suspension(about=about, reason="odd figures", by="ada", at=now, until=until))


def taken_back(world: SimulatedWorld, endpoint_name: str) -> None:
    """By a run that was killed before it could record that."""
    live = live_revision(world.records.history(endpoint_name))
    assert live
    hashes = {variant.name: variant.hash for variant in desired_endpoint(endpoint_name, live.asked).variants}
    old = tuple(t for t in world.routes[endpoint_name].targets if hashes.get(t.variant) == t.hash)
    weights = {variant.name: variant.weight for variant in live.asked.variants}
    route = Route(endpoint_name, tuple(replace(target, weight=weights[target.variant]) for target in old))
    world.gateway.set_route(endpoint_name, route, {c.name: (c.host, c.port) for c in world.containers})


BEFORE_ANYTHING_RUNS: Mapping[str, Callable[[SimulatedWorld, str], None]] = {
    "unhealthy": SimulatedWorld.turn_unhealthy,  # MODEL
    "failing": lambda world, address: world.fail_job(Address.parse(address)),
    "saving elsewhere": lambda world, address: world.engine.behave(address, replace(TRAINS, files={})),
}
HAPPENINGS: Mapping[str, Callable[[SimulatedWorld, str], None]] = {
    "gone": gone,  # ADDRESS
    "exited": exited,
    "lost": lost,
    "being stopped": being_stopped,
    "ended": ended,
    "manifest lost": manifest_lost,  # JOB
    "revision lost": revision_lost,  # ENDPOINT NUMBER
    "data edited": data_edited,  # JOB
    "measured": measured,  # JOB METRIC VALUE
    "stop asked": stop_asked,
    "created": created,
    "seen from": seen_from,  # ENGINE
    "silent": silent_model,  # MODEL
    "not open yet": silent_notebook,  # NOTEBOOK
    "hung": hung_notebook,  # NOTEBOOK
    "busy": busy,
    "route lost": route_lost,  # ENDPOINT
    "route changed": route_changed,
    "rolled back": rolled_back,
    "rollback asked": rollback_asked,
    "removal asked": removal_asked,  # ENDPOINT
    "retry asked": retry_asked,  # ENDPOINT
    "upgraded": upgraded,  # sagespec
    "image gone": image_gone,  # IMAGE
    "restart asked": restart_asked,  # ENDPOINT[/VARIANT] or gateway
    "certificate": certificate,  # DAYS left
    "gateway": gateway,  # gone | exited | silent | off its network | changed
    "requests": requests_came,  # ENDPOINT NUMBER [failing]
    "hours": hours_passed,  # NUMBER
    "promotion asked": promotion_asked,  # ENDPOINT
    "abort asked": abort_asked,  # ENDPOINT
    "taken back": taken_back,  # ENDPOINT
    "suspended": suspended,  # ADDRESS or project [HOURS]
    "cannot start": cannot_start,  # PROGRAM
    "followed": followed,  # JOB: by another run, until the plan is made
    "followed here": followed_here,  # by the run that plans
}


def begin(world: SimulatedWorld, desired: Desired) -> None:
    """The containers of these jobs and endpoints run, as an earlier sagespec started them; nobody followed them."""
    launches = [launch for job in desired.jobs for launch in training_launches(PROJECT, job)]
    for endpoint in desired.endpoints:
        for variant in endpoint.variants:
            for number in range(variant.instances):
                address = Address("endpoint", endpoint.name, variant=variant.name, instance=number)
                name = container_name(PROJECT, address, variant.hash)
                launches.append(Launch(name, address, variant.hash, variant.program, "serve"))
    start_all(world, launches)


def start_all(world: SimulatedWorld, launches: Sequence[Launch]) -> None:
    for launch in launches:
        world.engine.behave(launch.name, SERVES)  # it does not end by itself
        world.runtime.create([launch])
        world.runtime.start(launch.name)
