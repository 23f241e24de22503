from __future__ import annotations

import math

import pytest

from sagespec.errors import Origin, Problem
from sagespec.show.html import (
    Html,
    curves,
    element,
    escaped,
    fitted,
    folded,
    joined,
    left_out,
    page,
    problems,
    split_bar,
    table,
)
from sagespec.show.html.page import MOST_BYTES
from tests.show.markup import HOSTILE, rows_of, text_of, tree_of


def test_what_is_no_html_is_escaped_once() -> None:
    bold = element("b", "a & b", title=None)
    assert bold == "<b>a &amp; b</b>"
    assert joined([bold, "<i>"]) == "<b>a &amp; b</b>&lt;i&gt;"
    assert escaped(bold) is bold


def test_a_sum_with_a_text_is_a_text_and_is_escaped() -> None:
    assert escaped(Html("<b></b>") + "<img>") == "&lt;b&gt;&lt;/b&gt;&lt;img&gt;"


def test_a_template_takes_it_as_it_is_and_escapes_the_rest() -> None:
    from markupsafe import escape

    assert escape(element("b", "<i>")) == "<b>&lt;i&gt;</b>"


def test_attributes_are_named_as_in_html() -> None:
    assert (
        element("th", "x", cls="n", aria_hidden="true", for_="a") == '<th class="n" aria-hidden="true" for="a">x</th>'
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_a_text_wherever_it_stands(text: str) -> None:
    found = page(
        table([text], [[text], [(text, "bad")], [element("b", text)]]),
        curves({text: [(0, 1.0), (1, 2.0)], f"{text}:auc": [(0, 1.0)]}),
        split_bar({text: 0.5, f"{text}2": 0.5}),
        problems([Problem(f"{text}\n{text}", text, text, text, Origin(text))]),
        folded(text, text),
        left_out(3, text),
        element("p", "x", cls=text),
    )
    read = text_of(found)
    if text.isprintable():
        assert read.count(" ".join(text.split())) >= 12


def test_letters_that_turn_the_direction_are_seen() -> None:
    assert escaped("gpj.\u202eevil") == "gpj.\ufffdevil"
    assert escaped("\x1b[31mred\x1b[0m") == "red"


def test_a_table_has_a_head_and_aligns_figures() -> None:
    found = table(["NAME", "SHARE"], [["stable", "90 %"], ["candidate", "-"]])
    assert rows_of(found) == [["NAME", "SHARE"], ["stable", "90 %"], ["candidate", "-"]]
    cells = [[cell.get("class") for cell in row] for row in tree_of(found).iter("tr")]
    assert cells == [[None, "n"], [None, "n"], [None, "n"]]


def test_a_cell_has_a_tone_and_keeps_its_lines() -> None:
    assert '<td class="bad">failed<br/>twice</td>' in table([], [[("failed\ntwice", "bad")]])


def test_a_long_cell_is_cut() -> None:
    assert len(text_of(table([], [["x" * 10_000]]))) < 500


def test_curves_of_what_measures_the_same_share_a_drawing() -> None:
    found = curves(
        {"train:auc": [(0, 0.5), (60, 0.9)], "validation:auc": [(0, 0.4), (60, 0.8)], "loss": [(0, 3), (60, 1)]}
    )
    drawings = [svg for svg in tree_of(found).iter("svg") if svg.get("role") == "img"]
    assert [len(list(svg.iter("path"))) for svg in drawings] == [2, 1]
    assert rows_of(found)[1] == ["", "train:auc", "0.9", "0.5", "0.9", "2"]
    pens = [path.get("class") for path in drawings[0].iter("path")]
    dashes = [path.get("stroke-dasharray") for path in drawings[0].iter("path")]
    assert len(set(pens)) == len(set(dashes)) == 2  # not by the colour alone


def test_a_curve_goes_from_the_lower_left_to_the_upper_right() -> None:
    (path,) = tree_of(curves({"auc": [(0, 0.0), (50, 0.5), (100, 1.0)]})).iter("path")
    points = [tuple(map(float, point.split())) for point in path.get("d", "")[1:].split("L")]
    assert points == sorted(points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)


def test_a_curve_of_very_many_points_keeps_its_peak() -> None:
    points = [(float(at), 1.0) for at in range(100_000)]
    points[54_321] = (54_321.0, 99.0)
    found = curves({"loss": points})
    (path,) = tree_of(found).iter("path")
    heights = [float(point.split()[1]) for point in path.get("d", "")[1:].split("L")]
    assert len(heights) < 300
    assert min(heights) < 40
    assert rows_of(found)[1][3:] == ["1", "99", "100,000"]


@pytest.mark.parametrize(
    "points",
    [
        [(0, 1.0), (1, 1.0)],
        [(0, math.nan), (1, math.inf), (2, -math.inf)],
        [(0, math.nan), (1, 2.0), (2, 3.0)],
        [(5, 1.0), (5, 1.0)],
        [(0, 1e300), (1, -1e300)],
        [(0, 1e-300), (1, 2e-300)],
        [(-3, 1), (7200 * 5, 2)],
        [],
    ],
)
def test_odd_series_are_drawn_inside_of_the_frame(points: list[tuple[float, float]]) -> None:
    for path in tree_of(curves({"x": points, "y": []})).iter("path"):
        for point in path.get("d", "")[1:].split("L"):
            x, y = map(float, point.split())
            assert 0 <= x <= 480
            assert 0 <= y <= 180


def test_a_split_is_a_bar_and_words() -> None:
    found = split_bar({"stable": 0.9, "candidate": 0.1, "off": 0.0})
    assert "stable 90 %" in text_of(found)
    assert "off 0 %" in text_of(found)
    widths = [float(rect.get("width", "0")) for rect in tree_of(found).iter("rect")]
    assert widths == [431.0, 47.0]
    assert "no variant" in text_of(split_bar({"a": 0.0}))


def test_variants_whose_long_names_begin_alike_have_a_part_each() -> None:
    name = "customers-who-may-leave-within-the-next-quarter"
    found = split_bar({f"{name}-v1": 0.75, f"{name}-v2": 0.25})
    assert [float(rect.get("width", "0")) for rect in tree_of(found).iter("rect")] == [359.0, 119.0]


def test_a_problem_says_where_what_why_and_the_fix() -> None:
    found = problems([Problem("bad\nline 1\nline 2", "job/a@1", "since", "do so", Origin("a.yaml", 3, 4))])
    assert text_of(found) == "a.yaml:3:4 job/a@1 : bad line 1 line 2 why since fix do so"
    assert problems([]) == ""


def test_an_object_is_never_large() -> None:
    rows = [[f"job/{number}@1", "x" * 300] for number in range(1000)]
    drawn = fitted(lambda most: page(table([], rows[:most]), left_out(len(rows) - most, "rows")), len(rows))
    assert len(drawn.encode()) <= MOST_BYTES
    assert "more rows" in text_of(drawn)
    assert len(list(tree_of(drawn).iter("tr"))) > 60
    assert "too large" in text_of(fitted(lambda _most: page("x" * 100_000), 100))


def test_a_page_looks_after_itself() -> None:
    found = page(element("p", "x"))
    assert found.startswith('<div class="sagespec"><style>')
    assert "light-dark(" in found
    assert "http" not in found
    assert " style=" not in page(curves({"a": [(0, 1), (1, 2)]}), split_bar({"a": 1.0}), table(["A"], [["1"]]))
