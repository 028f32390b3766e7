/** A program that only wakes its agent and hands over, adopted by another sidecar. */
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
