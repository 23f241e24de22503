"""What `load` accepts, and what it says of everything else.

Every file in tests/cases/load is one typical mistake; the text beside it (.txt) is all that `load` says of
it. For a new case, write the .yaml, run with SAGESPEC_WRITE_CASES=1, and read what came out.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.errors import Origin, SpecError
from sagespec.load.files import LARGEST_FILE
from sagespec.load.load import find_root, load
from sagespec.load.loaded import Loaded
from sagespec.load.reading import Reading
from sagespec.load.references import unresolved_models
from sagespec.spec.endpoint import Endpoint
from sagespec.spec.job import TrainingJob
from tests.mutations import complaint

CASES = sorted((Path(__file__).parents[1] / "cases" / "load").glob("*.yaml"))
PROJECT = "apiVersion: sagespec/v1\nkind: Project\nname: demo\n"
JOB = """\
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 3
algorithm: xgboost
hyperparameters: {objective: "binary:logistic", num_round: 200}
channels:
  train: {source: s3://acme/train/}
  validation: ./validation.csv
"""
ENDPOINT = """\
apiVersion: sagespec/v1
kind: Endpoint
name: churn
variants:
  - {name: stable, model: churn@2, weight: 90}
  - name: candidate
    model: churn@3
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sagespec.yaml").write_text(PROJECT)
    (tmp_path / "specs").mkdir()
    return tmp_path


def write(root: Path, name: str, text: str | bytes) -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def load_specs(root: Path, text: str | bytes) -> Loaded:
    write(root, "specs/a.yaml", text)
    return load([Path("specs")], root, check_paths=False)


def refusal(root: Path, *paths: str, check_paths: bool = True) -> str:
    with pytest.raises(SpecError) as caught:
        load([Path(path) for path in paths or ["specs"]], root, check_paths=check_paths)
    return str(caught.value)


# -- mistakes and what is said of them -------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, root: Path) -> None:
    write(root, case.name, case.read_bytes())
    said = refusal(root, case.name).replace(str(root), "<root>") + "\n"
    expected = case.with_suffix(".txt")
    if os.environ.get("SAGESPEC_WRITE_CASES"):
        expected.write_text(said)
    assert said == expected.read_text()


# -- what is accepted ------------------------------------------------------------------------------


def test_documents_become_specs_sorted_by_place(root: Path) -> None:
    write(root, "specs/b.yml", ENDPOINT)
    write(root, "specs/a/deep.yaml", f"# two\n---\n{JOB}---\n{JOB.replace('version: 3', 'version: 4')}")
    loaded = load([Path("specs")], root, check_paths=False)
    assert [(str(item.address), str(item.origin)) for item in loaded.specs] == [
        ("job/churn@3", "specs/a/deep.yaml:3:1"),
        ("job/churn@4", "specs/a/deep.yaml:13:1"),
        ("endpoint/churn", "specs/b.yml:1:1"),
    ]
    assert loaded.project.name == "demo"
    assert loaded.project_origins["name"] == Origin("sagespec.yaml", 3, 7)
    assert loaded.files == ("specs/a/deep.yaml", "specs/b.yml")


def test_every_field_has_its_place(root: Path) -> None:
    job, endpoint = load_specs(root, f"{JOB}---\n{ENDPOINT}").specs
    assert job.origins["hyperparameters.num_round"] == Origin("specs/a.yaml", 6, 60)
    assert job.origins["channels"] == Origin("specs/a.yaml", 7, 1)
    assert job.origins["channels.train.source"] == Origin("specs/a.yaml", 8, 19)
    assert job.origin_of("channels.validation.source") == job.origins["channels.validation"]
    assert job.origin_of("resources.memory") == job.origin
    assert endpoint.origins["variants.1.model"] == Origin("specs/a.yaml", 17, 12)
    assert len(job.origins) == len(list(job.origins)) == 12


def test_short_form_of_a_channel_is_its_source(root: Path) -> None:
    (item,) = load_specs(root, JOB).specs
    assert isinstance(item.spec, TrainingJob)
    assert item.spec.channels["validation"].source == "./validation.csv"
    assert item.local_path("./validation.csv") == root / "specs" / "validation.csv"
    assert item.local_path("file:///data/x") == Path("/data/x")
    assert item.local_path("s3://acme/x") is None


def test_numbers_and_words_are_read_as_yaml_1_2_has_them(root: Path) -> None:
    (item,) = load_specs(
        root, JOB.replace("num_round: 200", 'a: 1e-3, b: 0x1F, c: .5, d: -0, f: "010", g: False, h: 1.2.3, i: -')
    ).specs
    assert isinstance(item.spec, TrainingJob)
    values = {name: value for name, value in item.spec.hyperparameters.items() if name != "objective"}
    assert values == {"a": 0.001, "b": 31, "c": 0.5, "d": 0, "f": "010", "g": False, "h": "1.2.3", "i": "-"}


def test_an_alias_takes_over_a_whole_value(root: Path) -> None:
    shared = ENDPOINT.replace("weight: 90", "resources: &small {cpus: 1}").replace(
        "churn@3\n", "churn@3\n    resources: *small\n"
    )
    (item,) = load_specs(root, shared).specs
    assert isinstance(item.spec, Endpoint)
    assert item.spec.variants[1].resources == item.spec.variants[0].resources


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "# nothing\n", "---\n---\n", "null\n", "\ufeff"],
    ids=["empty", "blank", "comment", "two", "null", "mark"],
)
def test_an_empty_file_is_fine_and_named(root: Path, text: str) -> None:
    loaded = load_specs(root, text)
    assert (loaded.specs, loaded.files) == ((), ("specs/a.yaml",))


def test_line_ends_and_byte_order_mark_do_not_matter(root: Path) -> None:
    (item,) = load_specs(root, b"\xef\xbb\xbf" + JOB.replace("\n", "\r\n").encode()).specs
    assert item.origins["version"] == Origin("specs/a.yaml", 4, 10)


def test_local_data_is_looked_for_beside_the_spec(root: Path) -> None:
    write(root, "specs/a.yaml", JOB)
    assert "specs/a.yaml:9:15 job/churn@3: channels.validation.source" in refusal(root)
    write(root, "specs/validation.csv", "1,2\n")
    assert load([Path("specs")], root).specs


# -- files -----------------------------------------------------------------------------------------


def test_hidden_and_other_files_are_not_read(root: Path) -> None:
    for name in ("specs/.hidden.yaml", "specs/.git/x.yaml", "specs/notes.txt", "specs/x.yaml.swp"):
        write(root, name, "{")
    assert load([Path("specs")], root).files == ()


def test_a_folder_may_be_named_like_a_file(root: Path) -> None:
    write(root, "specs/x.yaml/y.yaml", JOB)
    assert load([Path("specs")], root, check_paths=False).files == ("specs/x.yaml/y.yaml",)


def test_a_file_reached_twice_is_read_once(root: Path) -> None:
    file = write(root, "specs/a.yaml", JOB)
    (root / "specs" / "link.yaml").symlink_to(file)
    assert len(load([Path("specs"), file, Path("specs/a.yaml")], root, check_paths=False).specs) == 1


def test_sagespec_yaml_among_the_specs_is_no_spec(root: Path) -> None:
    write(root, "a.yaml", JOB)
    assert load([Path()], root, check_paths=False).files == ("a.yaml",)


def test_files_outside_the_root_are_named_in_full(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = write(tmp_path_factory.mktemp("elsewhere"), "a.yaml", JOB)
    assert load([file], root, check_paths=False).files == (str(file),)


def test_a_spec_whose_ending_is_in_capitals_is_told(root: Path) -> None:
    write(root, "specs/UP.YAML", JOB)
    write(root, "specs/data.YML", "no: spec\n")
    assert refusal(root) == "specs/UP.YAML:1:1 is not loaded: its name ends in .YAML\n  fix  rename it to UP.yaml"


def test_settings_by_another_name_are_named(tmp_path: Path) -> None:
    write(tmp_path, "sagespec.yml", PROJECT)
    (tmp_path / "below").mkdir()
    with pytest.raises(SpecError, match=r"sagespec\.yml is not looked at\n  fix  rename it to sagespec\.yaml"):
        find_root(tmp_path / "below")


def test_links_that_lead_nowhere_or_in_circles_are_told(root: Path) -> None:
    (root / "specs" / "dangling.yaml").symlink_to("nowhere.yaml")
    (root / "specs" / "self.yaml").symlink_to("self.yaml")
    (root / "specs" / "round").symlink_to(".", target_is_directory=True)
    said = refusal(root)
    assert "specs/dangling.yaml:1:1 is a link that leads nowhere: nowhere.yaml" in said
    assert "specs/self.yaml:1:1 is a link that leads nowhere: self.yaml" in said
    assert "specs/round:1:1 is a link to a folder that contains it" in said


def test_what_is_no_readable_file_is_told(root: Path) -> None:
    os.mkfifo(root / "specs" / "pipe.yaml")
    with write(root, "specs/huge.yaml", b"").open("wb") as file:
        file.truncate(100 * 2**20)
    said = refusal(root, "specs", "gone.yaml", "gone/")
    assert "specs/pipe.yaml:1:1 is not a file" in said
    assert f"specs/huge.yaml:1:1 has 104,857,600 bytes, and a spec file may have {LARGEST_FILE:,}" in said
    assert "gone.yaml:1:1 does not exist" in said
    assert "gone:1:1 does not exist" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told(root: Path) -> None:
    write(root, "specs/a.yaml", JOB).chmod(0)
    assert "specs/a.yaml:1:1 cannot be read: Permission denied" in refusal(root)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("name: é".encode("latin-1"), "1:7 the byte 0xe9 is not UTF-8"),
        ("a: 1\nname: é".encode("utf-16"), "1:1 is written in UTF-16"),
        (b"a: 1\n  \x00", "2:3 the character U+0000 is not allowed in YAML"),
        (b"\xef\xbb\xbfa: \x07", "1:4 the character U+0007 is not allowed in YAML"),
        (b"\xef\xbb\xbfa: \xff", "1:4 the byte 0xff is not UTF-8"),
    ],
    ids=["latin-1", "utf-16", "nul", "bell", "after a mark"],
)
def test_what_is_not_text_is_told_with_its_place(root: Path, data: bytes, said: str) -> None:
    write(root, "specs/a.yaml", data)
    assert f"specs/a.yaml:{said}" in refusal(root)


# -- the project -----------------------------------------------------------------------------------


def test_the_root_is_the_nearest_folder_with_sagespec_yaml(root: Path) -> None:
    (root / "specs" / "deep").mkdir()
    assert find_root(root / "specs" / "deep") == root
    write(root, "specs/sagespec.yaml", PROJECT)
    assert find_root(root / "specs" / "deep") == root / "specs"


def test_no_root_tells_of_init(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="sagespec init"):
        find_root(tmp_path)
    assert "there is no sagespec.yaml" in refusal(tmp_path, ".")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sagespec.yaml:1:1 holds no document"),
        (f"{PROJECT}---\n{PROJECT}", "sagespec.yaml:5:1 sagespec.yaml holds one document"),
        (f"{PROJECT}---\n{JOB}", "move this document to a file under specs/"),
        (PROJECT.replace("demo", "de mo"), 'sagespec.yaml:3:7 Project: name: "de mo" is not a name'),
        (f"{PROJECT}gateway: {{port: 99999}}\n", "gateway.port is 99999, but must be at most 65,535"),
        (f"{PROJECT}runtim: docker\n", 'did you mean "runtime"?'),
    ],
    ids=["empty", "two", "a job too", "name", "port", "misspelt"],
)
def test_wrong_settings_are_told(root: Path, text: str, said: str) -> None:
    write(root, "sagespec.yaml", text)
    assert said in refusal(root)


def test_a_wrong_project_does_not_hide_wrong_specs(root: Path) -> None:
    write(root, "sagespec.yaml", "{")
    write(root, "specs/a.yaml", JOB.replace("version: 3", "version: 0"))
    assert [line.split()[0] for line in refusal(root, check_paths=False).splitlines() if line[0] != " "] == [
        "sagespec.yaml:1:2",
        "specs/a.yaml:4:10",
    ]


# -- references ------------------------------------------------------------------------------------


def test_models_no_spec_makes_are_listed_with_the_nearest(root: Path) -> None:
    loaded = load_specs(root, f"{JOB}---\n{ENDPOINT}---\n{ENDPOINT.replace('churn@', 'chrn@').replace('churn', 'eu')}")
    assert [(str(address), str(problem)) for problem, address in unresolved_models(loaded)] == [
        (
            "job/churn@2",
            "specs/a.yaml:15:27 endpoint/churn: variants.0.model is churn@2, but no spec defines that job, "
            "and no trained model of that name is known\n"
            "  why  the specs define churn@3\n"
            "  fix  add a TrainingJob with name: churn and version: 2, or name another model",
        ),
        *(
            (
                f"job/chrn@{version}",
                f"specs/a.yaml:{place} endpoint/eu: variants.{index}.model is chrn@{version}, but no spec defines "
                f'that job, and no trained model of that name is known\n  fix  did you mean "churn"?',
            )
            for index, version, place in ((0, 2, "23:27"), (1, 3, "25:12"))
        ),
    ]


# -- hostile input ---------------------------------------------------------------------------------


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "the file holds more than 200,000 values, counting what aliases repeat"),
        ("[" * 10_000, "nests more than 50 levels deep"),
        ("- " * 1_000_000, "nests more than 50 levels deep"),
        ("{a: " * 10_000, "nests more than 50 levels deep"),
        ("&a [*a, *a]", "nests more than 50 levels deep"),
        ("- x\n" * 1_000_000, "the file holds more than 200,000 values"),
        ("a: " + "9_" * 2_000_000, "kind is missing"),
        ("a: " + "9" * 4_000_000, "is too large for a number"),
        ("a" * 4_000_000, "the document is"),
        ("".join(f"{n}: 1\n" for n in range(50_000)), "the file has more problems than listed here"),
        (JOB + "".join(f"x{n}: 1\n" for n in range(90_000)), "and 89,950 more problems in this document"),
        (JOB + "".join(f"? {'x' * 1000}{n}\n: 1\n" for n in range(3_000)), "and 2,950 more problems in this document"),
        (JOB.replace("churn", "c" + "-" * 3_000_000), "is not a name"),
    ],
    ids=[
        "billion laughs",
        "brackets",
        "dashes",
        "braces",
        "alias in itself",
        "many values",
        "long text of digits",
        "long number",
        "long text",
        "many wrong names",
        "many unknown fields",
        "many long fields",
        "long name",
    ],
)
def test_hostile_files_are_refused_soon(root: Path, text: str, said: str) -> None:
    write(root, "specs/a.yaml", text)
    start = time.process_time()
    assert said in refusal(root, check_paths=False)
    assert time.process_time() - start < 4  # a tenth of that on an idle machine


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_accepted_or_refused_with_a_place(data: bytes) -> None:
    complaint(data)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=" \t\n-:{}[]&*!|>'\"%@#,?a1~.", max_size=80))
def test_arbitrary_yaml_is_accepted_or_refused_with_a_place(text: str) -> None:
    complaint(text.encode())


def test_libyaml_is_used_where_it_is_there() -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.__with_libyaml__, "without libyaml loading is ten times slower"


def test_a_thousand_endpoints_load_quickly(root: Path) -> None:
    text = "---\n".join(ENDPOINT.replace("name: churn", f"name: churn-{n}") for n in range(1000))
    write(root, "specs/a.yaml", text)
    start = time.process_time()
    assert len(load([Path("specs")], root).specs) == 1000
    assert time.process_time() - start < 2  # some 0.1 s on an idle machine


def test_reading_can_be_given_up_half_way() -> None:
    next(Reading("a: 1\n---\n{", "x").documents())
