#!/usr/bin/env bash
# Runs one sagespec command. What it printed is left in a folder, named in the output `folder`, for report.py:
# plan.md and result.json of plan and drift, log.txt of all.
# COMMAND, ENGINE, AGAINST, SPECS, ENVIRONMENT, RUNTIME, ARGS, WAIT, EXPECT_DIGEST: see the inputs of action.yml.
set -euo pipefail

set --
while IFS= read -r path; do
  if [[ -n $path ]]; then set -- "$@" -f "$path"; fi
done <<<"$SPECS"
if [[ -n $ENVIRONMENT ]]; then set -- "$@" --env "$ENVIRONMENT"; fi
if [[ -n $RUNTIME ]]; then set -- "$@" --runtime "$RUNTIME"; fi
set -f # ARGS is split at spaces and not matched against file names
# shellcheck disable=SC2086
set -- "$@" $ARGS

folder=$(mktemp -d "$RUNNER_TEMP/sagespec.XXXXXX")
echo "folder=$folder" >>"$GITHUB_OUTPUT"

make_plan() { # WORD ARGUMENTS: plan or drift; sets code and, where there is a plan, digest; text and JSON must be of one and the same plan
  local word=$1 fails=(--exit-code)
  shift
  if [[ $word == drift ]]; then fails=(); fi # it always does
  code=0
  sagespec "$word" "$@" "${fails[@]}" --output markdown >"$folder/plan.md" 2>"$folder/log.txt" || code=$?
  cat "$folder/log.txt" # the annotations, and why there is no plan
  sagespec "$word" "$@" --output json >"$folder/result.json" 2>/dev/null || true # what refuses a plan was said above
  digest=$(python3 "$GITHUB_ACTION_PATH/report.py" --digest "$folder")
  if [[ -z $digest && $(head -n 1 "$folder/plan.md") == "### sagespec $word:"* ]]; then
    code=1
    echo "The plan changed while it was being reported. Run the workflow again." | tee -a "$folder/log.txt"
  fi
}

case $COMMAND in
  validate)
    sagespec validate "$@" --output plain 2>&1 | tee "$folder/log.txt"
    ;;
  plan)
    if [[ -n $AGAINST ]]; then
      set -- "$@" --against "$AGAINST"
    elif [[ $ENGINE == elsewhere ]]; then
      set -- "$@" --elsewhere
    fi
    make_plan plan "$@"
    echo "exit_code=$code" >>"$GITHUB_OUTPUT"
    if [[ $code != 2 ]]; then exit "$code"; fi
    ;;
  drift)
    make_plan drift "$@"
    echo "exit_code=$code" >>"$GITHUB_OUTPUT"
    if [[ $code != 2 ]]; then exit "$code"; fi
    ;;
  apply)
    if [[ -n $EXPECT_DIGEST ]]; then set -- "$@" --expect "$EXPECT_DIGEST"; fi
    # The runner kills what a job leaves running, and knows it by this variable; what sagespec starts is to stay.
    unset RUNNER_TRACKING_ID
    # exec: when a job is cancelled, only the first process of its step hears SIGINT, so that must be sagespec.
    exec sagespec apply "$@" --wait "$WAIT" --output plain > >(exec tee "$folder/log.txt") 2>&1
    ;;
  *)
    echo "::error title=sagespec::command is $COMMAND; it must be validate, plan, drift or apply"
    exit 64
    ;;
esac
