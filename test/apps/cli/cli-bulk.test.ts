/** Task files that are too large for one request. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { BATCH_LINES, batchesOf } from '../../../apps/cli/commands/bulk-submit.ts';
import { runningHub } from '../running-hub.ts';
import { run, type Ran, type RunOptions } from './cli-world.ts';

const line = (n: number, more = ''): string => JSON.stringify({ description: `task ${n}${more}` });
const linesTo = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => line(n + 1));

t.test('lines are split into batches that fit, with their line numbers', async (t) => {
  const small = `${linesTo(3).join('\n')}\n`;
  t.strictSame(batchesOf(small), [{ first: 1, last: 3, text: small }], 'as it is');
  const places = (content: string) => batchesOf(content).map(({ first, last }) => [first, last]);
  t.strictSame(places(linesTo(BATCH_LINES).join('\n')), [[1, BATCH_LINES]]);
  t.strictSame(places(`${linesTo(2 * BATCH_LINES + 1).join('\n')}\n`), [
    [1, BATCH_LINES],
    [BATCH_LINES + 1, 2 * BATCH_LINES],
    [2 * BATCH_LINES + 1, 2 * BATCH_LINES + 1],
  ]);
  t.strictSame(places(`${linesTo(BATCH_LINES).join('\n')}${'\n'.repeat(BATCH_LINES)}`), [[1, BATCH_LINES]], 'no batch of blank lines');
  const large = Array.from({ length: 20 }, (_, n) => line(n, 'x'.repeat(1_000_000)));
  const batches = batchesOf(large.join('\n'));
  t.equal(batches.length, 3);
  t.equal(
    batches
      .map(({ text }) => text)
      .join('')
      .trimEnd(),
    large.join('\n'),
    'nothing is lost',
  );
});

t.test('a large file is submitted completely, and only once however often it is sent', async (t) => {
  const hub = await runningHub();
  const cwd = await mkdtemp(join(tmpdir(), 'agentcom-bulk-'));
  t.teardown(async () => {
    await hub.stop();
    await rm(cwd, { recursive: true });
  });
  const submit = (argv: readonly string[] = [], options: RunOptions = {}): Promise<Ran> =>
    run(['submit', '--bulk', 'tasks.ndjson', ...argv], {
      cwd,
      env: { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken, NO_COLOR: '1' },
      ...options,
    });
  const queued = async (): Promise<unknown> => (await hub.api.tasks.stats())['queued'];
  const lines = [...linesTo(BATCH_LINES + 5)];
  await writeFile(join(cwd, 'tasks.ndjson'), `${lines.toSpliced(BATCH_LINES + 2, 1, '{"description":7}').join('\n')}\n`);
  const wrong = await submit();
  t.equal(wrong.code, 2);
  t.match(wrong.err, /Lines 10001 to 10005 were not submitted\. Lines 1 to 10000 are submitted: run the command again/);
  t.match(wrong.err, /line 10003, description: must be text/);
  t.equal(await queued(), BATCH_LINES);

  await writeFile(join(cwd, 'tasks.ndjson'), `${lines.join('\n')}\n`);
  const corrected = await submit([], { tty: true });
  t.equal(corrected.code, 0);
  const ids = corrected.out.trimEnd().split('\n');
  t.equal(new Set(ids).size, lines.length);
  t.match(corrected.err, /\rSubmitting 10000 of 10005 lines, 99 %/);
  t.match(corrected.err, /1 of 2 requests had been made before; their tasks were not created again\.\n$/);
  t.equal((await hub.api.tasks.get(ids[BATCH_LINES + 2] ?? '')).description, 'task 10003', 'in the order of the lines');

  const again = await submit(['--json']);
  t.strictSame([JSON.parse(again.out), again.err], [{ task_ids: ids }, '']);
  t.match((await submit()).err, /had been submitted before.*--idempotency-key of your own/);
  t.equal(await queued(), lines.length);
  t.equal((await submit(['--idempotency-key', 'more'])).code, 0);
  t.equal(await queued(), 2 * lines.length);
});

t.test('an error says which line of the file is wrong, whatever is wrong with it', async (t) => {
  const hub = await runningHub();
  const cwd = await mkdtemp(join(tmpdir(), 'agentcom-bulk-'));
  t.teardown(async () => {
    await hub.stop();
    await rm(cwd, { recursive: true });
  });
  const env = { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken, NO_COLOR: '1' };
  const errorOf = async (line: string): Promise<string> => {
    await writeFile(join(cwd, 'tasks.ndjson'), `{"description":"a"}\n${line}\n`);
    return (await run(['submit', '--bulk', 'tasks.ndjson'], { cwd, env })).err;
  };
  t.match(
    await errorOf('{"description":"b","assign_to":"nobody"}'),
    /unknown_agent.*\n {2}line 2, assign_to: there is no agent "nobody"\n$/s,
  );
  t.match(await errorOf('{"description":"b","depends_on":["task-0000"]}'), /line 2/);
  const said = await errorOf('{"description":7}');
  t.equal(said.match(/line 2/g)?.length, 1, said);
});
