/**
 * The agent used by tests of whole programs. It keeps a ledger with a line for each start and each end (pid, task and
 * generation). Each start also lists the runs of the same task that it found alive; there must be none.
 *
 * It works until `$LEDGER_DIR/release-<task id>` (or `release-all`, or `release-<task id>.g<generation>`) exists, or
 * for `metadata.ms` if given, then writes its result. `metadata.fail` makes it fail, `metadata.ignore_term` makes it
 * ignore SIGTERM, and `metadata.child` makes it start a child process in its own session that also ignores SIGTERM.
 */
import { appendFileSync, existsSync, readFileSync, renameSync, watch, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const { AGENTCOM_TASK_ID: taskId, AGENTCOM_GENERATION: generation, AGENTCOM_RESULTS_DIR: resultsDir, LEDGER_DIR: dir } = process.env;
const task = JSON.parse(readFileSync(process.env.AGENTCOM_TASK_FILE, 'utf8'));
const metadata = task.metadata ?? {};
const ledger = join(dir, 'ledger.jsonl');

const note = (what, more = {}) =>
  appendFileSync(
    ledger,
    `${JSON.stringify({ what, pid: process.pid, task: taskId, generation: Number(generation), at: Date.now(), ...more })}\n`,
  );

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z';
  } catch {
    return false;
  }
};
const others = existsSync(ledger)
  ? readFileSync(ledger, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
      .filter((line) => line.task === taskId && line.what === 'start' && line.pid !== process.pid)
      .map((line) => line.pid)
  : [];
note('start', { beside: others.filter(isAlive), description: task.description });

process.on('SIGTERM', () => {
  if (metadata.ignore_term) return;
  note('stopped');
  process.exit(143);
});

if (metadata.child) {
  const deaf = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1_000); process.stdout.write('ready');";
  const child = spawn(process.execPath, ['-e', deaf], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  note('child', { pid: child.pid });
}
writeFileSync(join(resultsDir, `${taskId}.started`), '');
let finished = false;
const finish = () => {
  if (finished) return;
  finished = true;
  const result = metadata.fail
    ? { status: 'failed', reason: String(metadata.fail) }
    : { status: 'success', output: { pid: process.pid, generation: Number(generation) } };
  writeFileSync(join(resultsDir, `.${taskId}.next`), JSON.stringify(result));
  renameSync(join(resultsDir, `.${taskId}.next`), join(resultsDir, `${taskId}.json`));
  note('end');
  process.exit(0);
};
if (metadata.ms !== undefined) {
  setTimeout(finish, metadata.ms);
} else {
  const names = [`release-${taskId}`, `release-${taskId}.g${generation}`, 'release-all'];
  const released = () => names.some((name) => existsSync(join(dir, name)));
  watch(dir, () => released() && finish());
  // The file may appear before the watch starts, and watchers miss events.
  setInterval(() => released() && finish(), 200);
}
