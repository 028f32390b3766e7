/** docs/worker.md: each example is a file and does a task of a hub, and the page names every option. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { worker } from '../../../apps/worker/index.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { runningHub } from '../running-hub.ts';
import { temporaryFolder } from './newcomer.ts';
import { asModule, blocksOf, filesOf, readPage } from './page-blocks.ts';

const PAGE = 'docs/worker.md';

const examples = filesOf(PAGE);

t.test('every example is a named file', async (t) => {
  for (const { language, file, line } of blocksOf(PAGE)) t.ok(language === 'ts' && file !== null, `line ${line}: a block is a file`);
});

t.test('exactly the existing options are named', async (t) => {
  const table = readPage(PAGE).split('## Options')[1] ?? '';
  const named = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  try {
    worker({ noSuch: 1 } as never);
    t.fail('refused');
  } catch (thrown) {
    const [, known = ''] = /expected one of (.*)\./.exec((thrown as Error).message) ?? [];
    t.strictSame(named.sort(), known.split(', ').sort());
  }
});

t.test('every example completes a task', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const cwd = await temporaryFolder(t);
  builtTree().installIn(cwd);
  for (const { name, text } of examples) await writeFile(join(cwd, name.replace('.ts', '.mjs')), asModule(text));
  const tasks: Readonly<Record<string, readonly [agentId: string, description: string, task: object]>> = {
    'resizer.ts': ['resizer', 'a.png', { status: 'completed', result: { output: { resized: 'a.png', width: 7 } } }],
    'handler.ts': ['counter', 'a\nb\nc', { status: 'completed', result: { output: { lines: 3 } } }],
    'failures.ts': ['fetcher', `${hub.url}/no-such-page`, { status: 'dead_letter', last_error: /there is no such page/ }],
    'fencing.ts': ['writer', 'x', { status: 'completed', result: { output: /^task-[0-9a-f]+\.g1$/ } }],
  };
  t.strictSame(examples.map(({ name }) => name).sort(), Object.keys(tasks).sort());
  for (const [name, [agentId, description, wanted]] of Object.entries(tasks)) {
    const token = await hub.token('agent', agentId);
    const env = { ...process.env, AGENTCOM_API_URL: hub.url, AGENTCOM_TOKEN: token };
    const child = spawn(process.execPath, [name.replace('.ts', '.mjs')], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit') as Promise<[number | null]>;
    t.teardown(() => child.kill('SIGKILL'));
    const { task_id } = await hub.api.tasks.submit({ description, assign_to: agentId, metadata: { width: 7 }, max_retries: 0 });
    await hub.api.tasks.wait(task_id);
    t.match(await hub.api.tasks.get(task_id), wanted, name);
    if (name === 'resizer.ts') {
      for await (const line of createInterface({ input: child.stdout })) if (line === 'ready') break;
      child.kill('SIGTERM');
      t.strictSame(await exited, [0, null], 'a stopped worker lets its process end');
    } else {
      child.kill('SIGKILL');
      await exited;
    }
  }
});

// Before, it ended with code 13: Node gave up on a `ready` that nothing could settle any more.
t.test('the first example ends with code 0 if it is stopped before it is ready', async (t) => {
  const cwd = await temporaryFolder(t);
  builtTree().installIn(cwd);
  const text = examples.find(({ name }) => name === 'resizer.ts')?.text ?? '';
  // So that the signal comes after its listener was added.
  await writeFile(join(cwd, 'resizer.mjs'), asModule(text.replace('await running.ready', "console.log('started');\nawait running.ready")));
  const env = { ...process.env, AGENTCOM_API_URL: 'http://127.0.0.1:1', AGENTCOM_TOKEN: 'x'.repeat(32) };
  const child = spawn(process.execPath, ['resizer.mjs'], { cwd, env, stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) if (line === 'started') break;
  child.kill('SIGTERM');
  t.strictSame(await exited, [0, null]);
});
