"""Looking: what a person can ask of a project; none of it changes anything.

`Project` has these verbs beside those that do something. What a verb needs is imported when it is called: every command
opens a project, and asks one thing of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sagespec.parts import Parts
from sagespec.spec.runtimes import RuntimeChoice
from sagespec.state.addresses import Address

if TYPE_CHECKING:
    from sagespec.errors import Problem
    from sagespec.plan import Plan
    from sagespec.reconcile.options import Options
    from sagespec.runtimes.protocol import Check, ImageInfo
    from sagespec.show.streams import Lines, Readings
    from sagespec.spec.secrets import SecretSource
    from sagespec.state.manifest import Manifest
    from sagespec.state.repairs import Repaired
    from sagespec.verbs.answers import Answer
    from sagespec.verbs.compare import Comparison
    from sagespec.verbs.diff import Difference
    from sagespec.verbs.due import Due
    from sagespec.verbs.explain import Explained
    from sagespec.verbs.history import Recorded, Revisions
    from sagespec.verbs.jobs_compared import JobsCompared
    from sagespec.verbs.metrics import Metrics
    from sagespec.verbs.plan import Validated
    from sagespec.verbs.show import Shown
    from sagespec.verbs.states import EndpointState, JobState, Status
    from sagespec.verbs.traces import Lineage


class Looking:
    """The verbs of `Project` that change nothing."""

    def __init__(
        self,
        root: Path,
        specs: Sequence[Path] = (),
        runtime: RuntimeChoice | None = None,
        *,
        state_dir: Path | None = None,
        environment: str | None = None,
        secrets: Mapping[str, SecretSource] | None = None,
    ) -> None:
        self.root = root
        self.parts = Parts(root, specs, runtime, state_dir=state_dir, environment=environment, secrets=secrets)

    def validate(self) -> Validated:
        """Check the specs, all references included; in every environment, where none is named. SpecError with
        everything that is wrong.

        A variant may name a job that only the store knows; where the store does not answer, that is noted
        rather than refused.
        """
        from sagespec.verbs.validating import validate_everywhere

        return validate_everywhere(self.parts)

    def show(self, name: str) -> Shown:
        """The spec that `name` means, as it is in the environment, with the place of every value; of "project", the
        settings."""
        from sagespec.verbs import show

        return show.show(self.parts, name)

    def plan(self, options: Options | None = None, *, only: Collection[Address | str] | None = None) -> Plan:
        """What `apply` would do now. only: about these jobs and endpoints, and the jobs that they need."""
        from sagespec.verbs import plan

        named = None if only is None else [self._address(one).whole for one in only]
        return plan.plan(self.parts, options, only=named)

    def explain(self, address: Address | str, options: Options | None = None) -> Explained:
        """Why the plan is what it is for this job, endpoint or notebook."""
        from sagespec.verbs import explain

        return explain.explain(self.parts, self._address(address), options)

    def plan_against(self, ref: str, options: Options | None = None) -> Plan:
        """What `apply` would do, had the specs of this commit been applied. Asks neither engine nor secrets."""
        from sagespec.verbs import against

        return against.plan_against(self.parts, ref, options)

    def drift(self) -> Plan:
        """What of that repairs what is no longer as it was applied; and which trained jobs are stale, those with data
        in S3, too."""
        from sagespec.verbs import drift

        return drift.drift(self.parts)

    def damage(self) -> tuple[Problem, ...]:
        """What only a look at each container and at every model in the store finds changed: limits, damaged models."""
        from sagespec.verbs import damage

        return damage.damage(self.parts)

    def repaired(self) -> tuple[Repaired, ...]:
        """What was repaired of late, the newest last: at most the last ten of today and the day before."""
        from sagespec.records.repairs import repairs_lately

        parts = self.parts
        return repairs_lately(parts.store, parts.settings.name, datetime.now(UTC), most=10)

    def plan_destroy(self) -> Plan:
        """What `destroy` would do now."""
        from sagespec.verbs import plan

        return plan.plan_destroy(self.parts)

    def status(self) -> Status:
        """The specs compared with reality: each job and endpoint with its state; and the runs that watch or wait."""
        from sagespec.verbs import status

        return status.status(self.parts)

    def job_state(self, address: Address | str) -> JobState:
        """One job as `status` has it, looked at alone. WorldError when neither specs nor store have it."""
        from sagespec.verbs import status

        return status.job_state_of(self.parts, self._job(address))

    def endpoint_state(self, address: Address | str) -> EndpointState:
        """One endpoint as `status` has it, looked at alone. WorldError when there is none."""
        from sagespec.verbs import status

        return status.endpoint_state_of(self.parts, self._address(address))

    def logs(self, address: Address | str, *, follow: bool = False, tail: int | None = None) -> Lines:
        """Pairs (address of the container, line), which a notebook prints. A job's come from its containers while it
        has some, from the store afterwards. WorldError when nothing has that address."""
        from sagespec.show.streams import Lines
        from sagespec.verbs import logs

        found = self._address(address)
        return Lines(lambda follows: logs.logs(self.parts, found, follow=follows, tail=tail), follow=follow)

    def series(
        self,
        address: Address | str,
        metric_names: Sequence[str] = (),
        *,
        follow: bool = False,
        every_seconds: float = 1.0,
    ) -> Readings:
        """The metrics of a job as series: once, or with `follow`, again and again while it runs.

        metric_names: only these. WorldError when the job has printed none of them.
        """
        from sagespec.show.streams import Readings
        from sagespec.verbs import metrics

        job = self._job(address)

        def read(follows: bool) -> Iterator[Metrics]:
            return metrics.series(self.parts, job, metric_names, follow=follows, every_seconds=every_seconds)

        return Readings(read, follow=follow)

    def metrics(self, address: Address | str, *names: str) -> Metrics:
        """The metrics of a job by name (only these), each as points (seconds since its start, value), as they are
        now."""
        return next(self.series(address, names))

    def leading_jobs(self, words: Sequence[str]) -> tuple[Address, ...]:
        """The jobs that the first of these words name; of a word that may be a metric, too, if there is such a job."""
        from sagespec.verbs import addresses

        return addresses.leading_jobs(words, addresses.known_addresses(self.parts))

    def history(self, endpoint_name: str) -> Revisions:
        """All revisions of an endpoint, oldest first; WorldError when there is none."""
        from sagespec.verbs import history

        return history.history(self.parts, endpoint_name.removeprefix("endpoint/"))

    def compare(self, endpoint_name: str) -> Comparison:
        """The variants of an endpoint, and whether one is better: by what was counted up to now. WorldError where it is
        not live."""
        from sagespec.verbs import compare

        return compare.compare(self.parts, endpoint_name.removeprefix("endpoint/"))

    def compare_jobs(self, *jobs: Address | str) -> JobsCompared:
        """Two jobs or more, side by side: the parameters, data and metrics in which they differ, and their curves."""
        from sagespec.verbs.jobs_compared import compare_jobs

        return compare_jobs(self.parts, [self._job(job) for job in jobs])

    def due(self) -> tuple[Due, ...]:
        """Of each job with `retrain`, whether it is to be trained once more now, and why. Asks no engine; the forge
        alone whose token is in the environment, and that of what is due: whether somebody said no to it."""
        from sagespec.verbs.due import due

        found = due(self.parts)
        if not any(one.is_due for one in found):
            return found
        from sagespec.verbs.proposals import with_answers

        return with_answers(self.parts, found)

    def diff(self, before: Address | str, now: Address | str) -> Difference:
        """What is another from one job to another: fields, code, data, images, metrics. WorldError where one has no
        manifest."""
        from sagespec.verbs.diff import diff

        return diff(self.parts, self._job(before), self._job(now))

    def lineage(self, address: Address | str) -> Lineage:
        """What led to a job's model and where it was served; of an endpoint, or a variant, for what it serves."""
        from sagespec.verbs.traces import lineage_of

        return lineage_of(self.parts, self._address(address))

    def lineage_of_commit(self, commit: str) -> Lineage:
        """The same for all that was made from a commit, given by four of its letters or more."""
        from sagespec.verbs.traces import lineage_of_commit

        return lineage_of_commit(self.parts, commit)

    def manifest(self, address: Address | str) -> Manifest:
        """The manifest of a job; WorldError when it has none."""
        from sagespec.verbs import history

        return history.manifest(self.parts, self._job(address))

    def recorded(self, name: str | None = None) -> Recorded:
        """Revisions and manifests in the store: all, or those that `name` (churn, churn@3, job/churn) may mean.
        WorldError when nothing has that name."""
        from sagespec.verbs import history

        return history.recorded(self.parts, name)

    def resolve_address(self, text: str, *, kind: Literal["job"] | None = None) -> Address:
        """The address meant by a short form: churn, churn@3, churn/candidate. WorldError when nothing is near it.

        kind: "job" for the jobs alone.
        """
        from sagespec.verbs import addresses

        if kind is None and (running := addresses.running_address(self.parts, text)):
            return running
        known = addresses.known_addresses(self.parts)
        return addresses.resolve_job(text, known) if kind == "job" else addresses.resolve_address(text, known)

    def _address(self, address: Address | str) -> Address:
        from sagespec.verbs.addresses import with_version

        return address if isinstance(address, Address) else self.resolve_address(with_version(self.parts, address))

    def _job(self, address: Address | str) -> Address:
        """A job; of a name alone the newest version. What is no job stays what it is."""
        from sagespec.verbs import addresses

        if isinstance(address, Address):
            return address
        address = addresses.with_version(self.parts, address)
        known = addresses.known_addresses(self.parts)
        jobs = [one.whole for one in known if one.kind == "job"]
        return addresses.resolve_address(address, known if address.startswith("endpoint/") else jobs)

    def checks(self) -> tuple[Check, ...]:
        """Everything sagespec needs, checked, each with how to fix it; never raises for what it finds."""
        from sagespec.verbs import doctor

        return doctor.checks(self.parts)

    def image_infos(self) -> tuple[ImageInfo, ...]:
        """The built-in images, and whether the engine has them."""
        return self.parts.runtime.images()

    @property
    def runtime_reason(self) -> str:
        """Which engine was chosen, and why; '' before it was needed."""
        return self.parts.runtime_reason

    @property
    def gateway_url(self) -> str:
        """Where the gateway listens, for people: http://127.0.0.1:8080."""
        return self.parts.gateway_url

    @property
    def curl(self) -> str:
        """How curl asks an endpoint, up to its address: with the certificate and the key that it needs."""
        from sagespec.verbs.way import curl_to

        return curl_to(self.parts.settings.gateway)

    def endpoint_urls(self) -> dict[str, str]:
        """Where the endpoints of the specs answer, by name."""
        from sagespec.verbs import plan

        named = (item.address for item in plan.load_specs(self.parts).specs)
        return {name: self.endpoint_url(name) for name in sorted(a.name for a in named if a.kind == "endpoint")}

    def endpoint_url(self, endpoint_name: str) -> str:
        return f"{self.gateway_url}/endpoints/{endpoint_name}/invocations"

    def invoke(
        self,
        endpoint_name: str,
        data: Any,
        *,
        content_type: str | None = None,
        accept: str | None = None,
        variant: str | None = None,
        custom_attributes: str | None = None,
        inference_id: str | None = None,
        caller: str | None = None,
        check: bool = True,
    ) -> Answer:
        """POST `data` to the endpoint through the gateway, as SageMaker's InvokeEndpoint does. WorldError when the
        gateway does not answer, ModelError or InvokeError for an answer that is an error; check: False for any answer.

        data: bytes and text are sent as they are. A list is a row, a list of lists are rows, and so are an array and a
        data frame: as CSV, or what content_type says of application/json, application/jsonlines and application/x-npy.
        A dict is sent as JSON. caller: in whose name, where callers have keys; None for the first that may ask.
        """
        from sagespec.verbs import addresses, invoke
        from sagespec.verbs.answers import error_of
        from sagespec.verbs.bodies import body_of
        from sagespec.verbs.readers import reader_of, readers
        from sagespec.verbs.way import way_to

        name, of_address = addresses.with_variant(endpoint_name.removeprefix("endpoint/"))
        variant = variant or of_address or None
        body, kind = body_of(data, content_type, lambda: reader_of(readers(self.parts, name), variant))
        headers = invoke.Headers(kind, accept, variant, custom_attributes, inference_id)
        answer = invoke.invoke(way_to(self.parts, name, caller=caller), name, body, headers)
        if check and not answer.ok:
            raise error_of(name, answer, self.endpoint_urls)
        return answer
