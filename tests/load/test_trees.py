"""What a state folder is at, and what it needs for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.documents.files import one_writer
from sagespec.errors import WorldError
from sagespec.load.trees import At

SOURCE = "apiVersion: sagespec/v1\nkind: Source\nname: churn\nurl: /a\nsecrets: {db: 'file:keys/db'}\n"


def test_secrets_are_those_of_the_source_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text(SOURCE)
    found = At("c" * 40, source=str(tmp_path / "source.yaml")).secrets
    assert {name: str(secret) for name, secret in found.items()} == {"db": f"file:{tmp_path}/keys/db"}


@pytest.mark.parametrize("text", [None, "kind: [\n", "kind: Project\n"])
def test_a_project_can_be_rolled_back_and_stopped_though_its_source_is_gone_or_wrong(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "source.yaml").write_text(text)
    assert At("c" * 40, source=str(tmp_path / "source.yaml")).secrets == {}


def test_the_tree_of_a_followed_commit_is_nobodys_to_edit(tmp_path: Path) -> None:
    """What is written there would be applied as if the commit said it, whoever must have signed that."""
    tree = tmp_path / "trees" / ("c" * 40)
    (tree / "models").mkdir(parents=True)
    with one_writer(tree / "models"):
        """It is nobody's mirror."""
    tree.with_name(f"{tree.name}.whole").touch()
    for folder in (tree, tree / "models"):
        with pytest.raises(WorldError, match="the specs of cccccccccccc are not edited here"), one_writer(folder):
            pytest.fail("it was let in")
