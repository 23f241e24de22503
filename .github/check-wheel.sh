#!/usr/bin/env bash
# Builds the wheel and uses it where nothing of the checkout can be found: what was forgotten in it shows here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" .
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check "$folder"/*.whl
cd "$folder"
PATH="$folder/environment/bin:$PATH"
sagespec --version
sagespec init demo
cd demo
sagespec validate
sagespec images list --runtime process | grep xgboost # the programs of images/ are in the wheel
