/** What a command does if its output cannot be written: its reader is gone, or the disk is full. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { builtTree } from '../../rig/built-tree.ts';
import { runningHub } from '../running-hub.ts';

const skip = process.platform !== 'linux';

/** Runs a shell line in which `agentcom` is the command and calls a hub of the test. */
async function shellAt(t: Test): Promise<(line: string) => Promise<string>> {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const env = { ...process.env, AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken };
  const agentcom = `agentcom() { "${process.execPath}" "${builtTree().bin}" "$@"; }`;
  return async (line) => (await promisify(execFile)('sh', ['-c', `${agentcom}\n${line}`], { env })).stdout;
}

t.test('a closed standard error does not change the exit code', { skip }, async (t) => {
  const shell = await shellAt(t);
  const file = join(t.testdir(), 'code');
  await shell(`{ sleep 0.2; agentcom nosuch 2>&1 >/dev/null; echo $? > '${file}'; } | true`);
  t.equal(await readFile(file, 'utf8'), '2\n');
  await shell(`{ sleep 0.2; agentcom submit x --wait 2>&1; echo $? > '${file}'; } | true`);
  t.equal(await readFile(file, 'utf8'), '130\n', 'a command that waits ends as if interrupted');
});

t.test('a full disk is one line, which names what was created', { skip }, async (t) => {
  const shell = await shellAt(t);
  const full = (argv: string): Promise<string> => shell(`agentcom ${argv} 2>&1 >/dev/full; echo $?`);
  t.equal(await full('list'), 'agentcom: Cannot write the output: no space left on device. (AC_USAGE)\n2\n');
  t.match(await full('submit x --wait'), /^agentcom: Cannot write .*\. Created before that: task-[0-9a-f]+\. \(AC_USAGE\)\n[^]*\n2\n$/);
  t.match(await full('tokens create --name ci --role viewer'), /^agentcom: Cannot write .* Created before that: tok-[0-9a-f]{32}\. /m);
  const [first = '', code] = (await full('tokens create --name cd --role viewer --json')).split('\n');
  t.match(JSON.parse(first), { error: 'AC_USAGE', details: { created: [/^tok-/] } });
  t.equal(code, '2');
});
