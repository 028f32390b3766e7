/** An agent whose every output is an attack on whatever shows it. `metadata.end`: `success` or `failed`. */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { AGENTCOM_TASK_ID: taskId, AGENTCOM_RESULTS_DIR: results, AGENTCOM_TASK_FILE: file } = process.env;
const { metadata } = JSON.parse(readFileSync(file, 'utf8'));
const file2 = (suffix) => join(results, `${taskId}${suffix}`);
writeFileSync(file2('.started'), '');
appendFileSync(file2('.progress'), `${JSON.stringify({ percent: 40, message: metadata.text })}\n`);
const result =
  metadata.end === 'failed'
    ? { status: 'failed', reason: metadata.text }
    : { status: 'success', output: { [metadata.text.slice(0, 60)]: metadata.text } };
setTimeout(() => {
  writeFileSync(file2('.next'), JSON.stringify(result));
  renameSync(file2('.next'), file2('.json'));
}, 1_500);
