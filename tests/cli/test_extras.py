"""A command that lacks a package of an extra says which, and how to get it."""

from __future__ import annotations

import pytest

from sagespec.cli.extras import OF_WEB, need
from sagespec.errors import WorldError


def test_the_first_package_that_is_missing_is_named_with_its_extra() -> None:
    need(OF_WEB, "web", what="a server")
    with pytest.raises(WorldError) as refused:
        need([*OF_WEB, "no_such_package", "nor_this"], "web", what="a server")
    assert str(refused.value).splitlines() == [
        "a server needs no_such_package, which is not installed here",
        "  fix  pip install 'sagespec[web]'",
    ]
