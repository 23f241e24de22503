"""What a forge answers about pull requests may have any shape."""

from __future__ import annotations

from typing import Any

import pytest

from sagespec.errors import WorldError
from sagespec.forge.pulls import Pull, Pulls
from sagespec.forge.requests import Forge

HERE = Pull(number=1, title="t", body="", url="", is_open=True, is_merged=False)


@pytest.mark.parametrize("said", [None, 1, {"message": "moved"}, ["a"], [{"head": {"ref": "b"}}], [{"head": "b"}]])
@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
def test_an_answer_of_another_shape_is_a_problem_of_the_forge(kind: Any, said: Any) -> None:
    pulls = Pulls(Forge(kind, "https://git.example/api", "acme/models", context=""), "t", ask=lambda _asked: said)
    with pytest.raises(WorldError, match="did not answer with pull requests"):
        pulls.of_branch("b")
    with pytest.raises(WorldError, match="did not answer with pull requests"):
        pulls.open("b", "main", title="t", body="")
    with pytest.raises(WorldError, match="did not answer with pull requests"):
        pulls.edit(HERE, title="t", body="")
