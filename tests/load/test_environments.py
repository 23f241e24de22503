"""An environment put over settings and specs: what comes out, each value with its place, and what is said of mistakes.

Every file in tests/cases/environments is one project: its first line says what happens, and each part is a file. What
is not given is taken from `_base`. The text beside it (.txt) is what `sagespec show` then says of the settings and of
each spec that is different, or all that `load` objects to. For a new case, write the .case file, run with
SAGESPEC_WRITE_CASES=1, and read what came out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from textwrap import dedent

import pytest

from sagespec.errors import SpecError
from sagespec.load.load import load
from sagespec.parts import Parts
from sagespec.verbs.show import show
from sagespec.verbs.validating import validate_everywhere
from tests.mutations import text_mutations

HEAD = "apiVersion: sagespec/v1\n"
PROJECT = f"{HEAD}kind: Project\nname: acme-churn\n"
FOLDER = Path(__file__).parents[1] / "cases" / "environments"
CASES = sorted(FOLDER.glob("[!_]*.case"))
_PART = re.compile(r"^=== (\S+)\n", re.MULTILINE)


def parts_of(file: Path) -> dict[str, str]:
    """The files that a case describes, by name."""
    _, *pieces = _PART.split(file.read_text())
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def written(case: Path, root: Path) -> None:
    for name, text in (parts_of(FOLDER / "_base.case") | parts_of(case)).items():
        if text.strip() != "absent":
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def said_of(root: Path, environment: str) -> str:
    """What is different in the environment, or wrong with it."""
    try:
        parts = Parts(root, environment=environment)
        loaded = parts.load()
    except SpecError as error:
        return f"{error}\n"
    base = Parts(root, environment="").load()
    there = {str(item.address) for item in (*base.specs, *base.models)}
    here = {str(item.address) for item in (*loaded.specs, *loaded.models)}
    shown = [show(parts, name) for name in ("project", *sorted(here))]
    changed = [str(one) for one in shown if one.from_elsewhere or one.taken_away]
    return "\n".join([*changed, *(f"left out: {address}" for address in sorted(there - here))]) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, tmp_path: Path) -> None:
    written(case, tmp_path)
    said = said_of(tmp_path, "prod").replace(str(tmp_path), "<root>")
    expected = case.with_suffix(".txt")
    if os.environ.get("SAGESPEC_WRITE_CASES"):
        expected.write_text(said)
    assert said == expected.read_text()


DAMAGED = """\
apiVersion: sagespec/v1
kind: Environment
name: prod
project: {store: s3://acme-prod/sagespec, gateway: {port: 8090, callers: {shop: null}}}
models_from: {project: acme-staging, store: s3://acme/x}
jobs: never
patches:
  endpoint/churn:
    variants:
      stable: {instances: 4, environment: {LOG: warn, DEBUG: null}}
      candidate: {weight: 20}
    rollout: {min_healthy: 30s}
  job/churn@1:
    resources: {cpus: 4, memory: 2GiB}
    metrics: {loss: {regex: "l=(.*)"}, speed: null}
leave_out: [notebook/work]
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_every_damage_is_accepted_or_told_in_the_environment(seed: int, tmp_path: Path) -> None:
    written(FOLDER / "_base.case", tmp_path)
    file = tmp_path / "environments" / "prod.yaml"
    file.parent.mkdir()
    told: list[tuple[str, set[str]]] = []
    for mutation in text_mutations(DAMAGED, 150, seed):
        file.write_bytes(mutation.data)
        try:
            load([Path("specs")], tmp_path, environment="prod", check_paths=False)
        except SpecError as error:
            told.append((mutation.what, {p.where.file if p.where else "" for p in error.problems}))
    assert [what for what, files in told if files != {"environments/prod.yaml"}] == []
    assert 50 < len(told) < 150


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 30


PAGE = (Path(__file__).parents[2] / "docs" / "environments.md").read_text()
OF_THE_PAGE = """\
apiVersion: sagespec/v1
kind: Endpoint
name: churn
variants:
  - {name: stable, model: churn@1, weight: 90}
  - {name: candidate, model: churn@2, weight: 10}
---
apiVersion: sagespec/v1
kind: Endpoint
name: experiment
variants: [{name: a, model: churn@1}]
"""


def test_what_the_page_says_is_so(tmp_path: Path) -> None:
    environments = re.findall(r"```yaml\n(# environments/prod.yaml\n.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"sagespec show churn --env prod\n((?:    .+\n)+)", PAGE)
    for file, text in (
        ("sagespec.yaml", PROJECT),
        ("specs/churn.yaml", OF_THE_PAGE),
        ("environments/staging.yaml", ""),
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text or f"{HEAD}kind: Environment\nname: staging\n")
    said = []
    for text in environments:
        (tmp_path / "environments" / "prod.yaml").write_text(text)
        said.append(str(show(Parts(tmp_path, environment="prod"), "churn")))
    assert len(environments) == 2
    assert said[0] == dedent(shown).strip()


def test_all_environments_are_validated_at_once(tmp_path: Path) -> None:
    written(CASES[0], tmp_path)
    for name, patch in (("prod", "endpoint/chrun: {protect: true}"), ("staging", "endpoint/churn: {portect: true}")):
        text = f"{HEAD}kind: Environment\nname: {name}\npatches:\n  {patch}\n"
        (tmp_path / "environments" / f"{name}.yaml").write_text(text)
    (tmp_path / "sagespec.yaml").write_text(f"{PROJECT}require_environment: true\n")
    with pytest.raises(SpecError) as wrong:
        validate_everywhere(Parts(tmp_path, environment=""))
    assert {str(problem.where) for problem in wrong.value.problems} == {
        "environments/prod.yaml:5:3",
        "environments/staging.yaml:5:20",
    }


def test_what_is_wrong_in_one_environment_alone_is_told_with_its_name(tmp_path: Path) -> None:
    """The line stands in the specs, which are right in the others."""
    written(CASES[0], tmp_path)
    (tmp_path / "sagespec.yaml").write_text(f"{PROJECT}require_environment: true\n")
    for name, more in (("prod", ""), ("eu", "leave_out: [job/churn@2]\n")):
        (tmp_path / "environments" / f"{name}.yaml").write_text(f"{HEAD}kind: Environment\nname: {name}\n{more}")
    with pytest.raises(SpecError) as wrong:
        validate_everywhere(Parts(tmp_path, environment=""))
    said = [problem.what for problem in wrong.value.problems]
    assert any(what.startswith("in eu: variants.") for what in said), said
    assert not any("prod" in what for what in said)
