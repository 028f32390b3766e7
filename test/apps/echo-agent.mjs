/**
 * Records its input byte for byte: `$ECHO_DIR/<task id>.stdin`, `.file` and `.cmdline` (its arguments as the system
 * stores them, each terminated by a NUL). Its result is the description that it read.
 */
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { AGENTCOM_TASK_ID: taskId, AGENTCOM_TASK_FILE: taskFile, AGENTCOM_RESULTS_DIR: resultsDir, ECHO_DIR: echoDir } = process.env;
const input = readFileSync(0);

writeFileSync(join(resultsDir, `${taskId}.started`), '');
writeFileSync(join(echoDir, `${taskId}.stdin`), input);
copyFileSync(taskFile, join(echoDir, `${taskId}.file`));
writeFileSync(join(echoDir, `${taskId}.cmdline`), readFileSync('/proc/self/cmdline'));

const result = { status: 'success', output: JSON.parse(input.toString('utf8')).description };
writeFileSync(join(resultsDir, `.${taskId}.next`), JSON.stringify(result));
renameSync(join(resultsDir, `.${taskId}.next`), join(resultsDir, `${taskId}.json`));
