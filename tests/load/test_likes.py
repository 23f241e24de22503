"""`like`: a job is what it would be written out, and each of its fields keeps its place."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from sagespec.errors import Origin, SpecError
from sagespec.load.load import load
from sagespec.load.loaded import Loaded, LoadedSpec
from sagespec.resolve.builtins import describe_images
from sagespec.resolve.resolve import resolve
from sagespec.runtimes.choose import images_dir
from sagespec.spec.job import TrainingJob
from sagespec.state.desired import DesiredJob

HEAD = "apiVersion: sagespec/v1\nkind: TrainingJob\n"
BASE = """\
name: loans
version: 1
algorithm: xgboost
hyperparameters: {objective: "reg:squarederror", num_round: 20, eta: 0.3}
channels:
  train: {source: train.csv, content_type: text/csv}
  validation: validation.csv
resources: {cpus: 1}
environment: {A: "1", B: "2"}
metrics: [{name: a, regex: "a=(.*)"}, {name: b, regex: "b=(.*)"}]
checkpoints: true
stopping: {max_runtime: 1h}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: demo\n")
    (tmp_path / "specs").mkdir()
    for name in ("train.csv", "validation.csv", "other.csv"):
        (tmp_path / "specs" / name).write_text("1,2\n")
    return tmp_path


def written(root: Path, **files: str) -> Loaded:
    """What these files of specs/ say, each of documents that stand apart by ---."""
    for name, text in files.items():
        documents = (HEAD + dedent(document).lstrip("\n") for document in text.split("---\n"))
        (root / "specs" / f"{name}.yaml").write_text("---\n".join(documents))
    return load([Path("specs")], root)


def refused(root: Path, **files: str) -> str:
    with pytest.raises(SpecError) as caught:
        written(root, **files)
    return str(caught.value)


def resolved(loaded: Loaded) -> dict[str, DesiredJob]:
    desired = resolve(loaded, root=loaded.root, images=describe_images(images_dir()), manifests={}, fingerprint=str)
    return {f"{job.name}@{job.version}": job for job in desired.jobs}


def second(loaded: Loaded) -> LoadedSpec:
    return next(item for item in loaded.specs if str(item.address) == "job/loans@2")


@pytest.mark.parametrize(
    ("own", "out"),
    [
        ("", ""),
        ("hyperparameters: {eta: 0.1}", "hyperparameters: {objective: 'reg:squarederror', num_round: 20, eta: 0.1}"),
        (
            "hyperparameters: {eta: null, max_depth: 3}",
            "hyperparameters: {objective: 'reg:squarederror', num_round: 20, max_depth: 3}",
        ),
        (
            "channels: {train: other.csv}",
            "channels: {train: {source: other.csv, content_type: text/csv}, validation: validation.csv}",
        ),
        (
            "channels: {validation: {content_type: text/csv}}",
            "channels: {train: {source: train.csv, content_type: text/csv}, "
            "validation: {source: validation.csv, content_type: text/csv}}",
        ),
        ("channels: {validation: null}", "channels: {train: {source: train.csv, content_type: text/csv}}"),
        ("resources: {memory: 1GiB}", "resources: {cpus: 1, memory: 1GiB}"),
        ("resources: null", "resources: {}"),
        ("environment: {B: '3', C: '4'}", "environment: {A: '1', B: '3', C: '4'}"),
        ("metrics: [{name: c, regex: 'c=(.*)'}]", "metrics: [{name: c, regex: 'c=(.*)'}]"),
        ("checkpoints: {path: /opt/ml/state}", "checkpoints: {path: /opt/ml/state}"),
        ("checkpoints: false", "checkpoints: false"),
        ("algorithm: null\nimage: mine:1", "algorithm: null\nimage: mine:1"),
        ("stopping: {max_wait: 2h}\nprotect: true", "stopping: {max_runtime: 1h, max_wait: 2h}\nprotect: true"),
    ],
)
def test_it_is_what_it_would_be_written_out(root: Path, own: str, out: str) -> None:
    like = written(root, a=BASE, b=f"name: loans\nversion: 2\nlike: loans@1\n{own}\n")
    fields = {line.partition(":")[0] for line in out.splitlines()} | {"name", "version"}
    kept, keeps = [], True
    for line in BASE.splitlines():
        keeps = keeps if line.startswith(" ") else line.partition(":")[0] not in fields
        kept += [line] if keeps else []
    by_hand = written(root, a=BASE, b="\n".join(["name: loans", "version: 2", *kept, out]) + "\n")
    assert second(like).spec == second(by_hand).spec
    mine, theirs = resolved(like)["loans@2"], resolved(by_hand)["loans@2"]
    assert (mine.key, mine.key_fields, mine.spec) == (theirs.key, theirs.key_fields, theirs.spec)
    assert "like" not in mine.spec


def test_a_chain_may_run_over_files_and_backwards(root: Path) -> None:
    loaded = written(
        root,
        a="name: loans\nversion: 3\nlike: loans@2\nhyperparameters: {max_depth: 3}\n",
        b="name: loans\nversion: 2\nlike: loans@1\nhyperparameters: {eta: 0.1, objective: null}\n",
        c=BASE,
    )
    assert resolved(loaded)["loans@3"].hyperparameters == {"num_round": 20, "eta": 0.1, "max_depth": 3}
    origins = loaded.specs[0].origins
    assert origins["hyperparameters.max_depth"] == Origin("specs/a.yaml", 6, 30)
    assert origins["hyperparameters.eta"] == Origin("specs/b.yaml", 6, 24)
    assert origins["hyperparameters.num_round"] == Origin("specs/c.yaml", 6, 61)
    assert origins["channels.train.source"] == Origin("specs/c.yaml", 8, 19)
    assert "hyperparameters.objective" not in origins


def test_paths_count_from_the_file_in_which_they_stand(root: Path) -> None:
    (root / "specs/deep").mkdir()
    (root / "specs/deep/own.csv").write_text("1,2\n")
    own = "name: loans\nversion: 2\nlike: loans@1\nchannels: {train: own.csv}\n"
    loaded = written(root, **{"a": BASE, "deep/b": own})
    sources = {channel.name: channel.source for channel in resolved(loaded)["loans@2"].channels}
    assert sources == {"train": "specs/deep/own.csv", "validation": "specs/validation.csv"}
    (root / "specs/validation.csv").unlink()
    assert refused(root).startswith(
        'specs/a.yaml:9:15 job/loans@1: channels.validation.source: "validation.csv" does not'
    )
    assert "loans@2" not in refused(root)


def test_what_is_wrong_is_told_where_it_stands_and_once(root: Path) -> None:
    own = "name: loans\nversion: 2\nlike: loans@1\nenvironment: {A: [1]}\n"
    assert "specs/b.yaml:6:18 job/loans@2: environment.A is a list" in refused(root, a=BASE, b=own)
    broken = BASE.replace("cpus: 1", "cpu: 1")
    said = refused(root, a=broken, b="name: loans\nversion: 2\nlike: loans@1\n")
    assert "resources.cpu is not a field" in said
    assert "loans@2" not in said


LINEAR = "name: loans\nversion: 2\nlike: loans@1\nalgorithm: linear-learner\n"
MISSING = """\
specs/b.yaml:{} job/loans@2: hyperparameters.predictor_type is missing
  why  linear-learner requires it: what the label is: 0 or 1, a class number, or a quantity
  fix  add predictor_type: binary_classifier"""


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            LINEAR,
            """\
specs/b.yaml:6:12 job/loans@2: hyperparameters objective, num_round, eta are not hyperparameters of linear-learner
  why  inherited from loans@1 (specs/a.yaml:6)
  fix  add hyperparameters: {objective: null, num_round: null, eta: null} to job/loans@2
"""
            + MISSING.format("6:12"),
        ),
        (
            LINEAR + "hyperparameters:\n  num_round: null\n  eta: null\n",
            """\
specs/b.yaml:7:1 job/loans@2: hyperparameters.objective is not one of linear-learner
  why  inherited from loans@1 (specs/a.yaml:6)
  fix  add objective: null to hyperparameters of job/loans@2
"""
            + MISSING.format("7:1"),
        ),
        (
            LINEAR.replace("linear-learner", "kmeans") + "hyperparameters: null\n",
            """\
specs/b.yaml:6:12 job/loans@2: channels.validation is not a channel of kmeans
  why  inherited from loans@1 (specs/a.yaml:9)
  fix  add channels: {validation: null} to job/loans@2
specs/b.yaml:7:18 job/loans@2: hyperparameters.k is missing
  why  kmeans requires it: number of clusters
  fix  add k: …""",
        ),
        (
            LINEAR.replace("linear-learner", "lightgbm") + "hyperparameters: {num_round: null, eta: null}\n",
            """\
specs/b.yaml:7:18 job/loans@2: hyperparameters.objective is reg:squarederror, but must be one of auto, regression, \
regression_l1, huber, fair, poisson, tweedie, binary, multiclass
  why  inherited from loans@1 (specs/a.yaml:6); auto: binary or multiclass if the labels are whole numbers from 0 up \
without gaps, otherwise regression
  fix  in job/loans@2, write another value or null""",
        ),
    ],
)
def test_what_does_not_fit_another_algorithm_is_told_at_the_own_line(root: Path, own: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        resolved(written(root, a=BASE, b=own))
    assert str(caught.value) == said


def test_what_the_algorithm_refuses_in_both_is_told_of_the_first(root: Path) -> None:
    wrong = BASE.replace("eta: 0.3", "eta: 3, ete: 1, zzz: 1, yyy: 1")
    with pytest.raises(SpecError) as caught:
        resolved(written(root, a=wrong, b="name: loans\nversion: 2\nlike: loans@1\n"))
    said = str(caught.value)
    assert (said.count("hyperparameters.eta is 3"), said.count("known are"), "loans@2" in said) == (1, 1, False)


def test_what_is_wrong_only_in_both_together_is_told_at_the_own_line(root: Path) -> None:
    script = "name: s\nversion: 1\nframework: sklearn\nentry_point: train.py\n"
    (root / "specs/train.py").write_text("")
    own = "name: s\nversion: 2\nlike: s@1\nframework: null\nalgorithm: xgboost\n"
    assert refused(root, a=script, b=own) == (
        "specs/b.yaml:5:7 job/s@2: entry_point: does not go with algorithm, which runs no script\n"
        "  why  entry_point is inherited from s@1 (specs/a.yaml:6)\n"
        "  fix  take it away with entry_point: null, or write another value"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_cannot_be_code_is_told_once_of_the_job_that_names_the_folder(root: Path) -> None:
    (root / "specs/code").mkdir()
    (root / "specs/code/train.py").write_text("")
    (root / "specs/code/gone").symlink_to("nowhere")
    base = "name: z\nversion: 1\nframework: sklearn\nentry_point: train.py\nsource_dir: code\n"
    others = "---\n".join(f"name: {name}\nversion: 1\nlike: z@1\n" for name in "abc")
    with pytest.raises(SpecError) as caught:
        resolved(written(root, a=base, b=others))
    assert [(p.about, str(p.where)) for p in caught.value.problems] == [("job/z@1", "specs/a.yaml:7:13")]
    (root / "specs/code/gone").unlink()
    assert str(resolved(load([Path("specs")], root))["a@1"].field_origins["code"]) == "specs/a.yaml:7:13"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("like: loan@1", "specs/b.yaml:5:7 job/loans@2: like is loan@1, but no spec defines that job\n  fix  did you"),
        ("like: loans@7", "but no spec defines that job\n  why  the specs define loans@1\n"),
        ("like: loans", "like is loans, but must be a job and its version\n  fix  write like: loans@1"),
        ("like: 3", "like is 3, but must be a job and its version"),
        ("like: loans@2", "like leads back to loans@2 itself"),
        ("like: loans@1\nhyperparameters: {ete: null}", "hyperparameters.ete is null, which takes a field away, but "
         'loans@1 has no ete in hyperparameters\n  fix  did you mean "eta"?'),
        ("like: loans@1\nretries: null", "specs/b.yaml:6:10 job/loans@2: retries is null, which takes a field away"),
        ("like: loans@1\nimage: mine:1", "needs exactly one of algorithm, framework, image and build, has algorithm "
         "and image\n  fix  take away what is inherited from loans@1 with algorithm: null"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_wrong_one(root: Path, fields: str, said: str) -> None:
    assert said in refused(root, a=BASE, b=f"name: loans\nversion: 2\n{fields}\n")


@pytest.mark.parametrize(("version", "near"), [(3, "loans@2"), (12, "loans@11"), (1, "loans@11")])
def test_a_job_without_a_version_is_its_newest_below(root: Path, version: int, near: str) -> None:
    """It is never itself."""
    others = [number for number in (1, 2, 11) if number != version]
    jobs = [BASE.replace("version: 1", f"version: {number}") for number in others]
    said = refused(root, a="---\n".join([*jobs, f"name: loans\nversion: {version}\nlike: loans\n"]))
    assert f"fix  write like: {near}\n" in f"{said}\n"


def test_a_circle_is_told_of_each_job_in_it(root: Path) -> None:
    said = refused(
        root,
        a="name: a\nversion: 1\nlike: b@1\n---\nname: b\nversion: 1\nlike: a@1\n---\nname: c\nversion: 1\nlike: b@1\n",
    )
    assert "job/a@1: like leads back to a@1 itself: a@1 -> b@1 -> a@1" in said
    assert "job/b@1: like leads back to b@1 itself: b@1 -> a@1 -> b@1" in said
    assert "c@1" not in said


def test_a_name_and_a_version_are_its_own(root: Path) -> None:
    assert "version is missing" in refused(root, a=BASE, b="name: loans-b\nlike: loans@1\n")
    assert "name is missing" in refused(root, a=BASE, b="version: 2\nlike: loans@1\n")


def test_nothing_is_said_of_one_whose_other_job_could_not_be_read(root: Path) -> None:
    said = refused(root, a=BASE + "x: [\n", b="name: loans\nversion: 2\nlike: loans@1\n")
    assert "specs/a.yaml" in said
    assert "specs/b.yaml" not in said


RETRAINED = (
    BASE
    + """\
retrain:
  schedule: "0 3 * * 1"
  assign: {endpoint: loans, variant: candidate, weight: 10}
"""
)


@pytest.mark.parametrize(
    ("own", "endpoint"),
    [
        ("name: loans\nversion: 2\nlike: loans@1\n", "loans"),
        ("name: loans-eu\nversion: 1\nlike: loans@1\n", None),
        ("name: loans-eu\nversion: 1\nlike: loans@1\nretrain: {settle: 1h}\n", None),
        ("name: loans-eu\nversion: 1\nlike: loans@1\nretrain: {assign: null}\n", None),
        ("name: loans-eu\nversion: 1\nlike: loans@1\nretrain: {assign: {endpoint: eu}}\n", "eu"),
    ],
)
def test_a_job_is_retrained_like_another_and_assigned_where_only_its_own_name_is(
    root: Path, own: str, endpoint: str | None
) -> None:
    loaded = written(root, base=RETRAINED, own=own)
    (spec,) = [item.spec for item in loaded.specs if item.like]
    assert isinstance(spec, TrainingJob)
    assert spec.retrain
    assert spec.retrain.schedule == "0 3 * * 1"
    assert (spec.retrain.assign.endpoint if spec.retrain.assign else None) == endpoint


def test_a_model_that_was_imported_is_not_imported_as_another_version(root: Path) -> None:
    (root / "specs" / "model.tar.gz").touch()
    loaded = written(root, base=BASE + "imported_from: model.tar.gz\n", own="name: loans\nversion: 2\nlike: loans@1\n")
    assert [isinstance(item.spec, TrainingJob) and bool(item.spec.imported_from) for item in loaded.specs] == [
        True,
        False,
    ]
