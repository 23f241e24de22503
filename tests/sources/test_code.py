"""What of a script's folder is code: what .sagespecignore and tools' names leave, counted as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.sources.build import BuildFolder
from sagespec.sources.code import copy_code, counted, counted_like
from sagespec.sources.files import files_of
from sagespec.sources.ignored import IGNORE_FILE

TOOLS = [
    ".venv/lib/a.py",
    "env/pyvenv.cfg",
    "env/lib/b.py",
    "node_modules/x.js",
    ".train.py.swp",
    "train.py~",
    "#train.py#",
    "deep/.vscode/settings.json",
    ".pytest_cache/CACHEDIR.TAG",
    "deep/Thumbs.db",
    "desktop.ini",
    ".~lock.rows.ods#",
]
CODE = ["train.py", "deep/helper.py", "data/rows.csv", ".env"]


def fill(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("", CODE),
        ("# data\ndata/\n.env\n", ["train.py", "deep/helper.py"]),
        ("*\n!*.py\n!deep/\n", ["train.py", "deep/helper.py"]),
        ("!node_modules\n!train.py~\n", [*CODE, "node_modules/x.js", "train.py~"]),
    ],
)
def test_what_is_ignored_is_neither_counted_nor_copied(lines: str, code: list[str], tmp_path: Path) -> None:
    source, copy = fill(tmp_path / "src", *CODE, *TOOLS), tmp_path / "copy"
    (source / ".#train.py").symlink_to("ada@laptop:1")  # as Emacs leaves it
    if lines:
        (source / IGNORE_FILE).write_text(lines)
    copy.mkdir()
    copy_code(source, copy)
    assert sorted(counted(source).files) == list(files_of(copy)) == sorted(code)
    if lines:
        alone = fill(tmp_path / "alone", *code)
        (alone / IGNORE_FILE).write_text(lines)
        assert counted(source).fingerprint == counted(alone).fingerprint


def test_a_line_that_is_no_pattern_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "train.py", IGNORE_FILE)
    (tmp_path / IGNORE_FILE).write_text("data/\n!\n")
    with pytest.raises(WorldError, match=rf"{IGNORE_FILE}:2: '!' is not a pattern"):
        counted(tmp_path)


def test_a_linked_folder_is_ignored_by_the_name_it_has_here(tmp_path: Path) -> None:
    fill(tmp_path, "shared/a.py", "shared/big.bin", "src/train.py", "src/skip/x.py")
    (tmp_path / "src" / "common").symlink_to("../shared")
    (tmp_path / "src" / "out").symlink_to("../shared")
    (tmp_path / "src" / IGNORE_FILE).write_text("common/*.bin\nout/\nskip\n")
    assert sorted(counted(tmp_path / "src").files) == ["common/a.py", "train.py"]


def test_the_hashes_of_earlier_releases_are_still_what_they_were(tmp_path: Path) -> None:
    """Another hash would refuse every trained job with a script."""
    files = {"src/train.py": "a = 1\n", "src/run.sh": "x\n", "src/pkg/b.py": "b\n", "common/c.py": "c\n"}
    for path, text in (files | {"src/Dockerfile": "FROM x\n"}).items():
        fill(tmp_path, path)
        (tmp_path / path).write_text(text)
    source = tmp_path / "src"
    (source / "run.sh").chmod(0o755)
    (source / "common").symlink_to("../common")
    (source / "c.py").symlink_to("../common/c.py")
    assert counted(source).fingerprint == "4184e8fb5df8838b"
    assert BuildFolder(source).hash() == "1-4935174e1d58309a"
    assert counted(source / "train.py").fingerprint == "8fda28968733d5c4"


def test_what_an_earlier_release_counted_counts_where_a_job_was_begun_with_it(tmp_path: Path) -> None:
    source = fill(tmp_path, "train.py", ".venv/lib/a.py", "train.py~")
    before = "c02c5617b95fcca6"  # as it counted these three files
    assert before != counted(source).fingerprint
    (source / IGNORE_FILE).write_text("*.csv\n")
    assert counted_like(source, lambda: before).fingerprint == before
    (source / "train.py").write_text("another")
    assert counted_like(source, lambda: before) == counted(source)


def test_what_was_left_out_first_alone_still_counts_where_a_job_was_begun_with_it(tmp_path: Path) -> None:
    before = "93715cdc718a27c9"  # as the first to leave anything out counted train.py and Thumbs.db
    source = fill(tmp_path, "train.py", "train.py~", "Thumbs.db")
    assert counted_like(source, lambda: before).fingerprint == before != counted(source).fingerprint
    assert sorted(counted_like(source, lambda: before).files) == ["Thumbs.db", "train.py"]


def test_what_a_job_was_begun_with_is_asked_for_only_where_it_may_matter(tmp_path: Path) -> None:
    def asked() -> str:
        raise AssertionError("a request to the store in each plan")

    source = fill(tmp_path, "train.py", IGNORE_FILE, "__pycache__/train.pyc")
    assert counted_like(source, asked) == counted(source)
