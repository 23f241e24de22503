#!/usr/bin/env bash
# Installs sagespec into an environment of its own for the rest of the job, and puts that one command on PATH.
# VERSION: see the input `version` of action.yml.
set -euo pipefail

if [[ $VERSION == none ]]; then
  command -v sagespec >/dev/null && exit
  echo "::error title=sagespec::version is none, but there is no sagespec on PATH"
  exit 1
fi

own_commit=$(cd -- "$GITHUB_ACTION_PATH/../../.." && pwd)
case $VERSION in
  "" | \[*\]) requirement=("$own_commit$VERSION") ;;
  *.txt) requirement=(--requirement "$VERSION") ;;
  [0-9]*) requirement=("sagespec==$VERSION") ;;
  *) requirement=("$VERSION") ;;
esac

environment=$RUNNER_TEMP/sagespec-environment
if [[ ! -f $environment/requirement || $(<"$environment/requirement") != "${requirement[*]}" ]]; then
  python3 -m venv --clear "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${requirement[@]}"
  printf '%s\n' "${requirement[*]}" >"$environment/requirement"
fi

# A folder with only this command: later steps must not see the environment's python and pip.
mkdir -p "$RUNNER_TEMP/sagespec-bin"
ln -sf "$environment/bin/sagespec" "$RUNNER_TEMP/sagespec-bin/sagespec"
echo "$RUNNER_TEMP/sagespec-bin" >>"$GITHUB_PATH"
