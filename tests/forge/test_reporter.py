"""Every end of a commit reaches the forge, once, whatever the forge does and whoever is killed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from sagespec.errors import SpecError, WorldError
from sagespec.events import Event
from sagespec.forge.reporter import ForgeAway, Reporter, ask_forge
from sagespec.forge.requests import Forge, ForgeRequest
from sagespec.forge.statuses import MOST_KEPT, CommitStatus, statuses, untold, with_told
from sagespec.records.sources import SourceRecords
from sagespec.spec.report import Report
from sagespec.state.source import Attempt, AttemptResult, CommitEnd, Held, HeldReason, SourceRecord, unreported
from sagespec.state.suspension import Suspension
from tests.fakes import FakeStore, Faults
from tests.forge.server import TOKEN, ForgeServer, forge, garbled

ONE, TWO, THREE = ("1" * 40, "2" * 40, "3" * 40)
AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
A = AttemptResult


def attempt(commit: str, result: AttemptResult, reason: str = "") -> Attempt:
    return Attempt(commit=commit, at=AT, result=result, reason=reason)


def deploy(number: int, commit: str, result: AttemptResult, reason: str = "") -> CommitEnd:
    return CommitEnd(number=number, commit=commit, started_at=AT, ended_at=AT, result=result, reason=reason)


def told(*args: Any) -> list[tuple[str, str, str]]:
    return [(status.commit, status.state.value, status.text) for status in statuses(*args)]


# -- what is true of which commit


@pytest.mark.parametrize(
    ("result", "reason", "state", "text"),
    [
        (A.WRONG, "specs/churn.yaml:3:1 bad", "failure", "its specs are wrong: specs/churn.yaml:3:1 bad"),
        (A.FAILED, "job/churn@3: exit code 1", "failure", "failed: job/churn@3: exit code 1"),
        (A.SUPERSEDED, "222222222222 came before it was applied", "error", "not applied: 222222222222 came before"),
        (A.APPLYING, "", "pending", "is being applied"),
        (A.APPLIED, "", "success", "everything is up to date"),
    ],
)
def test_every_end_of_a_commit_has_a_state(result: AttemptResult, reason: str, state: str, text: str) -> None:
    for found in (
        told(SourceRecord(attempted=attempt(ONE, result, reason))),
        told(SourceRecord(), [deploy(1, ONE, result, reason)]),
    ):
        ((commit, its_state, its_text),) = found
        assert (commit, its_state) == (ONE, state)
        assert its_text.startswith(text)


@pytest.mark.parametrize("reason", list(HeldReason))
def test_what_is_held_is_shown_beside_its_own_commit(reason: HeldReason) -> None:
    held = Held(reason=reason, commit=TWO, since=AT, text="said why")
    found = told(SourceRecord(attempted=attempt(ONE, A.APPLIED), held=held))
    expected = {
        HeldReason.APPROVAL: [(TWO, "pending", "said why")],
        HeldReason.BRANCH_GONE: [],  # no commit is to blame
    }.get(reason, [(TWO, "error", f"{reason}: said why")])
    assert found == [(ONE, "success", "everything is up to date"), *expected]


def test_what_is_newest_of_a_commit_counts_and_text_is_one_short_line() -> None:
    deploys = [deploy(2, ONE, A.APPLIED), deploy(1, ONE, A.FAILED, "x"), deploy(3, TWO, A.SUPERSEDED, "y" * 500)]
    (_, state, _), (_, _, text) = told(SourceRecord(), deploys)
    assert state == "success", "it was repaired after it had failed"
    assert len(text) == 140
    assert told(SourceRecord(attempted=attempt(ONE, A.FAILED, "a\n b\tc")))[0][2] == "failed: a b c"


def test_a_commit_that_waits_for_a_suspended_project_says_so() -> None:
    record = SourceRecord(attempted=attempt(ONE, A.APPLYING))
    ((_, state, text),) = told(record, (), [Suspension(about="project", reason="moving", by="ada", at=AT)])
    assert state == "pending"
    assert text.startswith("waits: suspended by ada since ")


def test_what_was_told_is_kept_of_the_newest_commits_alone() -> None:
    reported: dict[str, str] = {}
    for number in range(MOST_KEPT + 5):
        (status,) = statuses(SourceRecord(attempted=attempt(f"{number:040}", A.APPLIED)))
        assert untold([status], reported) == (status,)
        reported = with_told(reported, status)
        assert untold([status], reported) == ()
    assert len(reported) == MOST_KEPT


# -- where


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        ("github", "https://github.com/acme/models.git", "https://api.github.com/repos/acme/models/statuses/"),
        ("github", "git@github.com:acme/models.git", "https://api.github.com/repos/acme/models/statuses/"),
        ("github", "https://git.acme.com/acme/models", "https://git.acme.com/api/v3/repos/acme/models/statuses/"),
        ("gitea", "ssh://git@git.acme.com:22/acme/models", "https://git.acme.com/api/v1/repos/acme/models/statuses/"),
        ("gitlab", "https://gitlab.com/a/b/c.git", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc/statuses/"),
    ],
)
def test_the_forge_follows_from_the_repositorys_address(kind: str, url: str, expected: str) -> None:
    where = Forge.of(settings(kind), url, name="churn-prod", environment="prod")
    (status,) = statuses(SourceRecord(attempted=attempt(ONE, A.APPLIED)))
    assert where.status(status, TOKEN).url == expected + ONE
    assert where.context == "sagespec/churn-prod"


def test_a_path_on_this_machine_needs_the_forge_named() -> None:
    with pytest.raises(SpecError, match=r"report.gitea: \{repository: owner/name, api: "):
        Forge.of(settings("gitea"), "/srv/models.git", name="churn", environment="")


def settings(kind: str, **more: Any) -> Report:
    return Report.model_validate({kind: {"token": {"secret": "gh-status"}, **more}})


# -- telling it


class Scene:
    """A project whose commits come and go, and a forge. Each `reporter` is a run's own."""

    def __init__(self, server: ForgeServer) -> None:
        self.server = server
        self.objects: dict[str, bytes] = {}
        self.records = SourceRecords(FakeStore(self.objects, Faults()), "churn")
        self.events: list[Event] = []
        self.token = TOKEN
        self.running: list[Reporter] = []

    def set(self, **changes: Any) -> None:
        self.records.change(lambda record: record.model_copy(update=changes))

    def look(self) -> Sequence[CommitStatus]:
        record = self.records.read()
        return untold(statuses(record, self.records.ends()), record.reported)

    def write(self, status: CommitStatus) -> None:
        self.records.change(lambda r: r.model_copy(update={"reported": with_told(r.reported, status)}))

    def stuck(self, why: str) -> None:
        self.records.change(lambda r: r.model_copy(update={"unreported": unreported(r, why, datetime.now(UTC))}))

    @property
    def unreported(self) -> str:
        found = self.records.read().unreported
        return found.why if found else ""

    def reporter(self) -> Reporter:
        report = settings(self.server.kind, api=self.server.api, repository="acme/models")
        where = Forge.of(report, "file:///srv/models.git", name="churn", environment="prod")
        found = Reporter(
            where,
            lambda: self.token,
            self.look,
            self.write,
            self.events.append,
            first_pause_seconds=0.01,
            stuck=self.stuck,
        )
        self.running.append(found)
        return found

    def states(self, commit: str) -> list[str]:
        return [state for state, _, _ in self.server.statuses.get(commit, [])]


@pytest.fixture(params=["github", "gitea", "gitlab"])
def scene(request: pytest.FixtureRequest) -> Any:
    with forge(request.param) as server:
        found = Scene(server)
        yield found
        for reporter in found.running:
            reporter.leave(0)


def failed(scene: Scene) -> str:
    return "failed" if scene.server.kind == "gitlab" else "failure"


def until(is_so: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_a_failure_is_told_and_each_state_once(scene: Scene) -> None:
    reporter = scene.reporter()
    scene.set(attempted=attempt(ONE, A.APPLYING))
    assert reporter.tell()
    scene.set(attempted=attempt(ONE, A.FAILED, "job/churn@3: exit code 1"))
    for _ in range(3):
        assert reporter.tell()
    assert scene.states(ONE) == ["pending", failed(scene)]
    assert scene.server.statuses[ONE][-1][1:] == ("sagespec/churn", "failed: job/churn@3: exit code 1")
    scene.set(attempted=attempt(ONE, A.APPLIED))
    assert reporter.tell()
    assert scene.states(ONE)[-1] == "success"
    if scene.server.kind == "github":
        (deployment,) = scene.server.deployments
        assert deployment["environment"] == "prod"
        assert deployment["states"] == ["in_progress", "failure", "success"]
    assert scene.server.counted.total() == {"github": 10}.get(scene.server.kind, 3), "no request in vain"


def test_a_commit_that_was_superseded_between_two_looks_is_told_too(scene: Scene) -> None:
    scene.records.add_end(deploy(0, ONE, A.SUPERSEDED, "222222222222 came before it was applied"))
    scene.records.add_end(deploy(0, TWO, A.WRONG, "specs/a.yaml:1:1 bad"))
    scene.set(attempted=attempt(THREE, A.APPLIED))
    assert scene.reporter().tell()
    assert scene.states(ONE) == ["failed" if scene.server.kind == "gitlab" else "error"]
    assert scene.states(TWO) == [failed(scene)]
    assert scene.states(THREE) == ["success"]
    assert [one["sha"] for one in scene.server.deployments] == ([THREE] if scene.server.kind == "github" else [])


def test_a_forge_that_is_away_is_told_when_it_is_back_and_holds_nobody_up(scene: Scene) -> None:
    reporter = scene.reporter()
    scene.server.away = True
    scene.set(attempted=attempt(ONE, A.FAILED, "x"))
    reporter.wake()
    until(lambda: scene.server.counted.total() > 2)
    (event,) = scene.events
    assert "was answered 503: away; it is tried again" in event.text
    before = scene.records.read().unreported
    assert before is not None
    assert "was answered 503: away" in before.why
    scene.server.away = False
    until(lambda: scene.states(ONE) == [failed(scene)])
    until(lambda: not scene.unreported)
    until(lambda: len(scene.events) == 2)
    assert scene.events[-1].text == "the forge shows the state of commits again"


def test_what_speaks_no_http_is_a_forge_that_is_away() -> None:
    with garbled() as url:
        status = ForgeRequest("POST", url, {})
        with pytest.raises(ForgeAway, match="220 mail"):
            ask_forge(status)


def test_what_a_killed_run_had_not_told_the_next_one_tells(scene: Scene) -> None:
    scene.set(attempted=attempt(ONE, A.APPLYING))
    scene.reporter().tell()
    before = dict(scene.objects)
    scene.set(attempted=attempt(ONE, A.APPLIED))
    scene.reporter().tell()
    scene.objects.clear()
    scene.objects.update(before)  # killed after the forge was told, and before that was written down
    scene.set(attempted=attempt(ONE, A.APPLIED))
    assert scene.reporter().tell()
    assert scene.states(ONE) == ["pending", "success", "success"]
    assert len(scene.server.deployments) <= 1, "it is found again, not made twice"


def test_a_token_that_is_not_good_is_said_once_with_what_to_do(scene: Scene) -> None:
    scene.token = "wrong"  # on purpose
    scene.set(attempted=attempt(ONE, A.APPLIED))
    reporter = scene.reporter()
    assert reporter.tell()
    assert reporter.tell()
    (event,) = scene.events
    assert "was answered 401: Bad credentials" in event.text
    assert "wrong" not in event.text
    assert scene.server.counted.total() == 1
    refused = scene.records.read().unreported
    assert refused is not None
    assert "was answered 401: Bad credentials" in refused.why
    assert scene.reporter().tell()
    assert scene.records.read().unreported == refused, "another run is refused as well: since then"
    scene.token = TOKEN
    assert scene.reporter().tell()
    assert not scene.unreported
    assert scene.states(ONE) == ["success"], "the next run tells it"


def test_a_commit_that_is_refused_stays_known_though_another_is_taken(scene: Scene) -> None:
    scene.records.add_end(deploy(0, ONE, A.FAILED, "x"))
    scene.set(attempted=attempt(TWO, A.APPLIED))
    reporter = scene.reporter()
    take = reporter._ask
    reporter._ask = lambda asked: refuse(asked) if ONE in asked.url else take(asked)
    for _ in range(2):
        assert reporter.tell()
        assert scene.states(TWO) == ["success"]
        assert scene.unreported == "no such commit"
    reporter = scene.reporter()  # the next run is not refused
    assert reporter.tell()
    assert not scene.unreported


def refuse(_asked: ForgeRequest) -> Any:
    raise WorldError("no such commit")


def test_a_store_that_is_away_is_no_end(scene: Scene) -> None:
    scene.set(attempted=attempt(ONE, A.APPLIED))
    report = settings(scene.server.kind, api=scene.server.api, repository="acme/models")
    where = Forge.of(report, "x", name="churn", environment="")

    def look() -> Sequence[CommitStatus]:
        raise WorldError("the store is away")

    assert not Reporter(where, lambda: TOKEN, look, scene.write, scene.events.append).tell()


def test_a_run_that_ends_waits_until_all_is_told(scene: Scene) -> None:
    scene.set(attempted=attempt(ONE, A.APPLIED))
    reporter = scene.reporter()
    reporter.wake()
    reporter.leave(30)
    assert scene.states(ONE) == ["success"]
