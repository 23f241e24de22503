#!/usr/bin/env bash
# Runs one sagespec command. What it printed is left in a folder, named in the output `folder`, for report.py:
# result.json of validate and plan, log.txt of all.
# COMMAND, SPECS, RUNTIME, ARGS, WAIT, EXPECT_DIGEST: see the inputs of action.yml.
set -euo pipefail

set --
while IFS= read -r path; do
  if [[ -n $path ]]; then set -- "$@" -f "$path"; fi
done <<<"$SPECS"
if [[ -n $RUNTIME ]]; then set -- "$@" --runtime "$RUNTIME"; fi
set -f # ARGS is split at spaces and not matched against file names
# shellcheck disable=SC2086
set -- "$@" $ARGS

folder=$(mktemp -d "$RUNNER_TEMP/sagespec.XXXXXX")
echo "folder=$folder" >>"$GITHUB_OUTPUT"

ask() { # runs a command that only looks; ends with its exit code; its annotations go to the log of the step
  local code=0
  sagespec "$@" --output json >"$folder/result.json" 2>"$folder/log.txt" || code=$?
  cat "$folder/log.txt"
  return "$code"
}

case $COMMAND in
  validate)
    ask validate "$@"
    ;;
  plan)
    code=0
    ask plan "$@" --exit-code || code=$?
    echo "exit_code=$code" >>"$GITHUB_OUTPUT"
    if [[ $code != 2 ]]; then exit "$code"; fi
    ;;
  apply)
    if [[ -n $EXPECT_DIGEST ]]; then
      ask plan "$@" || true # a refusal makes it fail, too; without a plan, the next line ends this
      digest=$(python3 "$GITHUB_ACTION_PATH/report.py" --digest "$folder/result.json")
      if [[ $digest != "$EXPECT_DIGEST" ]]; then
        echo "The plan is no longer the one that was approved: something has changed since. Nothing was applied." \
          "Run the workflow again and approve the new plan." | tee "$folder/log.txt"
        exit 1
      fi
    fi
    # The runner kills what a job leaves running, and knows it by this variable; what sagespec starts is to stay.
    unset RUNNER_TRACKING_ID
    # exec: when a job is cancelled, only the first process of its step hears SIGINT, so that must be sagespec.
    exec sagespec apply "$@" --wait "$WAIT" --output plain > >(exec tee "$folder/log.txt") 2>&1
    ;;
  *)
    echo "::error title=sagespec::command is $COMMAND; it must be validate, plan or apply"
    exit 64
    ;;
esac
