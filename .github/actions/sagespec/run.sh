#!/usr/bin/env bash
# Runs one sagespec command. What it printed is left in a folder, named in the output `folder`, for report.py.
# COMMAND, SPECS, RUNTIME, ARGS, EXPECT_DIGEST: see the inputs of action.yml.
set -euo pipefail

set --
while IFS= read -r path; do
  if [[ -n $path ]]; then set -- "$@" -f "$path"; fi
done <<<"$SPECS"
if [[ -n $RUNTIME ]]; then set -- "$@" --runtime "$RUNTIME"; fi

folder=$(mktemp -d "$RUNNER_TEMP/sagespec.XXXXXX")
echo "folder=$folder" >>"$GITHUB_OUTPUT"

plan() { # leaves plan.json; shows what went wrong; ends with the exit code of `sagespec plan`
  local code=0
  sagespec plan "$@" --exit-code --output json >"$folder/plan.json" 2>"$folder/log.txt" || code=$?
  cat "$folder/log.txt"
  return "$code"
}

set -f # ARGS is split at spaces and not matched against file names
case $COMMAND in
  validate)
    # shellcheck disable=SC2086
    sagespec validate "$@" $ARGS 2>&1 | tee "$folder/log.txt" # pipefail: the status is sagespec's
    ;;
  plan)
    code=0
    # shellcheck disable=SC2086
    plan "$@" $ARGS || code=$?
    echo "exit_code=$code" >>"$GITHUB_OUTPUT"
    if [[ $code != 2 ]]; then exit "$code"; fi
    ;;
  apply)
    if [[ -n $EXPECT_DIGEST ]]; then
      # shellcheck disable=SC2086
      plan "$@" $ARGS || [[ $? == 2 ]]
      if [[ $(python3 "$GITHUB_ACTION_PATH/report.py" --digest "$folder/plan.json") != "$EXPECT_DIGEST" ]]; then
        echo "::error title=The plan is another one by now::Something changed since it was approved, so nothing" \
          "was applied. Run the workflow again and approve the new plan." | tee "$folder/log.txt"
        exit 1
      fi
    fi
    # The runner kills what a job leaves running, and knows it by this variable; what sagespec starts is to stay.
    unset RUNNER_TRACKING_ID
    # exec: when a job is cancelled, only the first process of its step hears SIGINT, so that must be sagespec.
    # shellcheck disable=SC2086
    exec sagespec apply "$@" $ARGS --output plain > >(exec tee "$folder/log.txt") 2>&1
    ;;
  *)
    echo "::error title=sagespec::command is $COMMAND; it must be validate, plan or apply"
    exit 64
    ;;
esac
