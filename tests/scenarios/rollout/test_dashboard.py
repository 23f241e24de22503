"""A rollout on the endpoint's page of the dashboard, and its buttons, without a browser's script."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from sagespec.project import Project
from sagespec.spec.dashboard import DashboardSettings
from tests.dashboard.served import HOST, access_of, client_of, signed_in
from tests.scenarios.rollout.calling import spec
from tests.scenarios.workspace import Workspace, wait_until

SLOW = "strategy: canary, size: 30%, wait: 60s, bake: 60s"


def browser_of(project: Project, *, write: bool) -> FlaskClient:
    access = access_of(DashboardSettings(write=write))
    return signed_in(client_of(project, access), access)


def press(client: FlaskClient, button: str, number: int) -> int:
    page = client.get("/endpoints/answers").text
    mark = re.search(r'name="sagespec-token" value="([^"]+)"', page)
    fields = {"sagespec-token": mark[1] if mark else "", "reason": "enough"}
    path = f"/endpoints/answers/rollout/{number}/{button}"
    return client.post(path, data=fields, headers={"Origin": f"http://{HOST}"}).status_code


def test_the_page_shows_it_and_its_buttons_end_it(process_workspace: Workspace) -> None:
    workspace = process_workspace
    workspace.write(spec("old", rollout=SLOW))
    workspace.run("apply")
    for number, button, ending in ((2, "promote", "promoted"), (3, "abort", "aborted")):
        workspace.write(spec(f"new-{number}", rollout=SLOW))
        workspace.run("apply", "--no-wait")
        with workspace.project() as project:
            page = browser_of(project, write=False).get("/endpoints/answers").text
            assert f"Revision {number} is being rolled out: step 1 of 2" in page
            assert "<code>sagespec promote answers</code>" in page
            assert "<button" not in page.partition("being rolled out")[2].partition("</section>")[0]
            assert press(browser_of(project, write=False), button, number) in (401, 403)
            client = browser_of(project, write=True)
            assert 'value="30.0"' in client.get("/endpoints/answers").text
            assert client.post(f"/endpoints/answers/rollout/{number}/{button}").status_code == 403, "no token"
            assert press(client, button, number + 7) == 409
            assert press(client, button, number) == 303
            wait_until(lambda: not workspace.rollouts())  # gone once its end is recorded
        end = workspace.records().history("answers")[-1].rollout
        assert end is not None
        assert end.ending.value == ending
        assert "enough; from the dashboard" in end.why
