#!/usr/bin/env bash
# An agent that ignores SIGTERM, with four processes that do too: a child, the child's child, one in its own group,
# and one orphan in its own session. They never end by themselves.
#
# $LEDGER_DIR/trees/TASK.pids names them as `main child grandchild group session`; TASK.signal has the time, in microseconds
# since 1970, at which the first SIGTERM arrived.
set -u
trees=$LEDGER_DIR/trees
mine=$trees/$AGENTCOM_TASK_ID
trap '' TERM

sh -c 'sleep 600 & echo $! >"$0.grandchild"; wait' "$mine" &
child=$!
set -m
sleep 600 &
group=$!
set +m
setsid sh -c 'sleep 600 & echo $! >"$0.session"' "$mine" &
wait $!
until [ -s "$mine.grandchild" ] && [ -s "$mine.session" ]; do sleep 0.01; done

# Without starting a program, which takes time of its own.
signalled() {
  [ -e "$mine.signal" ] || echo "${EPOCHREALTIME/[.,]/}" >"$mine.signal"
}
trap signalled TERM

read -r grandchild <"$mine.grandchild"
read -r session <"$mine.session"
echo "$$ $child $grandchild $group $session" >"$mine.next"
mv "$mine.next" "$mine.pids"
: >"$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.started"
while :; do wait "$child"; done
