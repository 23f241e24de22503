"""Channels whose columns have names: how each mistake in them reads."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from toolkit.columns import Wanted
from toolkit.errors import ClientError

from tests.images.named_columns import (
    CHURN,
    SMALL,
    Y,
    as_csv,
    as_parquet,
    as_zip,
    load,
    loans,
    with_columns,
    with_index,
)


@pytest.mark.parametrize(
    ("image", "settings", "problem"),
    [
        (
            "xgboost",
            {"num_round": 1, "objective": "binary:logistic"},
            "there are 3 classes, 'Yes', 'no', 'yes', and label 2 does not fit binary:logistic, it must be from 0 to "
            "1; do Yes and yes mean the same?",
        ),
        ("xgboost", {"num_round": 1, "objective": "multi:softmax"}, "go from 0 to 2: num_class: 3"),
        (
            "lightgbm",
            {"objective": "binary"},
            "label 2 does not fit binary, it must be from 0 to 1; do Yes and yes",
        ),
        ("linear-learner", {"predictor_type": "binary_classifier"}, "do Yes and yes mean the same?"),
    ],
)
def test_classes_that_are_too_many_are_named(make_tree: Any, image: str, settings: Any, problem: str) -> None:
    tree = with_columns(make_tree(image, settings, {"train": "a,y\n1,yes\n2,Yes\n3,no\n"}), {"target": "y"})
    assert tree.train()[0] == 1
    assert problem in tree.failure


@pytest.mark.parametrize(
    ("files", "wanted", "problem"),
    [
        ({"train/t.csv": "a,defaulted\n1,0\n"}, Wanted("default"), "there is no column 'default', which target names; "
         "did you mean 'defaulted'?"),
        ({"train/t.csv": "loan_id,a,y\n1,1,0\n"}, Wanted("y", ("loan_ID",)), "did you mean 'loan_id'?"),
        ({"train/t.csv": SMALL}, Wanted(None), "name their column in the spec, as target: y"),
        ({"train/t.csv": "1,2,0\n3,4,1\n"}, Y, "t.csv:1: target names 'y', but the first line "
         "holds values: '1', '2', '0'; does the file have no header line? Put one in front"),
        ({"train/t.csv": "LN-1,car,CA,9,0\nLN-2,bus,CA,8,1\n"}, Wanted("default"), "'LN-1', 'car', 'CA', …;"),
        ({"train/t.csv": "x,s,x,p\nx,y,x,e\n"}, Wanted("class"), "does the file have no header line?"),
        ({"train/t.csv": "2019,2020,default\n1,2,0\n"}, Wanted("defaul"), "did you mean 'default'?"),
        ({"train/t.csv": "a,a,y\n1,2,0\n"}, Y, "t.csv:1: columns 1 and 2 are both called 'a'"),
        ({"train/t.csv": ",a,y\n0,2,0\n"}, Y, "t.csv:1: column 1 has no name"),
        ({"train/t.csv": "a,y\n1,0\n"}, Wanted("y", ("a",)), "no column is left to learn from"),
        ({"train/t.csv": ""}, Y, "t.csv:1: the file is empty"),
        ({"train/t.csv": "a,y\n"}, Y, "channel train has no rows below its header line"),
        ({"train/t.csv": "a,y\n,0\n"}, Y, "channel train: column 1 (a): all its values are missing"),
        ({"train/t.csv": "a,b,y\n1,2,0\n\n3,1\n"}, Y, "t.csv:4: 2 fields, but the header line names 3 columns"),
        ({"train/t.csv": 'a,y\n1,0\n"2,1\n3,1\n'}, Y, "t.csv:3: cannot be read as CSV"),
        ({"train/t.csv": b"a,y\n1,0\n\xfc,1\n"}, Y, "t.csv:3: the text is not UTF-8"),
        ({"train/t.csv": "a,y\n1,0\n".encode("utf-16")}, Y, "t.csv:1: the file is UTF-16 text; save it as UTF-8 (Exc"),
        ({"train/t.csv": as_zip("[Content_Types].xml", "xl/workbook.xml")}, Y, "t.csv:1: the file is an Excel workbook;"
         " save it as CSV UTF-8"),
        ({"train/t.parquet": as_zip("docProps/app.xml", "xl/theme/theme1.xml")}, Y, "t.parquet: row 1: not a Parquet "
         "file, but an Excel workbook; save it as CSV UTF-8"),
        ({"train/t.csv": as_zip("table.csv")}, Y, "the file is a zip archive; unpack it"),
        ({"train/t.csv": "a,y\n1,0\n1_000,1\n"}, Y, "t.csv:3, column 1 (a): '1_000' is not a number, and other rows"),
        ({"train/t.csv": "a;b;y\n1;0.5;0\n1,5;2;1\n"}, Y, "t.csv: column 1 (a) has decimal commas, but column 2 (b) "
         "has points, '0.5'; write all numbers with decimal points"),
        ({"train/t.csv": "a;y\n1;0\n1,500;1\n"}, Y, "t.csv has numbers that cannot be read: column 1 (a): '1', '1,500' "
         "(a comma in a number; write 1.500, or 1500 if it separates thousands)"),
        ({"train/t.csv": 'a,b,c,d,y\n"43,0","36,988.81",$1,12 %,0\n"4,5","1,500",$2,13 %,0\n'}, Y, "column 1 (a): "
         "'43,0', '4,5' (a decimal comma; write 43.0); column 2 (b): '36,988.81', '1,500' (a separator of thousands; "
         "write 36988.81); column 3 (c): '$1', '$2' (a currency sign; write 1); column 4 (d): '12 %', '13 %' "
         "(a percent sign; write 12)"),
        ({"train/t.csv": 'a,b,y\n"1,5",u,0\n'}, Y, "write 1.5). Also, it has text where numbers are expected: "
         "column 2 (b): 'u'. In the spec"),
        ({"train/t.csv": "d,y\n" + "2020-01-01,0\n" * 9}, Y, "under drop: drop: [d]"),
        ({"train/t.parquet": as_parquet(d=pyarrow.array([0], pyarrow.timestamp("us")), y=[0])}, Y, "t.parquet has "
         "dates where numbers are expected: column 1 (d): '1970-01-01 00:00:00'. In the spec, beside "
         "target, name each such column under drop (to learn from a date, write it as a number, such as "
         "its year): drop: [d]"),
        ({"train/t.csv": "a,y\n1,0\ninf,1\n"}, Y, "t.csv:3, column 1 (a) is inf, not a finite number"),
        ({"train/t.csv": "a,y\n1,0\n2,\n"}, Y, "t.csv:3, column 2 (y): the label is missing"),
        ({"train/t.csv": "a,y\n1,0\n2,n/a\n"}, Y, "t.csv:3, column 2 (y): the label 'n/a' is not a number, but other"),
        ({"train/t.csv": SMALL, "train/u.csv": "a,c,y\n"}, Y, "u.csv: there is no column 'b', which the first"),
        ({"train/t.csv": SMALL, "train/u.csv": "a,b,c,y\n"}, Y, "the first training file has no column 'c'"),
        ({"train/t.csv": SMALL, "validation/v.csv": "y,A,c\n1,2,3\n"}, Y, "channel validation: v.csv: there are "
         "no columns 'a', 'b', which the first training file has; did you mean 'A'?"),
        ({"train/t.csv": SMALL, "validation/v.csv": "a,b\n1,2\n"}, Y, "there is no column 'y'"),
        ({"train/t.csv": "a,y\n1,u\n2,v\n", "validation/v.csv": "a,y\n1,w\n"}, Y, "channel validation: the label 'w' "
         "is not in the training data, where there are only u, v"),
        ({"train/t.csv": SMALL, "validation/v.csv": "a,b,y\n1,2,no\n"}, Y, "where there are only numbers"),
        ({"train/t.csv": "c,y\n" + "".join(f"v{n},0\n" for n in range(1002))}, Wanted("y", (), ("c",)),
         "column 1 (c): more than 1,000 different values, such as 'v0', 'v1', 'v2' and 999 more; drop it, or"),
        ({"train/t.csv": "c,y\n" + "".join(f"{n},0\n" for n in range(1002))}, Wanted("y", (), ("c",)),
         "take it out of categorical, to learn from its numbers"),
        ({"train/t.csv": "a,y\n" + "".join(f'1,"{n},5"\n' for n in range(1002))}, Y,
         "column 2 (y): more than 1,000 different values, such as '0,5', '1,5', '2,5' and 999 more; these look like "
         "numbers with a decimal comma; write 0.5"),
        ({"train/t.csv": "a,y\n" + "1,\n" * 9}, Y, "t.csv:2, column 2 (y): the label is missing in 9 rows, also in "
         "3, 4, 5, 6 and 4 more; correct them"),
        ({"train/t.csv": "a,y\n1,yes\n1,no\n", "validation/v.csv": "a,y\n1,True\n"}, Y,
         "channel validation: labels are numbers, or True and False, but in training they are no, yes"),
        ({"train/t.parquet": with_index(y=[0])}, Wanted("id"), "t.parquet: 'id', which target names, is the index of "
         "pandas, which is not read"),
        ({"train/t.csv": "id,y\n1,0\n", "validation/v.csv": "y\n0\n"}, Y, "there is no column 'id'"),
        ({"train/t.json": '[{"a": 1, "y": 0}]'}, Y, "t.json is JSON by its name; write it as CSV or Parquet"),
        ({"train/t.csv": SMALL, "train/u.parquet": b""}, Y, "by their names, its files mix Parquet (u.parquet) and CSV "
         "(t.csv); keep one kind"),
        ({"train/t.jsonl": SMALL}, Y, "the columns of application/jsonlines have no names that target"),
        ({"train/t.parquet": SMALL}, Y, "t.parquet: row 1: not a Parquet file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_mistake_is_named_in_the_words_of_the_file(tmp_path: Path, files: Any, wanted: Wanted, problem: str) -> None:
    with pytest.raises(ClientError) as error:
        load(tmp_path, files, wanted)
    assert problem in str(error.value)


def test_a_target_in_some_files_alone_is_refused(tmp_path: Path) -> None:
    files = {"train/a.csv": SMALL, "test/a.csv": SMALL, "test/b.csv": "a,b\n1,2\n"}
    with pytest.raises(ClientError, match=r"channel test: some files have column 3 \(y\), the target, and some do not"):
        load(tmp_path, files, Y, needs_labels=False)


def test_damaged_files_give_numbers_or_a_reason(tmp_path: Path) -> None:
    whole = b'id,c,a,y\n1,"u, v",2.5,no\r\n2,w,,yes\n3,"a ""b""",1e3,no\n"4\n",w,-1,yes\n'
    bits = (b",", b'"', b"\n", b"\r", b"nan", b"inf", b"1e999", b";", b"\x00", b"\xff", b"_", b"9" * 30)
    chance = random.Random(5)
    read = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 2, 5))):
            start = chance.randrange(len(damaged) + 1)
            damaged[start : start + chance.randrange(4)] = chance.choice((b"", *bits))
        with suppress(ClientError):
            tables, _ = load(tmp_path, {"train/t.csv": bytes(damaged)}, Wanted("y", ("id",), ("c",)))
            assert np.isfinite(tables["train"].features).all()
            assert np.isfinite(tables["train"].labels).all()
            read += 1
    assert 20 < read < 380


def test_columns_of_text_are_named_all_at_once_with_what_to_write(tmp_path: Path) -> None:
    rows = "".join(f"LN-{row},{['rent', 'own'][row % 2]},{row},0\n" for row in range(100))
    with pytest.raises(ClientError) as error:
        load(tmp_path, {"train/loans.csv": f'loan_id,"home: now",fico,y\n{rows}'}, Y)
    assert str(error.value) == (
        "channel train: loans.csv has text where numbers are expected: column 1 (loan_id): 'LN-0', 'LN-1', 'LN-2' and "
        "97 more; column 2 (home: now): 'rent', 'own'. In the spec, beside target, name each such column under "
        'categorical, to learn from it, or under drop: categorical: ["home: now"], drop: [loan_id]'
    )


def test_what_is_wrong_on_one_host_ends_both_with_it(make_tree: Any, run_hosts: Any) -> None:
    lines = loans(40)
    broken = [*lines[20:], "LN-9,car,CA,many,1,0"]
    hosts = ("algo-1", "algo-2")
    trees = [
        with_columns(make_tree("xgboost", CHURN, {"train": as_csv(part)}, host=host, hosts=hosts))
        for host, part in zip(hosts, (lines[:20], broken), strict=True)
    ]
    assert [code for code, _ in run_hosts(trees)] == [1, 1]
    problem = "algo-2: channel train: part-0:22, column 4 (income): 'many' is not a number, and other rows hold numbers"
    assert all(problem in tree.failure for tree in trees)


QUANTITIES = {
    "xgboost": {"num_round": 1},
    "lightgbm": {"objective": "huber"},
    "linear-learner": {"predictor_type": "regressor"},
    "knn": {"k": 1, "predictor_type": "regressor", "sample_size": 9},
    "factorization-machines": {"num_factors": 2, "predictor_type": "regressor"},
}


@pytest.mark.parametrize("image", QUANTITIES)
def test_text_is_no_quantity(make_tree: Any, image: str) -> None:
    tree = with_columns(make_tree(image, QUANTITIES[image], {"train": as_csv(loans(20, classes=("no", "yes")))}))
    assert tree.train()[0] == 1
    problem = r"channel train: column 6 \(defaulted\): labels are text, as 'no', 'yes', but (\w+)=\S+ learns quantities"
    assert re.search(problem, tree.failure), tree.failure
