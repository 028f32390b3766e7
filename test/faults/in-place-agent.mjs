/**
 * An agent on an almost full disk: it reserves room for its result when it starts, and records this as a line in
 * `$LEDGER_DIR`, on another disk. It writes into that room once `$LEDGER_DIR/release-<task id>` exists.
 */
import { appendFileSync, existsSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const { AGENTCOM_TASK_ID: taskId, AGENTCOM_GENERATION: generation, AGENTCOM_RESULTS_DIR: resultsDir, LEDGER_DIR: dir } = process.env;
const ROOM_BYTES = 4_096;
const prepared = join(resultsDir, 'prepared');
writeFileSync(prepared, ' '.repeat(ROOM_BYTES));
writeFileSync(join(resultsDir, `${taskId}.started`), '');
const line = { what: 'start', pid: process.pid, task: taskId, generation: Number(generation), at: Date.now() };
appendFileSync(join(dir, 'ledger.jsonl'), `${JSON.stringify(line)}\n`);
setInterval(() => {
  if (!existsSync(join(dir, `release-${taskId}`))) return;
  const text = JSON.stringify({ status: 'success', output: 'written in place' });
  writeSync(openSync(prepared, 'r+'), text.padEnd(ROOM_BYTES), 0);
  renameSync(prepared, join(resultsDir, `${taskId}.json`));
  process.exit(0);
}, 50);
