"""The files of a build: what .dockerignore leaves out, as Docker reads it, and what the hash is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.sources.build import DOCKERFILE_FROM_OUTSIDE, BuildFolder, IgnorePatterns

FILES = [
    *("Dockerfile", ".env", "README.md", "a.tmp"),
    *("data/big.csv", "data/small.csv", "data/deep/er/x.tmp", "docs/README.md", "node_modules/m/index.js"),
    *("src/app.py", "src/app.tmp", "src/node_modules/n/index.js", "src/secret/key", "src/secret/public.txt"),
    "we[i]rd",
]

# What `docker build` sent of these files (its command line 28.2, COPY . into an empty image), the Dockerfile aside.
PATTERNS = {
    "": FILES,
    "*.tmp": [f for f in FILES if f != "a.tmp"],
    "**/*.tmp": [f for f in FILES if not f.endswith(".tmp")],
    "**/node_modules": [f for f in FILES if "node_modules" not in f],
    "node_modules": [f for f in FILES if not f.startswith("node_modules")],
    "*\n!src": [f for f in FILES if f.startswith(("src/", "Dockerfile"))],
    "*\n!src\n**/secret\n!**/public.txt": [
        f for f in FILES if f.startswith(("src/", "Dockerfile")) and not f.startswith("src/secret/")
    ],
    "src/secret\n!src/secret/public.txt": [f for f in FILES if f != "src/secret/key"],
    "# README.md\n\n  /data/  ": [f for f in FILES if not f.startswith("data/")],
    "data/*.csv": [f for f in FILES if not f.startswith("data/") or "deep" in f],
    "data/**/*.tmp": [f for f in FILES if f != "data/deep/er/x.tmp"],
    "s?c/app.*": [f for f in FILES if not f.startswith("src/app")],
    "[rR]*.md": [f for f in FILES if f != "README.md"],
    "we\\[i\\]rd": [f for f in FILES if f != "we[i]rd"],
    "!README.md\n*.md": [f for f in FILES if f != "README.md"],
    "./src/../data": [f for f in FILES if not f.startswith("data/")],
    ".": FILES,
    "**": ["Dockerfile"],
    "Dockerfile": FILES,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "container"
    for name in FILES:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    return path


@pytest.mark.parametrize("patterns", PATTERNS)
def test_patterns_leave_out_what_docker_leaves_out(folder: Path, patterns: str) -> None:
    (folder / ".dockerignore").write_text(patterns)
    sent = [file for file in BuildFolder(folder).files() if file != ".dockerignore"]
    assert sent == sorted(PATTERNS[patterns])


def test_what_is_left_out_changes_no_hash(folder: Path) -> None:
    (folder / ".dockerignore").write_text("data\n")
    before = BuildFolder(folder).hash()
    (folder / "data/big.csv").write_text("more")
    assert BuildFolder(folder).hash() == before
    (folder / "src/app.py").write_text("more")
    assert BuildFolder(folder).hash() != before


def test_the_dockerfile_counts_even_where_it_is_left_out(folder: Path) -> None:
    (folder / ".dockerignore").write_text("Dockerfile\n")
    before = BuildFolder(folder).hash()
    (folder / "Dockerfile").write_text("FROM debian\n")
    assert BuildFolder(folder).hash() != before


def test_a_dockerfile_may_have_patterns_of_its_own(folder: Path) -> None:
    (folder / ".dockerignore").write_text("src\n")
    (folder / "gpu.Dockerfile").write_text("FROM scratch\n")
    (folder / "gpu.Dockerfile.dockerignore").write_text("*\n")
    assert list(BuildFolder(folder, "gpu.Dockerfile").files()) == ["gpu.Dockerfile"]


def test_a_dockerfile_from_outside_counts_and_gets_a_name_in_the_build(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "Dockerfile"
    outside.write_text("FROM debian\n")
    built = BuildFolder(folder, "../Dockerfile")
    before = built.hash()
    assert built.outside_dockerfile is not None
    assert built.outside_dockerfile.samefile(outside)
    assert built.dockerfile_in_build == DOCKERFILE_FROM_OUTSIDE
    outside.write_text("FROM debian:bookworm-slim\n")
    assert built.hash() != before


def test_arguments_and_the_dockerfiles_name_count(folder: Path) -> None:
    (folder / "other").write_text("Dockerfile")
    plain, other, given = BuildFolder(folder), BuildFolder(folder, "other"), BuildFolder(folder, args={"A": "b"})
    assert len({plain.hash(), other.hash(), given.hash()}) == 3


def test_a_line_that_is_no_pattern_is_told_with_its_place() -> None:
    with pytest.raises(WorldError, match=r"\.dockerignore:2: '\[z-a\]' is not a pattern"):
        IgnorePatterns("# ranges\n[z-a]\n", ".dockerignore")
