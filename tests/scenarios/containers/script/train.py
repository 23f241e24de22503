"""A script as people write them for SageMaker: arguments, SM_* variables, a module beside it, a requirement."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import iniconfig  # type: ignore[import-not-found,unused-ignore]  # from requirements.txt
from helper import mean_of  # type: ignore[import-not-found]  # beside this file

parser = argparse.ArgumentParser()
parser.add_argument("--scale", type=float, required=True)
parser.add_argument("--fail", default="False")
parser.add_argument("--model-dir", type=Path, default=os.environ["SM_MODEL_DIR"])
parser.add_argument("--train", type=Path, default=os.environ["SM_CHANNEL_TRAIN"])
arguments, _ = parser.parse_known_args()

if arguments.fail == "True":
    raise ValueError("asked to fail")
mean = mean_of(arguments.train) * arguments.scale
(arguments.model_dir / "mean.json").write_text(json.dumps({"mean": mean}))
shutil.copytree(Path(__file__).parent, arguments.model_dir / "code", ignore=shutil.ignore_patterns("__pycache__"))
told = {name: text for name, text in os.environ.items() if name.startswith("SM_")}
Path(os.environ["SM_OUTPUT_DATA_DIR"], "environment.json").write_text(json.dumps(told))
print(f"mean={mean} with iniconfig from {Path(iniconfig.__file__).parent}")
