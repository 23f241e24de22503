"""Where links lead is worked out from names alone: into the folder, or astray."""

from __future__ import annotations

import pytest

from sagespec.records.links import Listing

FILES = ("a.bin", "deep/er/b.bin", "run1/c.bin")


def resolved(links: dict[str, str], most: int = 100) -> tuple[dict[str, str], dict[str, str]]:
    """What links stand for, and those that lead astray."""
    listing = Listing("/opt/ml/model")
    for file in FILES:
        listing.add(file, is_folder=False)
    for name, target in links.items():
        listing.add_link(name, target)
    found = listing.resolved(most)
    return {name: file for file, names in found.copies.items() for name in names}, found.astray


INSIDE = {
    "a file beside it": ({"l": "a.bin"}, {"l": "a.bin"}),
    "below it": ({"l": "deep/er/b.bin"}, {"l": "deep/er/b.bin"}),
    "above it": ({"deep/er/l": "../../a.bin"}, {"deep/er/l": "a.bin"}),
    "as the container sees it": ({"l": "/opt/ml/model/a.bin"}, {"l": "a.bin"}),
    "out of the folder and back": ({"l": "../model/a.bin"}, {"l": "a.bin"}),
    "with dots and slashes": ({"l": ".//./deep/../a.bin"}, {"l": "a.bin"}),
    "over another link": ({"l": "m", "m": "n", "n": "a.bin"}, {"l": "a.bin", "m": "a.bin", "n": "a.bin"}),
    "through a link to a folder": (
        {"latest": "run1", "l": "latest/c.bin"},
        {"latest/c.bin": "run1/c.bin", "l": "run1/c.bin"},
    ),
    "up from a link to a folder": (
        {"latest": "deep/er", "l": "latest/../er/b.bin"},
        {"latest/b.bin": "deep/er/b.bin", "l": "deep/er/b.bin"},
    ),
    "a folder with links in it": (
        {"latest": "run1", "run1/l": "../a.bin"},
        {"latest/c.bin": "run1/c.bin", "latest/l": "a.bin", "run1/l": "a.bin"},
    ),
}
ASTRAY = {
    "to nothing": ("gone.bin", "a link to 'gone.bin', which is not there"),
    "to a file as a folder": ("a.bin/x", "a link to 'a.bin/x', which is not there"),
    "to the machine": ("/etc/passwd", "a link to '/etc/passwd', which is not in /opt/ml/model"),
    "to a neighbour": ("../checkpoints/x", "a link to '../checkpoints/x', which is not in /opt/ml/model"),
    "to a name that begins alike": ("/opt/ml/model2/a", "a link to '/opt/ml/model2/a', which is not in /opt/ml/model"),
    "far up": ("../../../../../etc/passwd", "a link to '../../../../../etc/passwd', which is not in /opt/ml/model"),
    "to itself": ("l", "a link to 'l', which leads back to itself"),
    "to its own folder": (".", "a link to '.', a folder that it lies in"),
    "to the folder above": ("..", "a link to '..', which is not in /opt/ml/model"),
}


@pytest.mark.parametrize("case", INSIDE)
def test_a_link_into_the_folder_stands_for_what_is_there(case: str) -> None:
    links, expected = INSIDE[case]
    assert resolved(links) == (expected, {})


@pytest.mark.parametrize("case", ASTRAY)
def test_a_link_to_anywhere_else_is_astray(case: str) -> None:
    target, said = ASTRAY[case]
    assert resolved({"l": target}) == ({}, {"l": said})


def test_links_in_a_circle_end() -> None:
    copies, astray = resolved({"deep/x": "../run1", "run1/y": "../deep", "m": "n", "n": "m"})
    assert copies == {}
    assert set(astray) == {"deep/x", "run1/y", "m", "n"}


def test_links_to_folders_of_links_do_not_multiply_without_end() -> None:
    links = {f"l{n}/{side}": f"../l{n + 1}" for n in range(60) for side in ("a", "b")}
    copies, astray = resolved({**links, "l60": "run1"}, most=1000)
    assert len(copies) <= 1000
    assert "with others it stands for over 1,000 files" in astray["l0/a"]


def test_a_hard_link_is_one_to_the_root_of_the_folder() -> None:
    listing = Listing("/opt/ml/model")
    listing.add("deep/a", is_folder=False)
    listing.add_hard_link("other/b", "deep/a")
    assert listing.resolved(10).copies == {"deep/a": ["other/b"]}
