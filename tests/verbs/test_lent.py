"""What status says of a variant that lends its share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagespec.show.status import write_status
from tests.dashboard.rows import status_of
from tests.dashboard.served import access_of, client_of, project_in, signed_in
from tests.show.screens import a_screen, out
from tests.verbs.test_states import JOB, NEXT, endpoint_of, settled


def serving(**fields: Any) -> dict[str, Any]:
    variants = [{"name": "stable", "model": "churn@1", "weight": 9}, {"name": "candidate", "model": "churn@2"}]
    return {"kind": "Endpoint", "name": "churn", "variants": variants, **fields}


def test_a_variant_that_is_down_is_said_to_lend_its_share() -> None:
    specs = (JOB, NEXT, serving(when_down="spread", split={"key": "header x-user"}))
    world = settled(*specs)
    assert endpoint_of(world, *specs).detail == ""
    world.turn_unhealthy("churn@2")
    found = endpoint_of(world, *specs)
    assert [(variant.name, variant.lends_to) for variant in found.variants] == [
        ("stable", ()),
        ("candidate", ("stable",)),
    ]
    said = "candidate: 0 of 1 healthy; candidate lends its share to stable"
    assert (found.state, found.detail, found.key) == ("degraded", said, "header x-user")
    assert found.as_json()["variants"][1]["lends_to"] == ("stable",)
    screen = a_screen()
    write_status(screen, status_of(endpoints=(found,)))
    assert said in out(screen)
    assert "callers keep their variant, by header x-user" in out(screen)


def test_a_variant_that_is_down_lends_nothing_unasked_and_to_nobody_who_is_down_too() -> None:
    specs = (JOB, NEXT, serving())
    world = settled(*specs)
    world.turn_unhealthy("churn@2")
    assert endpoint_of(world, *specs).detail == "candidate: 0 of 1 healthy"
    specs = (JOB, NEXT, serving(when_down="spread"))
    world = settled(*specs)
    world.turn_unhealthy("churn@1")
    world.turn_unhealthy("churn@2")
    assert [variant.lends_to for variant in endpoint_of(world, *specs).variants] == [(), ()]


def test_the_dashboard_says_so_too(tmp_path: Path) -> None:
    specs = (JOB, NEXT, serving(when_down="spread", split={"key": "cookie uid"}))
    world = settled(*specs)
    world.turn_unhealthy("churn@1")
    found = endpoint_of(world, *specs)
    with project_in(tmp_path) as project:
        access = access_of()
        browser = signed_in(client_of(project, access, look=lambda: status_of(endpoints=(found,))), access)
        text = browser.get("/endpoints/churn").text
    assert "stable lends its share to candidate" in text
    assert "by cookie uid" in text
