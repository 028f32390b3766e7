/**
 * Runs, their adoption and the lock of a data directory where processes are identified by `ps`, as on macOS and the
 * BSDs; run here with its output.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import { command } from '../../../plugins/command/index.ts';
import { defineWakeRunner, Type } from '../../../plugins/plugin.ts';
import { emptyFolder, journalIn, startSaver, stateIn } from '../../adapters/files/journal-file-place.ts';
import { all, wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { named, only, waking, writtenBody } from '../../core/sidecar/rig/stage.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { FAKE_AGENT, processSubject } from '../../product/contracts/runner/process-subject.ts';
import { atWork, carriersOf, endAgent, runWorld } from '../run-world.ts';

const sidecarProcess = builtTree().compiled('test/plugins/sidecar-process.ts');

// From now on the platform is reported as another one, here and in child processes: only the tests read /proc.
const AS_ON_MACOS = "Object.defineProperty(process, 'platform', { value: 'darwin' });";
Object.defineProperty(process, 'platform', { value: 'darwin' });
process.env['NODE_OPTIONS'] = `--import=data:text/javascript,${encodeURIComponent(AS_ON_MACOS)}`;

wakeRunnerContract(
  'command, with processes from ps',
  processSubject((argv, deps) => command({ argv }).create(deps)),
  t,
);

for (const way of ['continues to its end', 'is stopped'] as const) {
  void t.test(`R10, R11: with ps, a run whose sidecar was killed with -9 ${way}`, async (t) => {
    const world = await runWorld();
    t.teardown(() => world.close());
    const { baseDir } = world;
    const request = await world.request();
    const options = { argv: ['sh', FAKE_AGENT, 'works', baseDir] };
    const child = spawn(process.execPath, [sidecarProcess, JSON.stringify({ options, request, baseDir, leaves: false })], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const mark = JSON.parse(line) as ProcessMark;
    t.match(mark, { startTime: /^[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}$/, bootId: null }, 'as ps names a process');
    await atWork(request);
    child.kill('SIGKILL');
    await once(child, 'exit');
    t.ok(carriersOf(request.runId).length > 0, 'the run outlives it');
    const runner = await command(options).create({ agentId: 'a1', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog });
    const stop = new AbortController();
    const events = all(runner.attach({ ...request, process: mark }, stop.signal));
    if (way === 'is stopped') stop.abort({ graceMs: 200 });
    else await endAgent(request);
    const wanted = way === 'is stopped' ? { type: 'stopped', survivors: [] } : { type: 'exited', exitCode: null, signal: null };
    t.match((await events).at(-1), wanted);
    t.strictSame(carriersOf(request.runId), []);
  });
}

void t.test('R10, J4: with ps, a plugin that starts its process itself is not woken next to it', async (t) => {
  const world = await runWorld();
  const children: ChildProcess[] = [];
  t.teardown(async () => {
    for (const child of children) child.kill('SIGKILL');
    await world.close();
  });
  const own = defineWakeRunner({
    name: 'own',
    options: Type.Object({}),
    create: () => ({
      adoptable: false,
      async *wake({ runId }): AsyncGenerator<WakeEvent> {
        const env = { PATH: process.env['PATH'], AGENTCOM_RUN_ID: runId };
        children.push(spawn('sleep', ['600'], { detached: true, stdio: 'ignore', env }));
        throw new Error('it broke');
      },
    }),
  });
  const deps = { agentId: 'a1', baseDir: world.baseDir, dataDir: world.baseDir, clock: systemClock(), log: silentLog };
  const runner = await own({}).create(deps);
  const request = await world.request();
  const wakeEvents = await all(runner.wake(request, new AbortController().signal));
  t.match(wakeEvents, [
    { type: 'failed', phase: 'agent', retryable: true, message: /before it reported a process.* may still be running: it broke/ },
  ]);
  const sidecar = waking();
  for (const event of wakeEvents) sidecar.wake(event);
  t.equal(writtenBody(sidecar.scanned())['kind'], 'agent_failed', 'an attempt that failed');
  sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error: null });
  t.equal(only(sidecar.all, 'wake').length, 1, 'woken once');
  t.same(sidecar.state.journal.slots, [], 'its slot is free');
  for (const stop of [new AbortController().signal, AbortSignal.abort()])
    await t.rejects(all(runner.attach({ ...request, process: null }, stop)), {
      message: /its process was not recorded when it was started/,
    });
  t.strictSame(carriersOf(request.runId), [children[0]?.pid]);
  const another = await world.request();
  const unasked = await all(runner.attach({ ...another, process: null }, AbortSignal.abort()));
  t.match(unasked.at(-1), { type: 'exited' }, 'a run that its runner was never asked for has no process');
});

void t.test('R22: with ps, a second sidecar is refused, and takes over once the first is killed', async (t) => {
  const dataDir = await emptyFolder(t);
  const child = startSaver(t, dataDir);
  await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line');
  await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_LOCKED', message: new RegExp(`process ${child.pid}\\b`) });
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.ok(await stateIn(dataDir));
});
