"""How a container ended, as the cause of what is done about it."""

from __future__ import annotations

import pytest

from sagespec.reconcile.causes import how_it_ended
from sagespec.state.addresses import endpoint_address
from sagespec.state.observed import Container, ContainerState, Exit


@pytest.mark.parametrize(
    ("code", "last", "said"),
    [
        (3, Exit(3), "it exited with code 3"),
        (None, Exit(None, None, "its node n2 does not answer"), "it has ended: its node n2 does not answer"),
        (None, None, "it has ended, and nobody knows how"),
    ],
)
def test_an_end_without_a_code_is_given_none(code: int | None, last: Exit | None, said: str) -> None:
    address = endpoint_address("answers")
    assert how_it_ended(Container("a", address, "1-a", ContainerState.EXITED, code, last_exit=last)) == said
