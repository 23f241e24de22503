"""Proposes what `retrain` asks for, as pull requests: to train a job once more, and to serve what it has trained.

One branch a job and question, made from the tip of the base branch each time, so that it never goes stale. Where
nothing is different from the last time, nothing is pushed and nothing is written to the forge. A pull request that was
closed without a merge is an answer: the same is not asked again for the same reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sagespec.errors import Problem, SagespecError, WorldError
from sagespec.forge.environment import pulls_of
from sagespec.forge.pulls import Pull, Pulls
from sagespec.forge.statuses import CommitState, CommitStatus, shortened
from sagespec.load.loaded import Loaded
from sagespec.parts import Parts
from sagespec.plan import Plan
from sagespec.repository.branches import Git, Tree, own_git, tree_of, url_of
from sagespec.spec.endpoint import Endpoint, named_job
from sagespec.spec.retrain import Assignment
from sagespec.state.addresses import Address, job_address
from sagespec.state.manifest import Manifest
from sagespec.state.revision import live_revision
from sagespec.verbs.against import plan_against
from sagespec.verbs.assigning import assign_model, endpoint_in_specs
from sagespec.verbs.bump import bump
from sagespec.verbs.due import Due, due, newest_trained, retrains_of
from sagespec.verbs.questions import Question
from sagespec.verbs.written import Written


class Result(StrEnum):
    OPENED = "opened"
    EDITED = "edited"
    UNCHANGED = "unchanged"
    PUSHED = "pushed"  # the branch alone, without a forge
    TURNED_DOWN = "turned down"  # somebody closed the pull request
    LEFT_ALONE = "left alone"  # somebody else has pushed to the branch
    FAILED = "failed"


@dataclass(frozen=True)
class Beside:
    """A new model beside what is live. live: the model that has most of the traffic; '' for none. gate: what the
    endpoint's gate says of it, '' where it has none."""

    model: str
    live: str
    metrics: Mapping[str, float]
    live_metrics: Mapping[str, float]
    manifest: str  # where it is
    gate: str = ""
    is_held: bool = False


@dataclass(frozen=True)
class Proposal:
    """One change. plan: against the base branch; None where it could not be made, and then `no_plan` says why."""

    branch: str
    title: str
    why: tuple[str, ...]
    written: Written
    plan: Plan | None
    question: Question
    no_plan: str = ""
    seconds: float | None = None
    beside: Beside | None = None


@dataclass(frozen=True)
class Proposed:
    """What became of a proposal. notes: what else to know."""

    branch: str
    title: str
    result: Result
    url: str = ""
    commit: str = ""
    problem: Problem | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "branch": self.branch,
            "title": self.title,
            "result": self.result.value,
            "url": self.url,
            "commit": self.commit,
            "problem": self.problem.as_json() if self.problem else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Proposing:
    """Where proposals go. body: of a pull request. pulls: None without a forge. git: how it is called.

    asks_to_train: False where models alone are proposed that are trained. only_at: the commit that the base branch must
    have, '' for any: of another one nothing is read.
    """

    body: Callable[[Proposal], str]
    pulls: Pulls | None
    base: str = "main"
    remote: str = "origin"
    now: datetime | None = None
    git: Git = own_git
    asks_to_train: bool = True
    only_at: str = ""


@dataclass(frozen=True)
class _Change:
    """branch, question: of what may be proposed; make: edits the tree, and says the rest."""

    branch: str
    question: Question
    make: Callable[[], Proposal] = field(repr=False)


def propose(parts: Parts, how: Proposing) -> tuple[Proposed, ...]:
    """Of each change that is asked for, what became of it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=parts.scratch)))
        tree = stack.enter_context(tree_of(parts.root, remote=how.remote, base=how.base, folder=folder, git=how.git))
        if how.only_at not in ("", tree.commit):
            return ()
        given = [tree.root / path.resolve().relative_to(parts.root.resolve()) for path in parts.given_specs]
        there = Parts(
            tree.root, given, state_dir=parts.home, environment=parts.environment, secrets=parts.given_secrets
        )
        stack.callback(there.close)
        return tuple(_proposed(change, tree, how) for change in list(_changes(there, tree, parts.root, how)))


def with_answers(parts: Parts, found: Sequence[Due], remote: str = "origin") -> tuple[Due, ...]:
    """The same, with the pull request by which somebody has said no to one that is due, where the environment names a
    forge's token."""
    pulls: Pulls | None = None
    with suppress(WorldError):  # no repository, no such remote
        pulls = pulls_of(os.environ, url_of(parts.root, remote))

    def asked(one: Due) -> Due:
        if pulls is None or not one.is_due:
            return one
        try:
            those = pulls.of_branch(branch_of("bump", one.job, parts.environment))
        except SagespecError as error:
            return replace(one, notes=(f"its pull request is not known: {error.problems[0].what}",))
        if any(pull.is_open for pull in those):
            return one
        question = to_train(one, parts.environment)
        return replace(one, turned_down=question.turned_down_by(those, datetime.now(UTC)))

    return tuple(map(asked, found))


def _changes(there: Parts, tree: Tree, root: Path, how: Proposing) -> Iterator[_Change]:
    for one in due(there, how.now, root=root) if how.asks_to_train else ():
        if one.is_due:
            yield _training(there, tree, one)
    loaded = there.load()
    for job, retrain in retrains_of(loaded).items():
        trained = newest_trained(there, job.name) if retrain.assign else None
        if retrain.assign and trained and _is_wanted(loaded, trained, job, retrain.assign):
            yield _serving(there, tree, trained, retrain.assign)


def branch_of(verb: str, job: Address, environment: str) -> str:
    """Of a job's pull request. Environments have branches of their own: each may ask for something else.

    >>> branch_of("bump", job_address("churn", 3), ""), branch_of("assign", job_address("churn", 3), "prod")
    ('sagespec/bump/churn', 'sagespec/assign/churn@prod')
    """
    return f"sagespec/{verb}/{job.name}{_at(environment)}"


def _at(environment: str) -> str:
    return f"@{environment}" if environment else ""


def to_train(one: Due, environment: str) -> Question:
    inside = f" in {environment}" if environment else ""
    return Question(
        f"Train {one.job.name}@{one.next_version}{inside}",
        one.reasons,
        how=f"to have it now, open that one again, or commit what `sagespec bump {one.job.name}` writes",
        pause=timedelta(seconds=one.at_most_every),
    )


def _training(there: Parts, tree: Tree, one: Due) -> _Change:
    branch, question = branch_of("bump", one.job, there.environment), to_train(one, there.environment)

    def make() -> Proposal:
        written = bump(there, one.job.name, reason="; ".join(one.why), is_alone=True)
        plan, no_plan = _plan(there, tree)
        return Proposal(branch, question.title, one.why, written, plan, question, no_plan, one.seconds)

    return _Change(branch, question, make)


def _serving(there: Parts, tree: Tree, trained: Manifest, to: Assignment) -> _Change:
    model, place = f"{trained.name}@{trained.version}", f"{to.endpoint}/{to.variant}"
    inside = f" in {there.environment}" if there.environment else ""
    artifact = trained.artifacts.get("model")
    weight = "" if to.weight is None else f" --weight {to.weight:g}"
    question = Question(
        f"Serve {model} by {place}{inside}",
        (f"{model} {artifact.sha256 if artifact else ''}{weight}",),
        how=f"to have it now, open that one again, or commit what `sagespec assign {model} {place}{weight}` writes",
    )
    branch = branch_of("assign", job_address(trained.name, trained.version), there.environment)

    def make() -> Proposal:
        written = assign_model(there, model, place, to.weight, is_alone=True)
        plan, no_plan = _plan(there, tree)
        beside = _beside(there, trained, to.endpoint, plan)
        return Proposal(
            branch, question.title, (f"{model} is trained",), written, plan, question, no_plan, beside=beside
        )

    return _Change(branch, question, make)


def _is_wanted(loaded: Loaded, trained: Manifest, in_specs: Address, to: Assignment) -> bool:
    """Neither taken out of the specs by a revert, nor rejected or swept, nor in the endpoint's spec already."""
    is_out = trained.version > in_specs.version or job_address(trained.name, trained.version) in loaded.rejected
    return not is_out and trained.swept_at is None and not _is_served(loaded, trained, to)


def _is_served(loaded: Loaded, trained: Manifest, to: Assignment) -> bool:
    """Whether the endpoint's spec has this model already, or one that was trained later."""
    _, spec = endpoint_in_specs(loaded, to.endpoint)
    named = [job for variant in spec.variants if (job := named_job(variant.model))]
    return any(name == trained.name and version >= trained.version for name, version in named)


def _plan(there: Parts, tree: Tree) -> tuple[Plan | None, str]:
    try:
        return plan_against(there, tree.commit), ""
    except SagespecError as error:
        return None, error.problems[0].what


def _beside(there: Parts, trained: Manifest, endpoint_name: str, plan: Plan | None) -> Beside:
    job = job_address(trained.name, trained.version)
    live, metrics = _live(there, endpoint_name)
    _, spec = endpoint_in_specs(there.load(), endpoint_name)
    held = next((p for p in plan.refused if p.about == f"endpoint/{endpoint_name}"), None) if plan else None
    return Beside(
        f"{trained.name}@{trained.version}",
        live,
        trained.metrics,
        metrics,
        manifest=f"{there.store.uri}/{there.records.job_key(job, 'manifest.json')}",
        gate=_gate(spec, held, is_known=plan is not None),
        is_held=held is not None,
    )


def _gate(spec: Endpoint, held: Problem | None, *, is_known: bool) -> str:
    if spec.rollout.gate is None:
        return ""
    if not is_known:
        return "not judged, as there is no plan"
    return held.what if held else "passed"


def _live(there: Parts, endpoint_name: str) -> tuple[str, Mapping[str, float]]:
    """The model that has most of the traffic, and what it measured."""
    live = live_revision(there.records.revisions([endpoint_name]).get(endpoint_name, ()))
    if live is None or not live.asked.variants:
        return "", {}
    model = max(live.asked.variants, key=lambda variant: variant.weight).model
    job = Address.parse(model.job) if model.job else None
    manifest = there.records.manifests([job]).get(job) if job else None
    return model.text, manifest.metrics if manifest else {}


# -- git and the forge


def _proposed(change: _Change, tree: Tree, how: Proposing) -> Proposed:
    branch, title = change.branch, change.question.title
    try:
        pulls = how.pulls.of_branch(branch) if how.pulls else []
        there = next((pull for pull in pulls if pull.is_open), None)
        answer = change.question.turned_down_by(pulls, how.now or datetime.now(UTC))
        if answer and not there:
            return Proposed(branch, title, Result.TURNED_DOWN, answer.url, notes=(answer.text,))
        before = tree.tip_of(branch)
        if before and (there or not how.pulls) and not tree.is_ours(before):
            url = there.url if there else ""
            return Proposed(branch, title, Result.LEFT_ALONE, url, before, notes=(_left_alone(before),))
        tree.begin_again()
        proposal = change.make()
        commit, is_new = _pushed(proposal, tree, before)
        if how.pulls is None:
            return Proposed(branch, title, Result.PUSHED if is_new else Result.UNCHANGED, commit=commit)
        notes = _show_state(proposal, commit, how.pulls) if is_new else ()
        result, pull = _asked(proposal, there, how.pulls, how)
        return Proposed(branch, title, result, pull.url, commit, notes=notes)
    except SagespecError as error:
        return Proposed(branch, title, Result.FAILED, problem=error.problems[0])


def _left_alone(tip: str) -> str:
    return f"somebody else has pushed {tip[:12]} to it: merge or close it, or delete the branch, to have it made again"


def _pushed(proposal: Proposal, tree: Tree, before: str) -> tuple[str, bool]:
    """The commit at the tip of the branch, and whether it is another than before."""
    commit = tree.commit_all(proposal.written.message)
    if before and tree.is_same(commit, before):
        return before, False
    tree.push(proposal.branch, commit, instead_of=before)
    return commit, True


def _asked(proposal: Proposal, there: Pull | None, pulls: Pulls, how: Proposing) -> tuple[Result, Pull]:
    body = how.body(proposal)
    if there is None:
        return Result.OPENED, pulls.open(proposal.branch, how.base, title=proposal.title, body=body)
    if (there.title, _plain(there.body)) == (proposal.title, _plain(body)):
        return Result.UNCHANGED, there
    return Result.EDITED, pulls.edit(there, title=proposal.title, body=body)


def _plain(body: str) -> str:
    """Without what a forge may change of a text."""
    return body.replace("\r\n", "\n").strip()


def _show_state(proposal: Proposal, commit: str, pulls: Pulls) -> tuple[str, ...]:
    """What the plan says, beside the commit: no workflow starts for what a workflow's own token has pushed."""
    if proposal.plan is None:
        state, text = CommitState.ERROR, f"no plan: {proposal.no_plan}"
    elif proposal.plan.refused:
        state, text = CommitState.FAILURE, f"refused: {proposal.plan.refused[0].what}"
    else:
        state, text = CommitState.SUCCESS, f"the plan has {len(proposal.plan.actions)} actions"
    try:
        pulls.ask(pulls.forge.status(CommitStatus(commit, state, shortened(text)), pulls.token))
    except SagespecError as error:
        return (f"its state is not shown beside the commit: {error.problems[0].what}",)
    return ()
