"""The names that Prometheus knows our figures by; docs/monitoring.md lists them. Pure.

Units are seconds and shares; counters end in _total. Labels are the names of specs, so that there are as many series as
the specs have variants and the store has models that were served within a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sagespec.gateway.totals import width_of
from sagespec.monitoring.exposition import Family, Sample
from sagespec.monitoring.loop_counts import BOUNDS_SECONDS, LoopFigures
from sagespec.monitoring.scene import Scene
from sagespec.traffic.grown import Served
from sagespec.traffic.intervals import ERRORS, Interval
from sagespec.traffic.latencies import Histogram

LATENCY_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
_WHOLE_BELOW_MS = 100  # Envoy counts whole milliseconds, and below this has a bucket for each
_KINDS = {"timeouts": "timeout"}  # where the field is not called as the kind is


def families(sums: Mapping[Served, Interval], scene: Scene, loop: LoopFigures, version: str) -> list[Family]:
    of_requests = (*_asked(sums), _durations(sums), *_asked_now(sums))
    of_endpoints = (_gateway(scene), *_instances(scene), *_rollouts(scene))
    of_loop = (*_passes(loop), *_actions(loop))
    of_project = (*_jobs(scene), *_endpoints(scene), *_source(scene), *_engine_and_store(scene))
    return [*of_requests, *of_endpoints, *of_loop, *of_project, _build(version)]


def _build(version: str) -> Family:
    return Family("sagespec_build_info", "gauge", "1, with the release that runs.", [Sample({"version": version}, 1)])


def _by_model(sums: Mapping[Served, Interval]) -> Iterable[tuple[Mapping[str, str], Interval]]:
    """Without what the gateway answered before it had chosen a model."""
    return ((served._asdict(), counted) for served, counted in sums.items() if served.variant)


def _asked(sums: Mapping[Served, Interval]) -> Iterable[Family]:
    yield Family(
        "sagespec_requests_total",
        "counter",
        "Requests that were sent to a model, whatever came of them.",
        [Sample(label, counted.requests) for label, counted in _by_model(sums)],
    )
    yield Family(
        "sagespec_request_errors_total",
        "counter",
        "Requests that failed, by kind: model_4xx, model_5xx, timeout, no_answer, no_instance, overloaded.",
        [
            Sample({**served._asdict(), "kind": _KINDS.get(kind, kind)}, getattr(counted, kind))
            for served, counted in sums.items()
            for kind in ERRORS
            if kind != "client" and (served.variant or getattr(counted, kind))
        ],
    )
    yield Family(
        "sagespec_requests_refused_total",
        "counter",
        "Requests that the gateway refused before a model was asked.",
        [Sample(served._asdict(), counted.client) for served, counted in sums.items()],
    )


def _durations(sums: Mapping[Served, Interval]) -> Family:
    return Family(
        "sagespec_request_duration_seconds",
        "histogram",
        "From the gateway to the model and back, within 10 %.",
        [sample for label, counted in _by_model(sums) for sample in _histogram(label, counted.latencies)],
    )


def _asked_now(sums: Mapping[Served, Interval]) -> Iterable[Family]:
    yield Family(
        "sagespec_requests_in_flight",
        "gauge",
        "Requests that models are answering now.",
        [Sample(label, counted.active) for label, counted in _by_model(sums)],
    )
    yield Family(
        "sagespec_requests_waiting",
        "gauge",
        "Requests that wait at the gateway for their turn, where the endpoint has limits.",
        [Sample(label, counted.waiting) for label, counted in _by_model(sums)],
    )


def _histogram(labels: Mapping[str, str], latencies: Histogram) -> Iterable[Sample]:
    """latencies: by Envoy's buckets, two digits wide, whose bounds ours are among."""
    for bound in LATENCY_BOUNDS:
        within = sum(count for lower, count in latencies.items() if _is_within(lower, bound * 1000))
        yield Sample({**labels, "le": f"{bound:g}"}, within, "_bucket")
    total = sum(latencies.values())
    yield Sample({**labels, "le": "+Inf"}, total, "_bucket")
    yield Sample(labels, sum(_middle(lower) * count for lower, count in latencies.items()) / 1000, "_sum")
    yield Sample(labels, total, "_count")


def _is_within(lower: float, bound_ms: float) -> bool:
    return lower <= bound_ms if lower < _WHOLE_BELOW_MS else lower + width_of(lower) <= bound_ms


def _middle(lower: float) -> float:
    return lower if lower < _WHOLE_BELOW_MS else lower + width_of(lower) / 2


def _gateway(scene: Scene) -> Family:
    return Family(
        "sagespec_gateway_up",
        "gauge",
        "Whether the gateway answered when the loop looked last.",
        [Sample({}, scene.gateway_answers)],
    )


def _instances(scene: Scene) -> Iterable[Family]:
    both = [({"endpoint": s.endpoint, "variant": s.variant, "model": s.model}, s) for s in scene.served]
    yield Family(
        "sagespec_instances_healthy",
        "gauge",
        "Instances that get requests and answer /ping.",
        [Sample(label, seen.healthy) for label, seen in both],
    )
    yield Family(
        "sagespec_instances_wanted",
        "gauge",
        "Instances that the spec asks for.",
        [Sample({"endpoint": endpoint, "variant": variant}, n) for (endpoint, variant), n in scene.wanted.items()],
    )
    yield Family(
        "sagespec_traffic_share_ratio",
        "gauge",
        "A model's share of its endpoint's requests, by weights, 0 to 1.",
        [Sample(label, seen.share) for label, seen in both],
    )


def _rollouts(scene: Scene) -> Iterable[Family]:
    rolling = [({"endpoint": one.about.name}, one) for one in scene.rolling]
    yield Family(
        "sagespec_rollout_step",
        "gauge",
        "The step of a rollout that is on its way, from 1.",
        [Sample(label, one.step) for label, one in rolling],
    )
    yield Family(
        "sagespec_rollout_steps",
        "gauge",
        "How many steps that rollout has.",
        [Sample(label, one.steps) for label, one in rolling],
    )
    yield Family(
        "sagespec_rollout_share_ratio",
        "gauge",
        "The new models' share of the requests in that step, 0 to 1.",
        [Sample(label, one.share) for label, one in rolling],
    )


def _passes(loop: LoopFigures) -> Iterable[Family]:
    results = ("done", "failed")
    yield Family(
        "sagespec_loop_looks_total",
        "counter",
        "Looks at specs, engine, gateway and store.",
        [Sample({"result": result}, loop.looks[result]) for result in results],
    )
    yield Family(
        "sagespec_loop_passes_total",
        "counter",
        "Passes: looks under the lock, with something to do.",
        [Sample({"result": result}, loop.passes[result]) for result in results],
    )
    yield Family(
        "sagespec_loop_pass_duration_seconds",
        "histogram",
        "How long passes took, the wait for the lock included.",
        list(_pass_durations(loop)),
    )
    yield Family(
        "sagespec_loop_last_success_timestamp_seconds",
        "gauge",
        "When a look or pass last ended well; 0 before the first.",
        [Sample({}, loop.succeeded_at)],
    )


def _pass_durations(loop: LoopFigures) -> Iterable[Sample]:
    ends = [str(f"{bound:g}") for bound in BOUNDS_SECONDS] + ["+Inf"]
    within = [sum(loop.buckets[: number + 1]) for number in range(len(ends))]
    yield from (Sample({"le": end}, count, "_bucket") for end, count in zip(ends, within, strict=True))
    yield Sample({}, loop.seconds, "_sum")
    yield Sample({}, within[-1], "_count")


def _actions(loop: LoopFigures) -> Iterable[Family]:
    yield Family(
        "sagespec_loop_actions_total",
        "counter",
        "Actions that ended, by verb and result.",
        [Sample({"verb": verb, "result": result}, n) for (verb, result), n in sorted(loop.actions.items())],
    )
    yield Family(
        "sagespec_loop_drift_repaired_total",
        "counter",
        "Actions that repaired what was no longer as it was applied.",
        [Sample({}, loop.drift)],
    )
    yield Family(
        "sagespec_repairs_total",
        "counter",
        "Actions that repaired what was no longer as it was applied, by what they were about.",
        [Sample({"address": about, "verb": verb}, n) for (about, verb), n in sorted(loop.repairs.items())],
    )


def _jobs(scene: Scene) -> Iterable[Family]:
    yield Family(
        "sagespec_jobs",
        "gauge",
        "Jobs in the specs, by state as `sagespec status` names it.",
        [Sample({"state": state}, count) for state, count in scene.jobs.items()],
    )
    yield Family(
        "sagespec_jobs_queued",
        "gauge",
        "Jobs that wait for their turn.",
        [Sample({}, scene.queued)],
    )
    yield Family(
        "sagespec_job_state",
        "gauge",
        "1 for each job in the specs, with its state as `sagespec status` names it.",
        [Sample({"job": job, "state": state}, 1) for job, state in sorted(scene.job_states.items())],
    )
    yield Family(
        "sagespec_job_queue_seconds",
        "gauge",
        "For how long a job has waited for its turn, since this loop saw it wait.",
        [Sample({"job": job}, seconds) for job, seconds in sorted(scene.queue_seconds.items())],
    )


def _engine_and_store(scene: Scene) -> Iterable[Family]:
    yield Family(
        "sagespec_engine_calls_total",
        "counter",
        "Requests to the Docker engine, by result: failed is one that it did not answer, or could not.",
        [Sample({"result": result}, scene.engine_calls.get(result, 0)) for result in ("done", "failed")],
    )
    yield Family(
        "sagespec_store_errors_total",
        "counter",
        "Calls to the store that failed.",
        [Sample({}, scene.store_errors)],
    )


def _endpoints(scene: Scene) -> Iterable[Family]:
    yield Family(
        "sagespec_endpoints",
        "gauge",
        "Endpoints, by state as `sagespec status` names it.",
        [Sample({"state": state}, count) for state, count in scene.endpoints.items()],
    )
    yield Family(
        "sagespec_suspended",
        "gauge",
        "1 for each address that somebody has suspended, or `project`.",
        [Sample({"address": about}, 1) for about in scene.suspended],
    )
    yield Family(
        "sagespec_stale",
        "gauge",
        "1 for each trained job whose data on this machine, or image, have moved on.",
        [Sample({"address": about}, 1) for about in scene.stale],
    )


def _source(scene: Scene) -> Iterable[Family]:
    source = scene.source
    if source is None:
        return
    yield Family(
        "sagespec_source_commit_info",
        "gauge",
        "1, with the commit of the followed branch that is applied.",
        [Sample({"branch": source.branch, "commit": source.commit}, 1)],
    )
    yield Family(
        "sagespec_source_behind_seconds",
        "gauge",
        "For how long a newer commit is known that is not applied; 0 where there is none.",
        [Sample({}, source.behind_seconds)],
    )
    yield Family(
        "sagespec_source_held",
        "gauge",
        "1 while the newest commit is held, with the reason.",
        [Sample({"reason": source.held}, 1)] if source.held else [],
    )
