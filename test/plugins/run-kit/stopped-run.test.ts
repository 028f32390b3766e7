/** A run that is stopped after its agent has printed an answer. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { WakeEvent, WakeRunner } from '../../../core/ports/wake-runner.ts';
import { claudeCode } from '../../../plugins/runners.ts';
import { all } from '../../product/contracts/runner/wake-runner.contract.ts';
import { runWorld, type RunWorld } from '../run-world.ts';

const never = (): AbortSignal => new AbortController().signal;
const SUCCESS = { subtype: 'success', is_error: false, result: 'done' };

/** Claude Code that prints this result while `background` shells are open, and goes on. */
async function claudeThatAnswers(
  t: Test,
  result: object,
  background = 0,
): Promise<{ readonly world: RunWorld; readonly runner: WakeRunner }> {
  const world = await runWorld();
  t.teardown(() => world.close());
  const { baseDir } = world;
  const bin = join(baseDir, 'claude');
  const lines = [
    { type: 'system', subtype: 'init', session_id: 's-1' },
    { type: 'system', subtype: 'background_tasks_changed', tasks: Array.from({ length: background }, () => ({})) },
    { type: 'result', session_id: 's-1', ...result },
  ];
  await writeFile(bin, `#!/bin/sh\ncat <<'END'\n${lines.map((line) => JSON.stringify(line)).join('\n')}\nEND\nexec sleep 600\n`);
  await chmod(bin, 0o755);
  const deps = { agentId: 'a', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog };
  return { world, runner: await claudeCode({ bin, cwd: baseDir }).create(deps) };
}

/** The last events of a run that is stopped as soon as its agent has answered. */
async function stopped(t: Test, result: object, background?: number): Promise<readonly WakeEvent[]> {
  const { world, runner } = await claudeThatAnswers(t, result, background);
  const stop = new AbortController();
  const events: WakeEvent[] = [];
  for await (const event of runner.wake(await world.request(), stop.signal)) {
    events.push(event);
    if (event.type === 'usage') stop.abort({ graceMs: 1_000 });
  }
  return events.slice(events.findIndex(({ type }) => type === 'usage') + 1);
}

t.test('R4: a result that was printed before the run was stopped is reported, also if work was going on in the background', async (t) => {
  for (const background of [0, 1])
    t.match(await stopped(t, SUCCESS, background), [
      { type: 'completed', output: { text: 'done', session_id: 's-1' } },
      { type: 'stopped', survivors: [] },
    ]);
});

t.test('an answer that is no result is not reported for a run that is stopped', async (t) => {
  t.match(await stopped(t, { ...SUCCESS, result: '' }), [{ type: 'stopped' }]);
});

t.test('R4: a run that another sidecar started is stopped, and the result that it has printed is reported', async (t) => {
  const { world, runner } = await claudeThatAnswers(t, SUCCESS, 1);
  const request = await world.request();
  const before = runner.wake(request, never())[Symbol.asyncIterator]();
  const { value: spawned } = await before.next();
  for (let next = await before.next(); next.done !== true && next.value.type !== 'usage';) next = await before.next();
  await before.return?.();
  const run = { ...request, process: spawned?.type === 'spawned' ? spawned.process : null };
  const events = await all(runner.attach(run, AbortSignal.abort({ graceMs: 1_000 })));
  t.match(events.slice(-2), [{ type: 'completed', output: { text: 'done' } }, { type: 'stopped' }]);
});
