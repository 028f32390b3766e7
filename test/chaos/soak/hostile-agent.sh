#!/bin/sh
# An agent of the soak that harms its own sidecar before it works: the task's id determines how. Later attempts run
# only agent.sh, so that every task completes. Each act is a line in $LEDGER_DIR/deeds. It takes the argument of agent.sh.
set -u
results=$AGENTCOM_RESULTS_DIR
task=$AGENTCOM_TASK_ID
work() { exec /bin/sh "${0%/soak/*}/rig/agent.sh" "$1"; }
deed() { echo "$1" >>"$LEDGER_DIR/deeds"; }

[ "$AGENTCOM_GENERATION" = 1 ] || work "$1"
case $task in
  *0)
    deed 'a line of 4 MiB'
    head -c 4194304 /dev/zero | tr '\0' 'x'
    echo
    ;;
  *1)
    deed '50,000 lines on standard error'
    yes 'nothing to see here' | head -n 50000 >&2
    ;;
  *2)
    deed 'progress of 6,500 brackets'
    head -c 6500 /dev/zero | tr '\0' '[' >"$results/$task.progress"
    ;;
  *3)
    deed 'progress of 2 MB in a line, 1,000 times a message'
    head -c 2000000 /dev/zero | tr '\0' 'x' >"$results/$task.progress"
    yes '{"message":"again"}' | head -n 1000 >>"$results/$task.progress"
    ;;
  *4)
    deed 'its folder shut for a while'
    chmod 000 "$results"
    sleep 0.3
    chmod 700 "$results"
    ;;
  *5)
    deed 'a pipe as its result, until it is replaced'
    mkfifo "$results/$task.json"
    sleep 0.3
    ;;
  *6)
    deed 'a link as its result, until it is replaced'
    ln -s /etc/passwd "$results/$task.json"
    sleep 0.3
    ;;
  *7)
    deed '300 stray files'
    n=0
    while [ $n -lt 300 ]; do
      : >"$results/stray-$n"
      n=$((n + 1))
    done
    ;;
  *8)
    deed 'a result of 2 MB'
    { printf '{"status":"success","output":"' && head -c 2000000 /dev/zero | tr '\0' 'x' && printf '"}'; } >"$results/.big"
    mv "$results/.big" "$results/$task.json"
    exit 0
    ;;
  *9)
    deed 'a result of 6,500 brackets'
    head -c 6500 /dev/zero | tr '\0' '[' >"$results/.deep"
    mv "$results/.deep" "$results/$task.json"
    exit 0
    ;;
  *a)
    deed 'a result of 10 GiB'
    truncate -s 10G "$results/.huge"
    mv "$results/.huge" "$results/$task.json"
    exit 0
    ;;
  *b)
    deed 'a child that outlives it'
    setsid sleep 600 >/dev/null 2>&1 &
    ;;
  *c)
    deed 'killed by itself'
    kill -9 $$
    ;;
esac
work "$1"
