"""Who runs sagespec, as far as the machine and its CI say so."""

from __future__ import annotations

import pytest

from sagespec.records.run_by import run_by

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/models",
    "GITHUB_RUN_ID": "4711",
    "GITHUB_ACTOR": "ada",
    "GITHUB_TRIGGERING_ACTOR": "grace",
}


def test_a_person_at_a_machine_is_known_by_both() -> None:
    found = run_by("apply", {})
    assert (found.actor, found.url) == ("", "")
    assert found.text == f"{found.user} on {found.host}"
    assert found.full_text == f"sagespec apply of {found.user} on {found.host}"


@pytest.mark.parametrize(
    ("variables", "text", "url"),
    [
        (GITHUB, "grace, run 4711", "https://github.com/acme/models/actions/runs/4711"),
        (
            {"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "ada", "CI_JOB_URL": "https://git.acme/m/-/jobs/7"},
            "ada, run 7",
            "https://git.acme/m/-/jobs/7",
        ),
        (
            {"JENKINS_URL": "http://ci", "BUILD_USER_ID": "ada", "BUILD_URL": "http://ci/job/m/7/"},
            "ada, run 7",
            "http://ci/job/m/7/",
        ),
    ],
)
def test_in_ci_it_is_whoever_started_the_run(variables: dict[str, str], text: str, url: str) -> None:
    found = run_by("apply", variables)
    assert (found.text, found.url) == (text, url)
    assert found.full_text.endswith(f" on {found.host}, {url}")


def test_words_of_variables_are_kept_short_and_are_no_commands() -> None:
    odd = {"GITLAB_CI": "1", "GITLAB_USER_LOGIN": "ada\x1b[2J\n" + "x" * 999, "CI_JOB_URL": "javascript:alert(1)"}
    found = run_by("apply", odd)
    assert "\x1b" not in found.actor
    assert "\n" not in found.actor
    assert len(found.actor) <= 300
    assert found.url == ""
