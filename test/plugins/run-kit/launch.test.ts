/** How a program is started: which errors are returned, and which are thrown. */
import { mkdir } from 'node:fs/promises';
import t from 'tap';
import { launch, launchPiped, runEnvironment, runFiles, systemProcessTable, type ProcessTable } from '../../../plugins/run-kit/index.ts';
import { carriersOf, runWorld } from '../run-world.ts';

const table = systemProcessTable();
const NO_CGROUPS = { add: () => false, membersOf: () => [], kill: () => false, remove: () => undefined };

void t.test('a programming error is thrown, not returned, and a child that already runs is killed', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const request = await world.request();
  const { runId, runDir } = request;
  const env = runEnvironment({ request, cwd: world.baseDir });
  const signal = new AbortController().signal;
  const options = { argv: ['sleep', '60'], cwd: world.baseDir, env, runId, runDir, input: '', table, signal };
  await t.rejects(launch({ ...options, input: 5 as unknown as string }), { code: 'ERR_INVALID_ARG_TYPE' });
  const broken: ProcessTable = { ...table, cgroups: { ...NO_CGROUPS, add: () => (undefined as unknown as string[]).length > 0 } };
  for (const launched of [launch({ ...options, table: broken }), launchPiped({ ...options, table: broken })]) {
    await t.rejects(launched, { message: /could not be registered: Cannot read properties of undefined/, cause: TypeError });
  }
  for (let waits = 0; waits < 100 && carriersOf(runId).length > 0; waits += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  t.strictSame(await world.close(), [], 'nothing that carries a run id is left');
});

void t.test('a folder in place of a stream is a returned failure too', async (t) => {
  const folder = t.testdir();
  await mkdir(runFiles(folder).stdout);
  const signal = new AbortController().signal;
  const options = { argv: ['true'], cwd: folder, env: {}, runId: 'run-1', runDir: folder, input: '', table, signal };
  t.match(await launch(options), { kind: 'failed', retryable: true, message: /cannot be created/ });
});
