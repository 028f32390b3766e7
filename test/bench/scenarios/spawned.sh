#!/bin/bash
# The agent of the sidecar scenario: records when it began, before anything else, and then completes its task.
now=$EPOCHREALTIME
printf '%s %s\n' "$AGENTCOM_TASK_ID" "$now" >>"$LEDGER_DIR/spawned"
: >"$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.started"
printf '{"status":"success","output":"done"}' >"$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.json"
