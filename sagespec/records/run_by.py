"""Who runs sagespec, and from where: for the history, and for whoever asks a year later.

In CI the person is whoever started the run, as the CI says it, and the run has an address. These words come from
variables: they are kept short, and shown as text alone.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping

from sagespec.records.holder import user_name
from sagespec.state.manifest import RunBy

MOST = 300  # characters
_ADDRESS = re.compile(r"https?://[!-~]+")
# Of each CI: the variables with the person, and that with the address of the run.
_OTHERS = (
    ("GITLAB_CI", ("GITLAB_USER_LOGIN",), "CI_JOB_URL"),
    ("BUILDKITE", ("BUILDKITE_BUILD_CREATOR",), "BUILDKITE_BUILD_URL"),
    ("JENKINS_URL", ("BUILD_USER_ID",), "BUILD_URL"),
)


def run_by(command: str, environment: Mapping[str, str] | None = None) -> RunBy:
    variables = os.environ if environment is None else environment
    actor, url = _in_ci(variables)
    return RunBy(user=user_name(), host=socket.gethostname(), command=command, actor=actor, url=url)


def _in_ci(variables: Mapping[str, str]) -> tuple[str, str]:
    """Who started the run, and its address; '' where no CI says so."""
    if variables.get("GITHUB_ACTIONS") == "true":  # Forgejo and Gitea say the same
        names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
        server, repository, number = (variables.get(name, "") for name in names)
        url = f"{server}/{repository}/actions/runs/{number}" if number else ""
        return _first(variables, ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR")), _address(url)
    for mark, people, place in _OTHERS:
        if variables.get(mark):
            return _first(variables, people), _address(variables.get(place, ""))
    return "", ""


def _first(variables: Mapping[str, str], names: tuple[str, ...]) -> str:
    found = next((text for name in names if (text := variables.get(name, ""))), "")
    return "".join(letter for letter in found if letter.isprintable())[:MOST]


def _address(text: str) -> str:
    return text if len(text) <= MOST and _ADDRESS.fullmatch(text) else ""
