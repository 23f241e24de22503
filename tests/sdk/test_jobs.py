"""SDK 2: what a notebook is told when something is wrong, and code and data of people's own."""

from __future__ import annotations

import pytest

from tests.sdk.desk import Desk

pytestmark = [pytest.mark.sdk2, pytest.mark.slow]


def test_what_goes_wrong_reaches_the_notebook(process_desk: Desk) -> None:
    with process_desk.api():
        found = process_desk.run("sdk2", "failures.py", kernel=True)

    kind, said = found["script"]
    assert kind == "UnexpectedStatusException"
    assert "ValueError: the label column is empty" in said
    kind, said = found["misspelt"]
    assert kind == "UnexpectedStatusException"
    assert "num_rounds" in said and 'did you mean "num_round"?' in said  # noqa: PT018
    kind, said = found["image"]
    assert kind == "ValidationException"
    assert "nowhere-to-be-found" in said and "xgboost" in said  # noqa: PT018
    assert "not-there" in found["endpoint"][1]
    assert found["twice"][0] == "ResourceInUse"
    kind, said = found["data"]
    assert kind == "UnexpectedStatusException"
    assert "no-such-bucket-here" in said


def test_scripts_and_record_sets(desk: Desk) -> None:
    with desk.api():
        found = desk.run("sdk2", "frameworks.py", kernel=True)

    assert found["forest"] > 0.9
    assert "trained in script mode" in found["said"]
    assert set(found["centres"]) == {0, 1}
    new = desk.git("status", "--porcelain", "-uall").split()[1::2]
    assert {name for name in new if name.startswith("specs/")} == {
        f"specs/notebook/{name}.yaml" for name in ("forest", "boost", "centres")
    }
    assert {name.rpartition("/")[2] for name in new if not name.startswith("specs/")} == {"forest.py", "boost.py"}
    desk.workspace.run("validate")
    assert desk.workspace.json("plan")["actions"] == []
