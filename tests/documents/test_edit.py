"""A field of a spec is changed where it stands, and nothing else of the file is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.documents.edit import Edit, edited, value_from
from sagespec.errors import SpecError

# -- 200 generated files: each is written twice, with the old value and with the new one

COMMENTS = ("", "  # raised by ada", " # 100 % über-ß 🎯, see #12", '  # "version: 3"')
NAMES = ("churn", '"churn"', "'churn'")
ABOVE = ("", "# version: 1 was the first\n", "\n", "# ---\n\n")
TEXTS = ("s3://acme/train/", "a b", "'single: quoted'", '"double # quoted"', '"\\u00e4"', "'it''s'", "ünï", "🎯 x")


@dataclass(frozen=True)
class File:
    """before and after the value in the place of SLOT changes."""

    template: str
    number: int

    def text(self, version: int) -> str:
        return self.template.replace("SLOT", str(version))


@st.composite
def files(draw: st.DrawFn) -> File:
    """Files of several documents, in blocks and in braces, with comments, quotes, anchors and either line break."""
    count = draw(st.integers(1, 3))
    number = draw(st.integers(0, count - 1))
    documents = [draw(job_documents(is_mine=index == number)) for index in range(count)]
    head = draw(st.sampled_from(("", "---\n", "# a file\n", "%YAML 1.2\n---\n")))
    text = head + "---\n".join(documents) + draw(st.sampled_from(("", "...\n", "# the end", "\n\n")))
    return File(text.replace("\n", draw(st.sampled_from(("\n", "\r\n")))), number)


@st.composite
def job_documents(draw: st.DrawFn, *, is_mine: bool) -> str:
    slot = draw(st.sampled_from(("SLOT", "&v SLOT"))) if is_mine else "7"
    comment, above = (st.sampled_from(COMMENTS), st.sampled_from(ABOVE))
    text = st.sampled_from(TEXTS)
    name = draw(st.sampled_from(("version", '"version"', "'version'")))
    gap = draw(st.sampled_from((" ", "   ")))
    if draw(st.integers(0, 4)) == 0:
        body = f"{{kind: TrainingJob, name: churn, {name}:{gap}{slot}, note: {draw(st.sampled_from(TEXTS[:4]))}"
        return body.replace("s3://acme/train/", '"s3://acme/train/"') + draw(st.sampled_from(("}\n", ",\n }\n")))
    lines = [
        f"{name}:{gap}{slot}{draw(comment)}\n",
        f"kind: TrainingJob{draw(comment)}\n",
        f"name: {draw(st.sampled_from(NAMES))}{draw(comment)}\n",
        f"note: |\n  version: 1\n  {draw(st.sampled_from(('x', 'ü 🎯', '# no comment')))}\n\n",
        f"channels:{draw(comment)}\n  train: {draw(text)}{draw(comment)}\n  version: 5\n",
        f"list:\n- {draw(text)}\n- {{version: 9, a: [1, 2]}}{draw(comment)}\n",
        f"long: >-\n   folded {draw(st.sampled_from(('version: 2', 'text')))}\n   over lines\n",
        f"plain: of several\n  lines{draw(comment)}\n",
    ]
    return "".join(draw(above) + line for line in draw(st.permutations(lines)))


@settings(max_examples=200, deadline=None)
@given(files(), st.integers(1, 10**6), st.integers(1, 10**6))
def test_raising_a_version_changes_its_number_and_nothing_else(file: File, old: int, new: int) -> None:
    assert edited(file.text(old), "churn.yaml", file.number, [Edit(("version",), new)]) == file.text(new)


# -- one by one


@pytest.mark.parametrize(
    ("before", "field", "value", "after"),
    [
        ("eta: 0.1 # slow\n", "eta", "1e-3", "eta: 0.001 # slow\n"),
        ("eta: '0.1'\n", "eta", "0.2", "eta: '0.2'\n"),
        ('objective: "a:b"  # x\n', "objective", "c:d", 'objective: "c:d"  # x\n'),
        ("a: {n: 1, m: 2}\n", "a.n", "5", "a: {n: 5, m: 2}\n"),
        ("a: {n: 1}\n", "a.m", "5", "a: {n: 1, m: 5}\n"),
        ("a: {n: 1, # one\n }\n", "a.m", "5", "a: {n: 1, m: 5, # one\n }\n"),
        ("a: {}\n", "a.m", "x: y", "a: {m: {x: y}}\n"),
        ("a:\n", "a.m", "5", "a: {m: 5}\n"),
        ("a:  # none yet\nb: 1\n", "a.m", "5", "a: {m: 5}  # none yet\nb: 1\n"),
        ("b: 1", "a.m.k", "5", "b: 1\na: {m: {k: 5}}"),
        ("a:\n  n: 1  # one\n\n# about b\nb: 2\n", "a.m", "5", "a:\n  n: 1  # one\n  m: 5\n\n# about b\nb: 2\n"),
        ("a:\n  n: |\n    text\nb: 2\n", "a.m", "5", "a:\n  n: |\n    text\n  m: 5\nb: 2\n"),
        ("l:\n- {n: a}  # one\n# end\n", "l.1", "{n: b, w: 1}", "l:\n- {n: a}  # one\n- {n: b, w: 1}\n# end\n"),
        ("l:\n  - n: a\n    m: x\nz: 1\n", "l.1", "{n: b}", "l:\n  - n: a\n    m: x\n  - {n: b}\nz: 1\n"),
        ("l: [a, b]\n", "l.2", "c", "l: [a, b, c]\n"),
        ("l:\n  - n: a  # first\n    m: x@1\n", "l.0.m", "x@2", "l:\n  - n: a  # first\n    m: x@2\n"),
    ],
)  # fmt: skip
def test_a_field_is_set_where_a_person_would_set_it(before: str, field: str, value: str, after: str) -> None:
    path: tuple[Any, ...] = tuple(int(step) if step.isdecimal() else step for step in field.split("."))
    assert edited(before, "a.yaml", 0, [Edit(path, value_from(value))]) == after


@pytest.mark.parametrize(
    ("text", "field", "part"),
    [
        ("v: &v 3\nw: {n: *v}\n", "w.n", "repeated by an alias"),
        ("a: |\n  text\n", "a", "written over several lines"),
        ("a:\n  b: 1\n", "a", "written over several lines"),
        ("train: s3://a/b\n", "train.source", "short form"),
    ],
)
def test_what_cannot_be_changed_safely_is_left_to_a_person(text: str, field: str, part: str) -> None:
    with pytest.raises(SpecError) as refused:
        edited(text, "a.yaml", 0, [Edit(tuple(field.split(".")), 5)])
    (problem,) = refused.value.problems
    assert part in problem.why
    assert problem.fix == "edit the file by hand"
    assert problem.where is not None
    assert problem.where.file == "a.yaml"
