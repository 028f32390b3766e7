#!/bin/sh
# An agent for tests that behaves as its first argument says. Its output comes from files in the folder of the second:
# `started`, `result` and `failed`, in the format of the program that it stands for. Further arguments are ignored.
for argument; do
  case $argument in
    --version)
      echo 9999.0.0
      exit 0
      ;;
    auth | login | models) exit 1 ;;
  esac
done
behavior=$1
words=$2

say() { if [ -e "$words/$1" ]; then cat "$words/$1"; fi; }
at_work() { : > "$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.started"; }
# Like tools and their servers.
complain() {
  printf 'warning: it is late\n{"type":"no such thing","level":"error","msg":"it is late"}\n' >&2
  say result >&2
  head -c 200000 /dev/zero | tr '\0' '.' >&2
}
# Until a file `end` appears.
work() {
  at_work
  while [ ! -e "$AGENTCOM_RESULTS_DIR/end" ]; do
    echo tick
    sleep 0.05
  done
}

case $behavior in
  ends) at_work ;;
  fails)
    at_work
    echo 'it broke' >&2
    exit 3
    ;;
  works) work ;;
  ignores-stop)
    trap '' TERM
    work
    ;;
  leaves-tools)
    setsid sleep 600 &
    # The shell around it ends at once, so that the process becomes an orphan.
    (setsid sleep 600 &)
    work
    ;;
  succeeds)
    cat > "$AGENTCOM_RESULTS_DIR/heard.part"
    mv "$AGENTCOM_RESULTS_DIR/heard.part" "$AGENTCOM_RESULTS_DIR/heard"
    say started
    say result
    ;;
  says-it-fails)
    say started
    say failed
    ;;
  says-nothing) ;;
  hangs)
    at_work
    exec sleep 600
    ;;
  begins-and-hangs)
    say started
    exec sleep 600
    ;;
  crashes-before-result)
    say started
    kill -KILL $$
    ;;
  crashes-after-result)
    say started
    say result
    kill -KILL $$
    ;;
  hangs-after-result)
    say started
    say result
    at_work
    exec sleep 600
    ;;
  leaves-child)
    setsid sleep 600 &
    say started
    say result
    ;;
  floods)
    say started
    head -c 9437184 /dev/zero | tr '\0' x
    echo
    head -c 200000 /dev/zero | tr '\0' '['
    printf '\n\377\376\000{"type":\n'
    yes '{"type":"no such thing"}' | head -n 20000
    say result
    ;;
  says-in-parts)
    say started
    size=$(wc -c < "$words/result")
    head -c $((size / 2)) "$words/result"
    sleep 0.2
    tail -c +$((size / 2 + 1)) "$words/result"
    ;;
  says-a-long-line)
    say started
    say interim
    # Its `done` message is 9 MiB long.
    awk 'BEGIN { RS = "done" } { printf "%s", (NR > 1 ? long : "") $0 } NR == 1 { long = sprintf("%9437184s", "") }' "$words/result"
    ;;
  complains)
    say started
    complain
    say result
    complain
    ;;
  complains-and-hangs)
    say started
    complain
    at_work
    while :; do
      complain
      sleep 0.05
    done
    ;;
  says-no-line-end)
    say started
    if [ ! -s "$words/started" ]; then printf '\357\273\277'; fi
    printf %s "$(cat "$words/result")"
    ;;
  prints-without-end)
    say started
    yes "$(head -c 65536 /dev/zero | tr '\0' x)"
    ;;
  goes-on-after-result)
    say started
    say result
    (sleep 0.3) &
    wait
    say result
    ;;
  closes-input)
    exec 0<&-
    say started
    say result
    ;;
esac
