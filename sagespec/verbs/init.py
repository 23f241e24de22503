"""The files of a new project: what `sagespec init` writes.

A model that predicts which customers leave, with generated data, so that `sagespec apply` works before anything
is edited. Existing files are never overwritten.
"""

from __future__ import annotations

import math
import random
import re
from pathlib import Path

from sagespec.errors import WorldError, disk_problem
from sagespec.load.loaded import PROJECT_FILE
from sagespec.verbs.schema import schema_text

SCHEMA_FILE = "sagespec.schema.json"
IGNORED = ".sagespec/"

_PROJECT = """\
# yaml-language-server: $schema={schema}
# Project settings; this file marks the project's root. Every field: `sagespec schema --docs`.
apiVersion: sagespec/v1
kind: Project
name: "{name}"

# store: s3://my-bucket/models    # where models, logs and history are kept; default: the folder .sagespec/store
# runtime: docker                 # or process (no Docker needed); default: auto, Docker if it is running
# gateway: {{port: 8080}}           # where to call endpoints; default: 8080, or the next free port
"""

_SPECS = """\
# yaml-language-server: $schema=../{schema}
# Which customers will leave? The first CSV column is the answer (1 or 0); then come months as a customer,
# calls to support, monthly bill, and whether the contract is yearly.
apiVersion: sagespec/v1
kind: TrainingJob
name: churn
version: 1                        # a trained version never changes: to train with new settings, raise it
algorithm: xgboost                # a built-in; `image:` runs your own container
hyperparameters:
  objective: "binary:logistic"
  num_round: 40
  max_depth: 3
  eval_metric: auc
channels:                         # of a file with a header line, name the column to predict: target: left
  train: {{source: ../data/churn/train.csv, content_type: text/csv}}         # relative to this file, or s3://…
  validation: {{source: ../data/churn/validation.csv, content_type: text/csv}}
stopping: {{max_runtime: 10m}}
---
# POST a CSV row without the answer to get the probability that the customer leaves (`sagespec status` shows the URL):
#   curl http://127.0.0.1:8080/endpoints/churn/invocations -H "Content-Type: text/csv" --data 3,5,80.0,0
apiVersion: sagespec/v1
kind: Endpoint
name: churn
variants:
  - {{name: stable, model: churn@1, weight: 90}}
  # To compare a second model on live traffic, train churn version 2 and give it one request in ten:
  # - {{name: candidate, model: churn@2, weight: 10}}
"""


def init(folder: Path) -> list[Path]:
    """Write a small working project into `folder`; the files written.

    Files that already exist are left alone; .gitignore gets our line if it lacks it. A project that has its specs gets
    no example: one that was deleted would be trained and served again.
    """
    written = []
    try:
        has_specs = (folder / PROJECT_FILE).exists() and (folder / "specs").exists()
        for path, text in files(folder).items():
            if not path.exists() and not (has_specs and path.parent != folder):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
                written.append(path)
        if _ignore(folder / ".gitignore"):
            written.append(folder / ".gitignore")
    except OSError as error:
        raise WorldError(
            f"cannot write {error.filename}: {error.strerror}", fix="check the folder and its permissions"
        ) from error
    return written


def make_bare_project(folder: Path) -> str:
    """Make `folder` a project without any specs: its settings, and our line in .gitignore. The project's name."""
    name = project_name(folder)
    text = _PROJECT.format(schema=SCHEMA_FILE, name=name).partition("\n")[2]  # there is no schema beside it
    try:
        with (folder / PROJECT_FILE).open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        _ignore(folder / ".gitignore")
    except OSError as error:
        raise disk_problem(error, f"cannot make {folder} a project") from error
    return name


def files(folder: Path) -> dict[Path, str]:
    """The files of a new project in `folder`, apart from .gitignore, with their contents."""
    values = {"schema": SCHEMA_FILE, "name": project_name(folder)}
    train, validation = _customers(rows=600, seed=1), _customers(rows=200, seed=2)
    return {
        folder / PROJECT_FILE: _PROJECT.format(**values),
        folder / "specs" / "churn.yaml": _SPECS.format(**values),
        folder / "data" / "churn" / "train.csv": train,
        folder / "data" / "churn" / "validation.csv": validation,
        folder / SCHEMA_FILE: schema_text(),
    }


def project_name(folder: Path) -> str:
    """The folder's name, turned into a valid name of a project.

    >>> project_name(Path("/home/ada/Churn model_v2"))
    'Churn-model-v2'
    """
    return re.sub(r"[^a-zA-Z0-9]+", "-", folder.resolve().name)[:63].strip("-") or "my-project"


def _ignore(gitignore: Path) -> bool:
    """Add our line to .gitignore unless it is there; whether it was added."""
    text = gitignore.read_text(encoding="utf-8") if gitignore.exists() else ""
    if {IGNORED, IGNORED.rstrip("/"), f"/{IGNORED}"} & {line.strip() for line in text.splitlines()}:
        return False
    with gitignore.open("a", encoding="utf-8", newline="\n") as file:
        file.write(("\n" if text and not text.endswith("\n") else "") + f"{IGNORED}\n")
    return True


def _customers(*, rows: int, seed: int) -> str:
    """CSV rows of made-up customers; the same seed gives the same rows on every machine."""
    chance = random.Random(seed)  # noqa: S311  # data for a demo
    lines = []
    for _ in range(rows):
        months, calls = chance.randint(1, 72), min(int(chance.expovariate(0.7)), 9)
        bill, yearly = round(chance.uniform(15, 120), 2), int(chance.random() < 0.4)
        leaning = 0.6 * calls + 0.02 * (bill - 60) - 0.05 * (months - 24) - 1.5 * yearly - 1
        leaves = int(chance.random() < 1 / (1 + math.exp(-leaning)))
        lines.append(f"{leaves},{months},{calls},{bill},{yearly}\n")
    return "".join(lines)
