"""One run of sagespec: its passes, and what it keeps between them.

A pass holds the project's lock and lasts seconds. What takes longer runs beside the passes as a task: a job that is
followed, an instance that is to become healthy, a model on its way. Each pass starts from a fresh snapshot, so what
went wrong in one is cleared up in the next, and an edited spec is what counts from the next one on.

`converge` makes passes of a `Run` until nothing is left to do, `watch` on every wake.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sagespec.apply.absences import Absences, seize_unwanted
from sagespec.apply.announcements import Announcements
from sagespec.apply.apply import Pass, apply, done, event_of, given_up, outcome_of, skipped_after
from sagespec.apply.approved import refuse_another
from sagespec.apply.effects import forget_restarts
from sagespec.apply.failures import Failures
from sagespec.apply.glance import Glance
from sagespec.apply.newest import By, Newest
from sagespec.apply.policy import NOT_ASKED, Judge
from sagespec.apply.presence import Presence, waited_for
from sagespec.apply.queue import Queue
from sagespec.apply.repairs import Repairs
from sagespec.apply.suspensions import Suspensions
from sagespec.apply.tasks import Task, Tasks
from sagespec.errors import SagespecError
from sagespec.events import Caller, Outcome, Result
from sagespec.observe import judged_again
from sagespec.plan import Action, AwaitHealthy, Plan, RecordRevision, RunJob
from sagespec.reconcile.options import Options
from sagespec.reconcile.reconcile import reconcile
from sagespec.records.holder import Doing
from sagespec.records.leases import AtWork
from sagespec.state.desired import Desired
from sagespec.state.observed import Observed
from sagespec.state.undelivered import Undelivered
from sagespec.world import World

MOST_REPEATS = 20  # of one action for the same specs: what undoes it will do so for ever
LET_GO_SECONDS = 20.0
LAST_STEP_SECONDS = 1.0
LOOK_EVERY_SECONDS = 2.0  # while something is waited for that other runs decide
LOOK_FULLY_EVERY_SECONDS = 10.0  # while nothing seems to change but what a candidate has been asked
GLANCE_EVERY_SECONDS = 3.0  # into the store, meanwhile
JUDGE_EVERY_SECONDS = 1.0  # while a candidate has a share of the traffic


Look = Callable[[AtWork], tuple[Desired, Observed]]


class Lock(Protocol):
    def check(self) -> None: ...


@dataclass(frozen=True)
class Surroundings:
    """What the passes of a run are made with. open_world: as of now, since settings may change between passes.

    lock: the project's, for one pass. judge: what may be carried out.
    """

    look: Look
    open_world: Callable[[], World]
    lock: Callable[[], AbstractContextManager[Lock]]
    judge: Judge = field(default_factory=lambda: Judge(lambda: None, Path()))


@dataclass
class Run:
    """The passes of one run of sagespec, and what runs between them.

    yields: whether it leaves an endpoint alone that a later run has given another spec. absences: how long what it
    prunes must have been in no spec. registers: whether its specs are what somebody wants applied. undelivered:
    messages to people that do not arrive.
    """

    around: Surroundings
    caller: Caller
    options: Options = field(default_factory=Options)
    yields: bool = True
    failures: Failures = field(default_factory=Failures)
    absences: Absences = field(default_factory=Absences)
    registers: bool = True
    repairs: Repairs = field(default_factory=Repairs)
    undelivered: Callable[[], tuple[Undelivered, ...]] = tuple

    def __post_init__(self) -> None:
        self.plan = Plan()  # the last one
        self.repeats: Counter[str] = Counter()  # of each action, since the specs have changed
        self.outcomes: list[Outcome] = []
        self.woken = threading.Event()  # a task has ended, which a pass should see
        self.tasks = Tasks(self.woken.set)
        self.queue = Queue()
        self._glance, self._gave_up = Glance(), set[str]()
        self._newest = Newest(yields=self.yields, registers=self.registers)
        self._presence = Presence()
        self._suspensions = Suspensions(self.caller.report)
        self._last_pass: tuple[datetime, float] | None = None  # when it ended, and how many seconds it took
        self._announced = Announcements(self.caller.report)
        self._asked_in: dict[str, Plan] = {}  # by task: the last plan that held its action
        self._last_desired: Desired | None = None
        self._has_seized = False
        self._looked: tuple[Desired, Observed, Options] | None = None  # the last full look
        self._rollouts_over = set[str]()

    # -- a pass

    def is_due(self, *, unless_same_for: float = 0.0) -> bool:
        """Whether a pass would do something now: a look without the lock. unless_same_for: not if, since a full look
        that is not older than so many seconds, nothing has changed that turns depend on."""
        is_same = self._has_nothing_new if self.plan.rolling else self._is_same
        if unless_same_for and is_same(unless_same_for):
            return False
        self._hear_of_ends()
        world = self.around.open_world()
        desired, observed = self._look(world)
        desired, options = self._newest.kept(desired, world.records.applied(), self.options)
        desired, options = self.absences.spare(desired, observed, options, world.clock)
        self._looked = desired, observed, options
        plan = self.around.judge.judged(reconcile(desired, observed, world.clock.now(), options))
        todo = self._todo(plan)
        self.plan = replace(plan, refused=(*plan.refused, *self._newest.removed))
        self._suspensions.tell(plan)
        self._announced.tell_rolling(self.plan)
        self.repairs.tell(plan)
        held = self.queue.held(todo, desired, observed, world)
        one = Pass(todo, world, self.caller, self.tasks, held, self.tasks.satisfied(todo, observed))
        is_untold = self._newest.is_untold or self._suspensions.is_any_over(world.clock.now())
        return one.is_anything_due or is_untold or bool(self._unasked(todo, desired, observed))

    def make_pass(self) -> tuple[Outcome, ...]:
        """Do what takes seconds, start what takes longer; how the actions ended that did."""
        self._hear_of_ends()
        if self._last_pass is None:
            self._newest.begin(self.around.open_world().records.applied())
        if self.around.judge.is_there:
            self.is_due()  # it is asked without the lock
        with self.around.lock() as lock:
            begun = time.monotonic()
            world = self.around.open_world()
            desired, observed = self._look(world)
            self._let_end(observed)
            self._refuse_another(desired, observed, world)
            by = By(world.leases.by, world.clock.now())
            desired, options = self._newest.register(desired, observed, world.records, self.caller, self.options, by=by)
            desired, options = self.absences.spare(desired, observed, options, world.clock)
            options = self._decide(desired, observed, options, world)
            self._clear_away(desired, observed, options, world, by=by)
            todo = self._todo(self.plan)
            ended = self._carry_out(todo, desired, observed, world, guard=lock.check)
            self._last_pass = world.clock.now(), time.monotonic() - begun
        self._learn(todo, desired, ended)
        return ended

    def _refuse_another(self, desired: Desired, observed: Observed, world: World) -> None:
        """AnotherPlan where the first pass would carry out another plan than was approved."""
        if self.options.expects and self._last_pass is None:
            shown = reconcile(desired, observed, world.clock.now(), self.options)
            refuse_another(self.around.judge.judged(shown, may_ask=False), self.options.expects)

    def _decide(self, desired: Desired, observed: Observed, options: Options, world: World) -> Options:
        """Make the plan of this pass, and say what is new in it. Gives the options of what is to be done now."""
        plan = reconcile(desired, observed, world.clock.now(), options)
        plan = self.around.judge.judged(plan, may_ask=False)
        self.plan = replace(plan, refused=(*plan.refused, *self._newest.removed))
        self._suspensions.end(world.records, world.clock.now())
        self._suspensions.tell(plan)
        self._announced.tell_rolling(self.plan)
        return self._suspensions.sparing(options, world.clock.now())

    def _clear_away(self, desired: Desired, observed: Observed, options: Options, world: World, *, by: By) -> None:
        """What of the records is of use to nobody any more."""
        if options.prune:
            self._newest.remove(self.plan, desired, world.records, options, by=by)
        self._has_seized = options.prune and seize_unwanted(self.plan, desired, observed, world, options)
        for name in self._rollouts_over:
            world.records.forget_rollout(name)
        world.leases.sweep([action.about for action in self.plan if isinstance(action, RunJob)])

    def _carry_out(
        self, todo: Plan, desired: Desired, observed: Observed, world: World, *, guard: Callable[[], None]
    ) -> tuple[Outcome, ...]:
        self.repairs.tell(self.plan)
        let_go = self._end_unasked(todo, desired, observed)
        self._announced.tell(todo)
        held = self.queue.held(todo, desired, observed, world, report=self.caller.report)
        satisfied = self.tasks.satisfied(todo, observed)
        ended = (*let_go, *apply(Pass(todo, world, replace(self.caller, guard=guard), self.tasks, held, satisfied)))
        forget_restarts(todo, ended, world)
        self.repairs.learn(todo, ended, world)
        return ended

    def _todo(self, plan: Plan) -> Plan:
        """What of it is to be done now."""
        return plan.without(self.failures.ids | self.repairs.left(plan))

    def _look(self, world: World) -> tuple[Desired, Observed]:
        at_work = world.leases.look()
        desired, observed = self.around.look(at_work)
        self._glance.keep(at_work, observed.containers, world)
        self._suspensions.look(observed)
        begun = {*at_work.rollouts, *at_work.promotions, *at_work.aborts}
        self._rollouts_over = begun - observed.rollouts.keys()  # whoever ended them was killed before it tidied up
        self._gave_up = self.failures.ids
        return desired, observed

    def _is_same(self, seconds: float, *, glance_every: float = 0.0) -> bool:
        """Whether a look would see what the last one saw. What is up to this run alone is asked first."""
        world = self.around.open_world()
        is_woken = self.woken.is_set() or self.failures.ids != self._gave_up
        now = world.clock.now()
        is_time_up = self._suspensions.is_any_over(now) or self.queue.has_overdue(now)
        if is_woken or is_time_up or self.absences.is_over(world.clock):
            return False
        return self._glance.is_same(world, within_seconds=seconds, every_seconds=glance_every)

    def _has_nothing_new(self, seconds: float) -> bool:
        """Whether a rollout leaves nothing to do by what the gateway says now, and nothing else has changed since the
        last full look: most looks in a step find that, and they are many."""
        fully_every = min(seconds, LOOK_FULLY_EVERY_SECONDS)
        if self._looked is None or not self._is_same(fully_every, glance_every=GLANCE_EVERY_SECONDS):
            return False
        desired, observed, options = self._looked
        world = self.around.open_world()
        now = judged_again(observed, world.runtime, world.gateway)
        plan = reconcile(desired, now, world.clock.now(), options)
        if now.containers != observed.containers or self._todo(plan).actions:
            return False
        self.plan = replace(self.plan, rolling=plan.rolling)
        self._announced.tell_rolling(self.plan)
        return True

    def _hear_of_ends(self) -> None:
        """Before a look: what ends from here on wakes another one. Nobody waits for the end of what was let go of."""
        self.woken.clear()
        self.tasks.sweep()

    def _let_end(self, observed: Observed) -> None:
        """Wait for jobs whose lease was given back already: how they ended is told before the next one has its turn."""
        for task in self.tasks.all:
            if isinstance(task.action, RunJob) and task.action.about not in observed.followers:
                task.wait(LAST_STEP_SECONDS)

    def _unasked(self, todo: Plan, desired: Desired, observed: Observed) -> list[Task]:
        """The tasks that the plan does not ask for, without those of jobs on their last steps (in the store already) or
        whose spec was edited while they run, and without waits for instances that are in the route already."""
        elsewhere = {running.about for running in todo.running}
        to_run = {action.about for action in todo if isinstance(action, RunJob)}

        def continues(task: Task) -> bool:
            if not isinstance(task.action, RunJob) or task.has_ended:
                return task.still_waits(observed) and not desired.is_edited(task.action.about.whole, self._last_desired)
            about = task.action.about
            return desired.job(about) is not None and about not in to_run and about not in elsewhere

        return [task for task in self.tasks.unasked(todo) if not continues(task)]

    def _end_unasked(self, todo: Plan, desired: Desired, observed: Observed) -> list[Outcome]:
        """End the tasks that the plan does not ask for. A job that has ended is in no plan any more, and its outcome is
        how it ended, and so it is with instances; of all others the specs have changed, or somebody else did the work.
        """
        outcomes: list[Outcome] = []
        for task in self._unasked(todo, desired, observed):
            is_edited = desired.is_edited(task.action.about.whole, self._last_desired)
            if task.is_fulfilled(observed) and not is_edited:
                outcomes.append(done(task.action, since=task.begun))
                task.let_go()
            elif task.has_ended and (isinstance(task.action, RunJob) or (task.gave_up and not is_edited)):
                outcomes.append(outcome_of(self.tasks.take(task.action.id)))
                outcomes += skipped_after(outcomes[-1], self._asked_in.get(task.action.id, Plan()))
            else:
                why = self._newest.why_left_alone(task.action.about, todo, is_edited=is_edited)
                outcomes.append(given_up(task.action, why, since=task.begun))
                task.let_go()
        self.tasks.sweep()  # one that had ended already wakes nobody
        for outcome in outcomes:
            self.caller.report(event_of(outcome))
        return outcomes

    def _learn(self, todo: Plan, desired: Desired, ended: tuple[Outcome, ...]) -> None:
        if desired != self._last_desired:
            self.repeats.clear()
        asked, tasks = {action.id for action in todo}, [task.action.id for task in self.tasks.all]
        self._asked_in = {id: todo if id in asked else self._asked_in.get(id, todo) for id in tasks}
        self._last_desired = desired
        self.repeats.update(outcome.action_id for outcome in ended)
        self.outcomes += ended
        for outcome in ended:
            if outcome.result is Result.FAILED:
                self.failures.add(outcome.action_id)
            elif outcome.result is Result.DONE:
                self.failures.forget(outcome.action_id)
        if self.options.retry:
            tasks_and_ends = {task.action.id for task in self.tasks.all} | {outcome.action_id for outcome in ended}
            failed = {outcome.action_id for outcome in ended if outcome.result is Result.FAILED}
            tried = frozenset(a.about.whole for a in todo if _is_tried(a, begun=tasks_and_ends, failed=failed))
            self.options = replace(self.options, retried=self.options.retried | tried)

    # -- between passes

    @property
    def waits(self) -> bool:
        """Whether something is in progress, or waits for its turn, that another pass will end."""
        is_needed = any(running.is_needed for running in self.plan.running)
        return bool(self.tasks.all or self.queue.waiting or is_needed or self.is_rolling)

    @property
    def is_rolling(self) -> bool:
        """Whether it is up to this run, too, to see a rollout to its end."""
        return not self.options.no_wait and any(rolling.has_spec for rolling in self.plan.rolling)

    @property
    def has_passed(self) -> bool:
        return self._last_pass is not None

    @property
    def goes_on(self) -> bool:
        """Whether something runs beside the passes that would be let go of if the run ended."""
        return any(not task.has_ended for task in self.tasks.all)

    @property
    def must_look_again(self) -> bool:
        """Whether containers may be there that the last pass has not seen: of a job that was just taken away. Or
        whether the plan was another than the policy was asked about."""
        return self._has_seized or NOT_ASKED in self.plan.refused

    @property
    def waits_for_others(self) -> bool:
        """Whether what is waited for may come without a task of ours ending."""
        is_anything = self.queue.waiting or self.absences.is_waiting or self.plan.rolling
        return bool(is_anything or any(running.is_needed for running in self.plan.running))

    @property
    def suspended_seconds(self) -> float:
        """Until something is resumed since its time is over; inf where nothing will be."""
        return self._suspensions.seconds_left(datetime.now(UTC))

    @property
    def look_every_seconds(self) -> float:
        """While it waits for others."""
        return JUDGE_EVERY_SECONDS if self.plan.rolling else LOOK_EVERY_SECONDS

    def tell(self, looks_again_at: datetime | None = None) -> None:
        """Show others what this run waits for."""
        followed = [task.action for task in self.tasks.all if not task.is_let_go]
        ended_at, seconds = self._last_pass or (None, None)
        doing = Doing(
            waits_for=waited_for(followed, self.plan, has_rollouts=self.is_rolling),
            queued=tuple(str(about) for about in self.queue.waiting),
            last_pass_at=ended_at,
            last_pass_seconds=seconds,
            looks_again_at=looks_again_at,
            flapping=self.repairs.flaps(datetime.now(UTC)),
            undelivered=self.undelivered(),
        )
        with suppress(SagespecError, OSError):  # a pass tells what is wrong with settings, store or engine
            self._presence.say(doing, self.around.open_world().leases)

    def forget_told(self) -> None:
        """Of a run without an end: what it did and said is told, and what it does now is told again."""
        self.outcomes.clear()
        self._announced.forget_but({task.action.id for task in self.tasks.all})

    def leave(self) -> None:
        """Let go of everything: jobs run on without us, and the next run starts the rest again."""
        for task in self.tasks.all:
            task.let_go()
        self.tasks.wait_for_all(LET_GO_SECONDS)
        for task in self.tasks.all:
            if task.has_ended:
                outcome = outcome_of(self.tasks.take(task.action.id))
                self.caller.report(event_of(outcome))
                self.outcomes.append(outcome)
        self._presence.leave()
        told = {outcome.action_id for outcome in self.outcomes}
        for action in self.plan.without(self.failures.ids) if self.caller.cancelled.is_set() else ():
            if action.id not in told:
                self.outcomes.append(given_up(action, "stopped on request"))
                self.caller.report(event_of(self.outcomes[-1]))


def _is_tried(action: Action, *, begun: Collection[str], failed: Collection[str]) -> bool:
    """Whether the action is what a retry was asked for, and that has been had: a job that was begun is followed to its
    end whatever is asked, but an endpoint is held back again unless the retry lasts until it serves."""
    if isinstance(action, RunJob | RecordRevision):
        return action.id in begun
    return isinstance(action, AwaitHealthy) and action.id in failed
