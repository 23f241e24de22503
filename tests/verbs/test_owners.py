"""Whose containers they are: of a store that was moved or copied, of a checkout that is gone, or of another one."""

from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.state.addresses import GATEWAY
from sagespec.state.observed import Container, ContainerState
from sagespec.state.owner import Owner, owner_from_labels
from sagespec.verbs.owners import refuse_others


def checkout(root: Path, store: str = "file://.sagespec/store", name: str = "demo") -> Parts:
    root.mkdir(exist_ok=True)
    document = f"apiVersion: sagespec/v1\nkind: Project\nname: {name}\nstore: {store}\nruntime: process\n"
    (root / "sagespec.yaml").write_text(document)
    return Parts(root)


def refused(parts: Parts, owner: Owner | None) -> str:
    container = Container("gateway", GATEWAY, "", ContainerState.RUNNING, owner=owner)
    try:
        refuse_others(parts, [container])
    except WorldError as error:
        return str(error)
    return ""


@pytest.fixture
def main(tmp_path: Path) -> Parts:
    parts = checkout(tmp_path / "main")
    parts.records.make_store_id()
    return parts


def test_another_checkout_with_its_own_store_is_refused_by_name(main: Parts, tmp_path: Path) -> None:
    feature = checkout(tmp_path / "feature")
    said = refused(feature, main.owner)
    assert f"those of {main.root} on {socket.gethostname()}, whose store is file://{main.root}/.sagespec/store" in said
    shutil.copytree(main.root / ".sagespec", feature.root / ".sagespec")
    assert refused(feature, main.owner), "a copy of everything has the same id"
    for same in (main, checkout(feature.root, store=f"file://{main.root}/.sagespec/store")):
        assert refused(same, main.owner) == ""
    assert refused(feature, None) == "", "of an earlier release"


def test_a_store_may_be_moved_copied_or_lost(main: Parts, tmp_path: Path) -> None:
    before = main.owner
    shutil.copytree(main.root / ".sagespec" / "store", tmp_path / "bucket")
    copied = f"file://{tmp_path}/bucket"
    assert refused(checkout(main.root, store=copied), before) == ""
    assert refused(checkout(tmp_path / "other", store=copied), before) == "", "main uses the copy, too"
    checkout(main.root)
    shutil.rmtree(main.root / ".sagespec" / "store")
    assert refused(Parts(main.root), before) == "", "made again where it was"
    main.root.rename(tmp_path / "moved")
    assert refused(Parts(tmp_path / "moved"), before) == ""


def test_from_another_machine_the_store_tells(main: Parts, tmp_path: Path) -> None:
    there = replace(main.owner, host="build-7")
    shutil.copytree(main.root / ".sagespec" / "store", tmp_path / "bucket")
    assert refused(checkout(tmp_path / "here", store=f"file://{tmp_path}/bucket"), there) == ""
    assert "on build-7" in refused(checkout(tmp_path / "new"), there)
    on_s3 = replace(there, address="s3://acme/models", store="")
    assert replace(on_s3, host="here", store="an id").is_same_as(on_s3, lambda _: "")


def test_labels_give_the_owner_back(main: Parts) -> None:
    assert owner_from_labels(main.owner.labels) == main.owner
    assert owner_from_labels({"sagespec.project": "demo"}) is None
