#!/usr/bin/env node
/**
 * A whole agent program in plain Node: copy it and put your own work in the middle.
 *
 * It counts the lines and bytes of files and takes their SHA-256. A task names them in its metadata:
 *   files    paths relative to where this program runs; default: the files of examples/
 *   pace_ms  waits so long before each file, so that people can watch
 *   fail     ends the task as failed, with this reason
 */
import { createHash } from 'node:crypto';
import { appendFile, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// 1. What the sidecar tells us. The task is in a file, and the same JSON is on standard input.
const { AGENTCOM_TASK_ID: taskId, AGENTCOM_TASK_FILE: taskFile, AGENTCOM_RESULTS_DIR: resultsDir } = process.env;
if (!taskId || !taskFile || !resultsDir) {
  console.error('This program is woken by an AgentCom sidecar: AGENTCOM_TASK_ID, AGENTCOM_TASK_FILE and AGENTCOM_RESULTS_DIR must be set.');
  process.exit(2);
}
const task = JSON.parse(await readFile(taskFile, 'utf8'));
const input = process.stdin.isTTY ? '' : readFileSync(0, 'utf8').trim();
if (input !== '' && JSON.stringify(JSON.parse(input)) !== JSON.stringify(task)) {
  console.error('Standard input and AGENTCOM_TASK_FILE hold different tasks.');
  process.exit(2);
}

// 2. What we tell the sidecar: files in our results folder, named after the task.
const ours = (kind) => join(resultsDir, `${taskId}.${kind}`);
const sayStarted = () => writeFile(ours('started'), '');
const sayProgress = (percent, message) => appendFile(ours('progress'), `${JSON.stringify({ percent, message })}\n`);
/** The result is written aside and renamed, so that nobody ever reads half of it. */
async function sayResult(result) {
  await writeFile(ours('json.part'), JSON.stringify(result));
  await rename(ours('json.part'), ours('json'));
}
/** The assignment was cancelled or reclaimed: whatever we reported now would be refused. */
const isTakenBack = () => existsSync(ours('stop'));

// 3. The work.
async function work({ files, pace_ms: paceMs = 0, fail }) {
  const paths = files ?? (await readdir('examples', { withFileTypes: true })).filter((e) => e.isFile()).map((e) => `examples/${e.name}`);
  const measured = [];
  for (const [index, path] of paths.entries()) {
    await sayProgress(Math.floor((100 * index) / paths.length), `reading ${path}`);
    await sleep(paceMs);
    if (isTakenBack()) return null;
    measured.push({ path, ...measure(await readFile(path)) });
  }
  if (fail) throw new Error(fail);
  await sayProgress(100, `${measured.length} files read`);
  const sum = (field) => measured.reduce((total, file) => total + file[field], 0);
  return { files: measured, total: { files: measured.length, lines: sum('lines'), bytes: sum('bytes') } };
}

function measure(content) {
  const lines = content.toString('latin1').split('\n').length - 1;
  return { lines, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}

await sayStarted();
try {
  const output = await work(task.metadata ?? {});
  if (output !== null) await sayResult({ status: 'success', output });
} catch (error) {
  console.error(error);
  await sayResult({ status: 'failed', reason: error.message });
  process.exitCode = 1;
}
