/**
 * Prints what its task says, step by step: each line of the description is JSON, `{"out"|"err": text, "times"?:
 * number}`, or `{"until": FILE}`, which waits for that file. Then it reports success.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const { AGENTCOM_TASK_ID: taskId, AGENTCOM_RESULTS_DIR: resultsDir } = process.env;
const { description } = JSON.parse(readFileSync(0, 'utf8'));
writeFileSync(join(resultsDir, `${taskId}.started`), '');
for (const step of description.split('\n').map((line) => JSON.parse(line))) {
  const stream = step.err === undefined ? process.stdout : process.stderr;
  for (let n = 0; n < (step.times ?? 1) && step.until === undefined; n += 1)
    if (!stream.write(`${step.out ?? step.err}\n`)) await new Promise((resolve) => stream.once('drain', resolve));
  while (step.until !== undefined && !existsSync(step.until)) await sleep(20);
}
writeFileSync(join(resultsDir, `.${taskId}.next`), JSON.stringify({ status: 'success', output: 'done' }));
renameSync(join(resultsDir, `.${taskId}.next`), join(resultsDir, `${taskId}.json`));
