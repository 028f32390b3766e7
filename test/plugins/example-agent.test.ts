import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import { command } from '../../plugins/runners.ts';
import { all } from '../product/contracts/runner/wake-runner.contract.ts';
import { fileAppears, runWorld, type RunWorld } from './run-world.ts';

const AGENT = fileURLToPath(new URL('../../examples/agent.mjs', import.meta.url));
const never = new AbortController().signal;

withAgent('counts and hashes the files it is pointed at', async (t, world, runner) => {
  const content = Buffer.from('one\ntwo\nthree\n');
  await writeFile(join(world.baseDir, 'a.txt'), content);
  await writeFile(join(world.baseDir, 'empty'), '');
  const request = await world.request({ description: 'count', metadata: { files: ['a.txt', 'empty'] } });
  t.match((await all(runner.wake(request, never))).at(-1), { type: 'exited', exitCode: 0 });
  const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
  t.strictSame(JSON.parse(await resultOf(request)), {
    status: 'success',
    output: {
      files: [
        { path: 'a.txt', lines: 3, bytes: 14, sha256: sha256(content) },
        { path: 'empty', lines: 0, bytes: 0, sha256: sha256('') },
      ],
      total: { files: 2, lines: 3, bytes: 14 },
    },
  });
  const progress = (await readFile(join(request.resultsDir, `${request.taskId}.progress`), 'utf8')).trim().split('\n');
  t.strictSame(
    progress.map((line) => JSON.parse(line) as unknown),
    [
      { percent: 0, message: 'reading a.txt' },
      { percent: 50, message: 'reading empty' },
      { percent: 100, message: '2 files read' },
    ],
  );
  t.strictSame(
    (await readdir(request.resultsDir)).sort(),
    ['json', 'progress', 'started'].map((kind) => `${request.taskId}.${kind}`),
  );
});

withAgent('takes the files of examples/ when the task names none', async (t, world, runner) => {
  await mkdir(join(world.baseDir, 'examples'));
  await writeFile(join(world.baseDir, 'examples', 'b.txt'), 'b\n');
  const request = await world.request();
  await all(runner.wake(request, never));
  t.match(JSON.parse(await resultOf(request)), { status: 'success', output: { files: [{ path: 'examples/b.txt' }], total: { files: 1 } } });
});

withAgent('ends as failed, with the reason', async (t, world, runner) => {
  for (const [metadata, reason] of [
    [{ files: [], fail: 'as asked' }, /^as asked$/],
    [{ files: ['missing.txt'] }, /ENOENT.*missing\.txt/],
  ] as const) {
    const request = await world.request({ description: 'fail', metadata });
    t.match((await all(runner.wake(request, never))).at(-1), { type: 'exited', exitCode: 1, stderrTail: /Error: / });
    t.match(JSON.parse(await resultOf(request)), { status: 'failed', reason });
  }
});

withAgent('stops without a result when the task is reclaimed', async (t, world, runner) => {
  await writeFile(join(world.baseDir, 'a.txt'), 'a');
  const request = await world.request({
    description: 'slow',
    metadata: { files: Array.from({ length: 1_000 }, () => 'a.txt'), pace_ms: 20 },
  });
  const events = all(runner.wake(request, never));
  await fileAppears(request.resultsDir, `${request.taskId}.progress`);
  await writeFile(join(request.resultsDir, `${request.taskId}.stop`), '');
  t.match((await events).at(-1), { type: 'exited', exitCode: 0 });
  t.notOk(existsSync(join(request.resultsDir, `${request.taskId}.json`)));
});

withAgent('refuses a task file that is not the task on standard input', async (t, world, runner) => {
  const request = await world.request({ description: 'one' });
  await writeFile(request.taskFile, JSON.stringify({ description: 'another' }));
  t.match((await all(runner.wake(request, never))).at(-1), { type: 'exited', exitCode: 2, stderrTail: /different tasks/ });
});

function withAgent(title: string, run: (t: Test, world: RunWorld, runner: WakeRunner) => Promise<void>): void {
  void t.test(`the example agent ${title}`, async (t) => {
    const world = await runWorld();
    t.teardown(() => world.close());
    const deps = { agentId: 'a1', baseDir: world.baseDir, dataDir: world.baseDir, clock: systemClock(), log: silentLog };
    await run(t, world, await command({ argv: [process.execPath, AGENT] }).create(deps));
  });
}

const resultOf = (request: WakeRequest): Promise<string> => readFile(join(request.resultsDir, `${request.taskId}.json`), 'utf8');
