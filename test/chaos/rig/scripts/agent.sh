#!/bin/sh
# The agent of the chaos runs, a shell script because tens of thousands of them run. Its argument is the task's text:
#
#     KEY ok|fail|deaf SECONDS
#
# It keeps a ledger in $LEDGER_DIR: a line at its start, which lists the runs of the same task that it found alive, and a
# line once its result is written. A line is one write, so lines of different agents do not mix. `deaf` ignores SIGTERM.
# Processes are identified by pid and start time (field 22 of proc_pid_stat(5)); `at` is seconds since the machine booted.
set -u
set -f
task=$AGENTCOM_TASK_ID
generation=$AGENTCOM_GENERATION
# shellcheck disable=SC2086
set -- $1
how=$2
seconds=$3

# Answers the state and start time of a process in $state and $began; fails when there is none.
look() {
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  state=$1
  began=${20}
}

note() {
  read -r at rest </proc/uptime
  printf '{"what":"%s","pid":%s,"began":"%s","task":"%s","generation":%s,"agent":"%s","at":%s,"beside":[%s]}\n' \
    "$1" "$$" "$me" "$task" "$generation" "$AGENTCOM_AGENT_ID" "$at" "$beside" >>"$LEDGER_DIR/ledger.jsonl"
}

look $$
me=$began
beside=

# Each run writes its name first and looks then, so of two that begin at once at least one sees the other.
hex=${task#task-}
shard=$LEDGER_DIR/alive/${hex%"${hex#??}"}
: >"$shard/$task.$$.$me"
set +f
for other in "$shard/$task".*; do
  other=${other##*/"$task".}
  pid=${other%.*}
  [ "$pid" = $$ ] && continue
  if look "$pid" && [ "$began" = "${other#*.}" ] && [ "$state" != Z ] && [ "$state" != X ]; then
    beside=${beside:+$beside,}$pid
  fi
done
note start
beside=

[ "$how" = deaf ] && trap '' TERM
: >"$AGENTCOM_RESULTS_DIR/$task.started"
sleep "$seconds"
next=$AGENTCOM_RESULTS_DIR/.$task.next
if [ "$how" = fail ]; then
  printf '{"status":"failed","reason":"as it was told"}' >"$next"
else
  printf '{"status":"success","output":{"pid":%s,"began":"%s","generation":%s}}' "$$" "$me" "$generation" >"$next"
fi
mv "$next" "$AGENTCOM_RESULTS_DIR/$task.json"
note end
