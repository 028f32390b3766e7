/** Prints `metadata.out` and `metadata.err`, then runs forever, or fails at once if `metadata.fails` is set. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { AGENTCOM_TASK_ID: taskId, AGENTCOM_RESULTS_DIR: results, AGENTCOM_TASK_FILE: file } = process.env;
const { metadata } = JSON.parse(readFileSync(file, 'utf8'));
writeFileSync(join(results, `${taskId}.started`), '');
console.log(metadata.out);
console.error(metadata.err);
if (metadata.fails) process.exitCode = 1;
else setInterval(() => undefined, 1_000);
