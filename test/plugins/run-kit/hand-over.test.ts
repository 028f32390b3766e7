/** A program that only wakes its agent and hands over, adopted by another sidecar. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { command } from '../../../plugins/command/index.ts';
import { all } from '../../product/contracts/runner/wake-runner.contract.ts';
import { carriersOf, endAgent, fileAppears, runWorld } from '../run-world.ts';

const never = (): AbortSignal => new AbortController().signal;

t.test('R10: an agent woken by a program that hands over keeps working, even if its sidecar ended meanwhile', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const { baseDir } = world;
  const deps = { agentId: 'a', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog };
  const request = await world.request();
  const script = 'setsid sleep 60 </dev/null >/dev/null 2>&1 & : > woken; while ! test -e end; do sleep 0.05; done';
  const options = { argv: ['sh', '-c', script], cwd: request.resultsDir, detaches: true };
  const before = (await command(options).create(deps)).wake(request, never())[Symbol.asyncIterator]();
  const { value: spawned } = await before.next();
  await fileAppears(request.resultsDir, 'woken');
  await before.return?.();

  const runner = await command(options).create(deps);
  const run = { ...request, process: spawned?.type === 'spawned' ? spawned.process : null };
  const events = all(runner.attach(run, never()));
  await endAgent(request);
  t.match(await events, [{ type: 'woken' }]);
  t.equal(carriersOf(request.runId).length, 1, 'what it woke is running');
  t.match(await all(runner.attach(run, AbortSignal.abort())), [{ type: 'stopped', survivors: [] }], 'and is found when it must stop');
  t.match(await all(runner.attach(run, never())), [{ type: 'exited' }], 'nothing is left: it has ended');
});

t.test('R11: an agent that outlives the program that woke it is asked to exit, and gets its grace, when it is stopped', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const { baseDir } = world;
  const request = await world.request();
  const agent = "trap 'sleep 0.3; : > tidied; exit' TERM; : > ready; while :; do sleep 0.05; done";
  const argv = ['sh', '-c', 'setsid sh -c "$1" </dev/null >/dev/null 2>&1 & exit 0', 'sh', agent];
  const options = { argv, cwd: request.resultsDir, detaches: true };
  const runner = await command(options).create({ agentId: 'a', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog });
  const [spawned] = await all(runner.wake(request, never()));
  await fileAppears(request.resultsDir, 'ready');
  const run = { ...request, process: spawned?.type === 'spawned' ? spawned.process : null };
  t.match(await all(runner.attach(run, AbortSignal.abort({ graceMs: 10_000 }))), [{ type: 'stopped', survivors: [] }]);
  t.ok(existsSync(join(request.resultsDir, 'tidied')));
});
