"""What goes on beside the passes, and what it must not hold up."""

from __future__ import annotations

import threading

from sagespec.apply.effects import Effect
from sagespec.apply.tasks import Tasks
from sagespec.events import Caller
from sagespec.plan import Plan, StartInstance
from sagespec.reconcile.reconcile import reconcile
from tests.fakes.clock import START
from tests.place import Place

MANY = 40


def plan_of(place: Place, name: str, instances: int) -> Plan:
    document = {
        "kind": "Endpoint",
        "name": name,
        "variants": [{"name": "only", "model": "model@1", "instances": instances}],
    }
    return reconcile(*place.look(place.world(), place.job(1), document), START)


def test_a_slow_source_of_one_endpoints_models_holds_up_no_other_endpoint(place: Place) -> None:
    ended, slow = threading.Event(), threading.Event()
    tasks = Tasks(ended.set)

    def start(plan: Plan, effect: Effect) -> None:
        for action in plan:
            if isinstance(action, StartInstance):
                tasks.start(action, effect, None, Caller(place.events.append), 0.0)

    start(plan_of(place, "slow", MANY), Effect(meanwhile=lambda _, _caller: slow.wait()))
    start(plan_of(place, "quick", 1), Effect(meanwhile=lambda _, _caller: None))
    assert ended.wait(20)
    assert [str(task.action.about) for task in tasks.all if task.has_ended] == ["endpoint/quick/only#0"]
    slow.set()
    tasks.wait_for_all(20)
    assert all(task.has_ended for task in tasks.all)
