#!/usr/bin/env bash
# The clients that people have, each in an environment of its own below .venvs: SageMaker's SDKs 2 and 3, Jupyter, MLflow
# and the AWS CLI. About 1.1 GB. With names, only those.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A packages=(
    [sdk2]="sagemaker>=2.257,<3 pandas<3 ipykernel nbclient"
    [sdk3]="sagemaker>=3.27,<4 ipykernel nbclient"
    [jupyter]="jupyterlab>=4.4,<5 ipykernel nbclient pandas numpy"
    [mlflow]="mlflow>=3.17,<4 boto3 awscli>=1.45,<2"
)
uv=.venvs/uv/bin/uv
if [ ! -x $uv ]; then
    .venv/bin/python -m venv .venvs/uv
    .venvs/uv/bin/pip install --quiet --disable-pip-version-check uv
fi
for name in "${@:-sdk2 sdk3 jupyter mlflow}"; do
    for one in $name; do
        [ -e ".venvs/$one/.made" ] && continue
        rm -rf ".venvs/$one"
        $uv venv --quiet --python .venv/bin/python ".venvs/$one"
        # shellcheck disable=SC2086
        $uv pip install --quiet --torch-backend cpu --python ".venvs/$one/bin/python" ${packages[$one]}
        touch ".venvs/$one/.made"
    done
done
