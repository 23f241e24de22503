"""What went wrong: for people, for programs, for GitHub."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sagespec.errors import Origin, Problem
from sagespec.show.problems import MOST_SHOWN, write_bug, write_problems
from tests.show.screens import REFUSED, a_screen, err, out


def test_problems_name_place_thing_reason_and_way_out_on_standard_error() -> None:
    screen = a_screen()
    write_problems(screen, [REFUSED, Problem("the disk is full", fix="make room")])
    assert out(screen) == ""
    assert (
        err(screen)
        == """\
specs/churn.yaml:7:29  job/churn@3: hyperparameters.num_round is 200, but version 3 was trained with 100
  why  a version is immutable
  fix  set version: 4
the disk is full
  fix  make room

2 problems
"""
    )


def test_of_very_many_problems_the_first_are_told_and_all_are_counted() -> None:
    screen = a_screen()
    write_problems(screen, [replace(REFUSED, what=f"it is wrong {number}") for number in range(100_000)])
    assert err(screen).count("it is wrong") == MOST_SHOWN
    assert err(screen).endswith(f"\nand {100_000 - MOST_SHOWN} more\n")


def test_problems_as_json_go_to_standard_output() -> None:
    screen = a_screen(format="json")
    write_problems(screen, [REFUSED])
    assert json.loads(out(screen)) == {"error": [REFUSED.as_json()]}
    assert err(screen) == ""


def test_places_are_told_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "specs").mkdir()
    monkeypatch.chdir(tmp_path / "specs")
    screen = a_screen(root=tmp_path)
    write_problems(screen, [REFUSED])
    assert err(screen).startswith("churn.yaml:7:29 ")


def test_github_gets_annotations_with_its_characters_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    screen = a_screen(github=True, format="json", root=tmp_path / "demo")
    write_problems(screen, [Problem("100 % wrong:\n, really", about="job/a@1", where=Origin("specs/a,b.yaml", 2, 3))])
    assert err(screen) == ("::error file=demo/specs/a%2Cb.yaml,line=2,col=3,title=job/a@1::100 %25 wrong:%0A, really\n")


def test_a_bug_says_where_to_report_it() -> None:
    screen = a_screen()
    try:
        raise KeyError("x")
    except KeyError as error:
        write_bug(screen, error, debug=False)
    assert re.match(r"a bug in sagespec: KeyError: 'x' at test_problems\.py:\d+\n", err(screen))
    assert "/issues" in err(screen)
    assert "Traceback" not in err(screen)
