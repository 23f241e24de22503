"""Specs to Desired: what algorithms object to, and what a job's key is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sagespec.errors import SpecError, WorldError
from sagespec.load.load import load
from sagespec.resolve.builtins import describe_images
from sagespec.resolve.content_types import OTHER_SPELLINGS
from sagespec.resolve.facts import Started
from sagespec.resolve.resolve import resolve
from sagespec.runtimes.choose import images_dir
from sagespec.state.addresses import Address
from sagespec.state.desired import Desired, DesiredJob
from sagespec.state.hashes import hash_of
from sagespec.state.manifest import JobStatus, Manifest

PROJECT = "apiVersion: sagespec/v1\nkind: Project\nname: demo\n"


def jobs(
    root: Path,
    *bodies: str,
    manifests: Mapping[Address, Manifest] | None = None,
    fingerprint: Callable[[str], str] = "etag of {}".format,
    started: Started = lambda _: {},
) -> dict[str, DesiredJob]:
    """The jobs of specs named a, b, … whose fields behind the version are `bodies`."""
    (root / "sagespec.yaml").write_text(PROJECT)
    text = "---\n".join(
        f"apiVersion: sagespec/v1\nkind: TrainingJob\nname: {name}\nversion: 1\n{body}"
        for name, body in zip("abcdefgh", bodies, strict=False)
    )
    (root / "specs.yaml").write_text(text)
    loaded = load([Path("specs.yaml")], root)
    images = describe_images(images_dir())
    desired = resolve(
        loaded, root=root, images=images, manifests=manifests or {}, fingerprint=fingerprint, started=started
    )
    return {job.name: job for job in desired.jobs}


def refusal(root: Path, body: str) -> str:
    with pytest.raises(SpecError) as caught:
        jobs(root, body)
    return str(caught.value)


def manifest_of(job: DesiredJob) -> Manifest:
    """What there is in the store once the job has been trained."""
    now = datetime.now(UTC)
    return Manifest(
        project="demo",
        name=job.name,
        version=job.version,
        key=job.key,
        key_fields=dict(job.key_fields),
        status=JobStatus.COMPLETED,
        spec=dict(job.spec),
        started_at=now,
        ended_at=now,
    )


def xgboost(hyperparameters: str, channels: str = "{train: s3://b/train}") -> str:
    return f"algorithm: xgboost\nhyperparameters: {{{hyperparameters}}}\nchannels: {channels}\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (xgboost("num_rounds: 5"), "specs.yaml:6:31 job/a@1: hyperparameters.num_rounds is not one of xgboost"),
        (xgboost("num_rounds: 5"), 'did you mean "num_round"?'),
        (xgboost("eta: 0.1"), "specs.yaml:6:18 job/a@1: hyperparameters.num_round is missing"),
        (xgboost("num_round: 1.5"), "hyperparameters.num_round is 1.5, but must be a whole number"),
        (xgboost("num_round: 0"), "hyperparameters.num_round is 0, but must be at least 1"),
        (xgboost("num_round: 1, eta: 2"), "hyperparameters.eta is 2, but must be at least 0 and at most 1"),
        (xgboost("num_round: 1, booster: tree"), "booster is tree, but must be one of gbtree, gblinear, dart"),
        (xgboost("num_round: 1, eval_metric: [auc, loglos]"), 'loglos is not one of its words: did you mean "logl'),
        (xgboost("num_round: 1, eval_metric: error@high"), "error@high is not one of its words: "),
        (xgboost("num_round: 1", "{training: s3://b/t}"), "channels.training is not a channel of xgboost"),
        (xgboost("num_round: 1", "{validation: s3://b/t}"), "specs.yaml:7:11 job/a@1: channels.train is missing"),
        (
            xgboost("num_round: 1", "{train: {source: s3://b/t, content_type: image/png}}"),
            "channels.train.content_type is image/png, which xgboost does not read",
        ),
        (
            xgboost("num_round: 1", "{train: {source: s3://b/t, drop: id}}"),
            "specs.yaml:7:19 job/a@1: channels.train.target is missing",
        ),
        (
            "algorithm: blazingtext\nhyperparameters: {mode: supervised}\n"
            "channels: {train: {source: s3://b/t, header: true}}\n",
            "channels.train names columns, but blazingtext reads no tables",
        ),
    ],
)
def test_what_an_algorithm_would_refuse_is_told_with_its_line(body: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, body)


def test_what_an_algorithm_takes_is_let_through(tmp_path: Path) -> None:
    more = "_kfold: 3, lambda_bias: 0.5, eval_metric: [auc, error@0.3], updater: 'prune,refresh'"
    accepted = xgboost(f'num_round: "10", eta: 0.1, sketch_eps: 0.1, _tuning_objective_metric: validation:auc, {more}')
    assert jobs(tmp_path, accepted)["a"].hyperparameters["num_round"] == "10"


def test_the_names_of_columns_are_in_the_key_only_where_they_are_given(tmp_path: Path) -> None:
    def key_fields(train: str, validation: str = "s3://b/v") -> Mapping[str, Any]:
        body = xgboost("num_round: 1", f"{{train: {train}, validation: {validation}}}")
        return jobs(tmp_path, body)["a"].key_fields

    before = key_fields("s3://b/t")
    said = key_fields("{source: s3://b/t, target: y, drop: [id, day], categorical: state}")
    assert said == {**before, "columns.target": "y", "columns.drop": ["day", "id"], "columns.categorical": ["state"]}
    train, elsewhere = "{source: s3://b/t, drop: [day, id]}", "{source: s3://b/v, target: y, categorical: [state]}"
    assert key_fields(train, elsewhere) == said, "which channel says it makes no difference"


def test_a_changed_script_is_another_job_and_a_changed_cache_is_not(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").write_text("print(1)\n")
    body = "image: acme\nentry_point: train.py\nsource_dir: ./src\n"
    before = jobs(tmp_path, body)["a"]
    (tmp_path / "src/__pycache__").mkdir()
    (tmp_path / "src/__pycache__/train.pyc").write_text("x")
    assert jobs(tmp_path, body)["a"].key == before.key
    (tmp_path / "src/train.py").write_text("print(2)\n")
    after = jobs(tmp_path, body)["a"]
    assert after.key != before.key
    changed = [field for field in after.key_fields if after.key_fields[field] != before.key_fields[field]]
    assert changed == ["code"]


def test_what_a_link_among_the_scripts_leads_to_counts(tmp_path: Path) -> None:
    for folder in ("src", "shared"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src/train.py").write_text("import shared, tool\n")
    (tmp_path / "tool.py").write_text("A = 1\n")
    (tmp_path / "shared/__init__.py").write_text("A = 1\n")
    (tmp_path / "src/shared").symlink_to("../shared")
    (tmp_path / "src/tool.py").symlink_to("../tool.py")
    body = "image: acme\nentry_point: train.py\nsource_dir: ./src\n"
    keys = [jobs(tmp_path, body)["a"].key]
    for changed in ("tool.py", "shared/__init__.py"):
        (tmp_path / changed).write_text("A = 2\n")
        keys.append(jobs(tmp_path, body)["a"].key)
    assert len(set(keys)) == 3


def test_a_changed_build_context_is_another_job(tmp_path: Path) -> None:
    (tmp_path / "container").mkdir()
    (tmp_path / "container/Dockerfile").write_text("FROM scratch\n")
    plain, with_args = "build: ./container\n", "build: {context: ./container, args: {A: b}}\n"
    first, second = jobs(tmp_path, plain, with_args).values()
    assert first.key != second.key
    (tmp_path / "container/Dockerfile").write_text("FROM debian\n")
    assert jobs(tmp_path, plain)["a"].key != first.key


def test_a_built_container_serves_by_one_name_before_and_after_training(tmp_path: Path) -> None:
    (tmp_path / "container").mkdir()
    (tmp_path / "container/Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "specs").mkdir()
    (tmp_path / "sagespec.yaml").write_text(PROJECT)
    (tmp_path / "specs/own.yaml").write_text(
        "apiVersion: sagespec/v1\nkind: TrainingJob\nname: own\nversion: 1\nbuild: ../container\n---\n"
        "apiVersion: sagespec/v1\nkind: Endpoint\nname: own\nvariants: [{name: one, model: own@1}]\n"
    )
    loaded = load([Path("specs")], tmp_path)

    def resolved(manifests: Mapping[Address, Manifest]) -> Desired:
        return resolve(loaded, root=tmp_path, images={}, manifests=manifests, fingerprint=str)

    before = resolved({})
    (job,) = before.jobs
    (after,) = resolved({job.address: manifest_of(job)}).endpoints
    assert after.hash == before.endpoints[0].hash
    assert after.variants[0].program == before.endpoints[0].variants[0].program


def test_a_trained_jobs_script_in_s3_may_be_gone(tmp_path: Path) -> None:
    body = "framework: sklearn\nentry_point: train.py\nsource_dir: s3://acme/sourcedir.tar.gz\n"
    before = jobs(tmp_path, body)["a"]

    def gone(uri: str) -> str:
        raise WorldError(f"there is nothing at {uri}")

    after = jobs(tmp_path, body, manifests={before.address: manifest_of(before)}, fingerprint=gone)["a"]
    assert after.key == before.key
    with pytest.raises(WorldError):
        jobs(tmp_path, body, fingerprint=gone)


def test_a_source_dir_is_a_folder_or_an_archive(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    script = "framework: sklearn\nentry_point: train.py\n"
    file = refusal(tmp_path, script + "source_dir: ./train.py\n")
    assert "specs.yaml:7:13 job/a@1: source_dir: ./train.py is a file but not a .tar.gz" in file
    prefix = refusal(tmp_path, script + "source_dir: s3://acme/code/\n")
    assert 'specs.yaml:7:13 job/a@1: source_dir: "s3://acme/code/" is not an archive' in prefix


def test_what_only_decides_whether_a_job_ends_is_not_in_its_key(tmp_path: Path) -> None:
    plain = xgboost("num_round: 1")
    settings = "checkpoints: true\nretries: 5\nstopping: {max_runtime: 1h, max_wait: 2h}\nresources: {gpus: 1}\n"
    metrics = "metrics: [{name: auc, regex: 'auc=(.*)'}]\ninput_mode: fastfile\n"
    first, second = jobs(tmp_path, plain, plain + settings + metrics).values()
    assert first.key == second.key


def test_a_pipe_is_another_job(tmp_path: Path) -> None:
    plain = xgboost("num_round: 1")
    first, second = jobs(tmp_path, plain, plain + "input_mode: pipe\n").values()
    assert first.key != second.key
    assert second.key_fields["channels.train.input_mode"] == "pipe"


@pytest.mark.parametrize(
    ("algorithm", "content_type", "why"),
    [
        ("xgboost", "text/csv; LABEL_SIZE=0", "has label_size=0, but xgboost learns from labels"),
        ("linear-learner", "application/x-parquet;label_size=0", "has label_size=0, but linear-learner learns from la"),
        ("kmeans", "text/csv;label_size=2", "has label_size=2, which must be 0 or 1"),
        ("kmeans", "text/csv;label_size=0", ""),
        ("xgboost", 'TEXT/CSV;label_size="1"', ""),
    ],
)
def test_a_label_size_that_training_would_refuse_is_refused(
    algorithm: str, content_type: str, why: str, tmp_path: Path
) -> None:
    settings = {
        "xgboost": "{num_round: 1}",
        "linear-learner": "{predictor_type: regressor}",
        "kmeans": "{k: 2, feature_dim: 2}",
    }
    channel = f"{{source: s3://acme/train/, content_type: '{content_type}'}}"
    body = f"algorithm: {algorithm}\nhyperparameters: {settings[algorithm]}\nchannels:\n  train: {channel}\n"
    if why:
        assert f"channels.train.content_type {why}" in refusal(tmp_path, body)
    else:
        assert jobs(tmp_path, body)


def test_content_types_are_spelt_as_the_algorithms_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(images_dir())
    from toolkit.media import OTHER_NAMES

    assert OTHER_SPELLINGS == OTHER_NAMES


def test_data_beside_the_project_is_the_same_in_every_checkout(tmp_path: Path) -> None:
    body = "algorithm: echo\nchannels: {train: ../datasets/t.csv}\n"
    field, found = "channels.train.source", {}
    for name in ("ada", "bob"):
        (tmp_path / name / "datasets").mkdir(parents=True)
        (tmp_path / name / "datasets" / "t.csv").write_text("1,2")
        (tmp_path / name / "proj").mkdir()
        found[name] = jobs(tmp_path / name / "proj", body)["a"]
    ada, bob = found["ada"], found["bob"]
    assert (ada.key, ada.key_fields[field]) == (bob.key, "../datasets/t.csv")
    assert bob.channels[0].source == f"{tmp_path}/bob/datasets/t.csv", "where it is read"
    whole = {**ada.key_fields, field: ada.channels[0].source}  # as an earlier release had it, in ada's checkout
    manifest = manifest_of(ada).model_copy(update={"key": hash_of(whole), "key_fields": whole})
    for name in ("ada", "bob"):
        again = jobs(tmp_path / name / "proj", body, manifests={ada.address: manifest})["a"]
        assert again.key == manifest.key, "trained before the upgrade, in whichever checkout"
        assert jobs(tmp_path / name / "proj", body, manifests={ada.address: manifest_of(ada)})["a"].key == ada.key
    assert jobs(tmp_path / "ada" / "proj", body, started=lambda _: whole)["a"].key == manifest.key, "it still runs"
    written_whole = body.replace("../datasets", f"{tmp_path}/ada/datasets")
    assert jobs(tmp_path / "ada" / "proj", written_whole)["a"].key == manifest.key
