/** What programs do to their output file: they empty it, as `> /dev/stdout` in a shell does, or flood it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { WakeEvent, WakeRequest } from '../../../core/ports/wake-runner.ts';
import { launch, lineFollower, runEnvironment, systemProcessTable, watchRun } from '../../../plugins/run-kit/index.ts';
import { followOutput } from '../../../plugins/run-kit/output/follow-output.ts';
import { command } from '../../../plugins/runners.ts';
import { runWorld } from '../run-world.ts';

void t.test('R4: a file that was emptied is read from its beginning, whatever its length is now', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-rewritten-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'stdout');
  const long = 'x'.repeat(200_000);
  for (const [before, after] of [
    ['one\ntwo\npart', 'new\n'],
    ['one\ntwo\npart', `${'longer than before\n'.repeat(3)}`],
    [`${long}\n`, `${long}y\n`],
    ['one\n', ''],
  ] as const) {
    await writeFile(path, before);
    const follower = lineFollower({ path });
    t.equal((await follower.read()).isRewritten, false);
    await writeFile(path, after);
    const lines = after.split('\n').slice(0, -1);
    t.strictSame(await follower.read(), { lines, offset: after.length, dropped: [], isAtEnd: true, isRewritten: true });
    await appendFile(path, 'next\n');
    t.match(await follower.read(), { lines: ['next'], isRewritten: false });
    t.strictSame(follower.end().lines, [], 'nothing is left of the incomplete line');
  }
});

void t.test('R20: a flood of short lines is read in parts, so that it does not hold up everything else', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-flood-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'stdout');
  await writeFile(path, `${'x'.repeat(1_000_000)}\n${'y\n'.repeat(500_000)}`);
  const follower = lineFollower({ path });
  const found: number[] = [];
  for (let isAtEnd = false; !isAtEnd;) {
    const read = await follower.read();
    found.push(read.lines.length);
    isAtEnd = read.isAtEnd;
  }
  t.equal(
    found.reduce((sum, lines) => sum + lines, 0),
    500_001,
    'all of them',
  );
  t.ok(Math.max(...found) <= 65_536 / 2, `at most ${String(Math.max(...found))} at once`);
});

void t.test('R20: a run over its output limit is killed soon, even if its grace is long', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const { baseDir: cwd } = world;
  const request = await world.request();
  const { runId, runDir } = request;
  const signal = new AbortController().signal;
  const table = systemProcessTable();
  const argv = ['sh', '-c', "trap '' TERM; head -c 2000000 /dev/zero; while :; do sleep 0.1; done"];
  const launched = await launch({ argv, cwd, env: runEnvironment({ request, cwd }), runId, runDir, input: '', table, signal });
  if (launched.kind !== 'launched') throw new Error(JSON.stringify(launched));
  const received: { readonly event: WakeEvent; readonly atMs: number }[] = [];
  const options = { ...launched, runId, runDir, signal, detachSignal: signal, clock: systemClock(), log: silentLog, table };
  await watchRun({ ...options, graceMs: 10_000, streamsBytesMax: 1_000_000 }, (event) => {
    received.push({ event, atMs: performance.now() });
    return Promise.resolve();
  });
  const [failed, exited] = received;
  t.match(failed?.event, { type: 'failed', details: { cause: 'output_too_large' } });
  t.match(exited?.event, { type: 'exited', signal: 'SIGKILL' });
  const tookMs = (exited?.atMs ?? 0) - (failed?.atMs ?? 0);
  t.ok(tookMs < 5_000, `after ${tookMs.toFixed()} ms`);
});

void t.test('R20: while a flood of short lines is handled, timers and the other runs have their turn', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-turns-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'stdout'), '\n'.repeat(200_000));
  let lines = 0;
  let inThisTurn = 0;
  let most = 0;
  const onLine = (): undefined => {
    lines += 1;
    inThisTurn += 1;
    most = Math.max(most, inThisTurn);
  };
  const watch = (): void => {
    inThisTurn = 0;
    if (lines < 200_000) setImmediate(watch);
  };
  watch();
  const emit = (): Promise<void> => Promise.resolve();
  const detachSignal = new AbortController().signal;
  await followOutput({ runId: 'run-1', runDir: folder, onLine, emit, detachSignal, clock: systemClock(), log: silentLog }).finish();
  t.equal(lines, 200_000);
  t.ok(most <= 2_048, `${most} lines in one turn of the event loop`);
});

void t.test('a stream that is not a regular file is not followed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-fifo-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'fifo');
  execFileSync('mkfifo', [path]);
  await t.rejects(lineFollower({ path }).read(), { code: 'AC_DATA_DIR', message: /not a regular file/ });
});

const textLine = (line: object): string => `echo '${JSON.stringify(line)}'`;
const progress = { percent: 5, message: 'long enough that what follows is shorter' };

/** The last lines of a shell script that waits for `go`; `onProgress` runs once its first line was read, before it continues. */
async function endsOf(t: Test, { last, onProgress }: { last: string; onProgress: (request: WakeRequest) => Promise<unknown> }) {
  const world = await runWorld();
  t.teardown(() => world.close());
  const runner = await command({
    argv: ['sh', '-c', `${textLine(progress)}; until test -e "$AGENTCOM_RESULTS_DIR/go"; do sleep 0.02; done; ${last}`],
    report: 'last-json-line',
  }).create({ baseDir: world.baseDir, agentId: 'a', dataDir: world.baseDir, clock: systemClock(), log: silentLog });
  const request = await world.request();
  const go = join(request.resultsDir, 'go');
  const ends: WakeEvent[] = [];
  for await (const event of runner.wake(request, new AbortController().signal)) {
    if (event.type === 'progress' && !existsSync(go)) {
      await onProgress(request);
      await writeFile(go, '');
    }
    if (event.type === 'completed' || event.type === 'failed') ends.push(event);
  }
  return ends;
}

void t.test('R4: the result is what was printed last, not what was read before the file was emptied', async (t) => {
  for (const [last, wanted] of [
    [textLine({ status: 'success', output: 7 }), { type: 'completed', output: 7 }],
    [textLine({ status: 'success', output: 'longer than the line of progress was, by some characters' }), { type: 'completed' }],
    ['echo bye', { type: 'failed', kind: 'no_result', retryable: true }],
  ] as const) {
    t.match(await endsOf(t, { last: `${last} > /dev/stdout`, onProgress: () => Promise.resolve() }), [wanted], last);
  }
});

void t.test('R4: after output that could not be read, an earlier line is not the result of a program that exits with 0', async (t) => {
  for (const replace of [(path: string) => mkdir(path), () => Promise.resolve()]) {
    const ends = await endsOf(t, {
      last: textLine({ status: 'success', output: 7 }),
      async onProgress({ runDir }) {
        const path = join(runDir, 'stdout');
        await rm(path);
        await replace(path);
      },
    });
    t.match(ends, [{ type: 'failed', message: /cannot read the output/ }]);
    t.equal(ends.length, 1);
  }
});
