/** Runs, their adoption and the lock of a data directory where processes are told by `ps`, as on macOS and the BSDs; run here with its words. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { ProcessMark } from '../../core/ports/wake-runner.ts';
import { command } from '../../plugins/command/command.ts';
import { emptyFolder, journalIn, startSaver, stateIn } from '../adapters/journal-file-place.ts';
import { all, wakeRunnerContract } from '../contracts/wake-runner.contract.ts';
import { builtTree } from '../rig/built-tree.ts';
import { FAKE_AGENT, processSubject } from './process-subject.ts';
import { atWork, carriersOf, endAgent, runWorld } from './run-world.ts';

const sidecarProcess = builtTree().compiled('test/plugins/sidecar-process.ts');

// Whoever asks which system this is from now on is told so, here and in what is started: only the tests look into /proc.
const AS_ON_MACOS = "Object.defineProperty(process, 'platform', { value: 'darwin' });";
Object.defineProperty(process, 'platform', { value: 'darwin' });
process.env['NODE_OPTIONS'] = `--import=data:text/javascript,${encodeURIComponent(AS_ON_MACOS)}`;

wakeRunnerContract('command, with processes from ps', async () => ({
  ...(await processSubject((argv, deps) => command({ argv }).create(deps))),
  hidesRunIds: true,
}));

for (const way of ['goes on to its end', 'is stopped'] as const) {
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
    const [said] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const mark = JSON.parse(said) as ProcessMark;
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

void t.test('R22: with ps, a second sidecar is refused, and follows the first when that is killed', async (t) => {
  const dataDir = await emptyFolder(t);
  const child = startSaver(t, dataDir);
  await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line');
  await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_LOCKED', message: new RegExp(`process ${child.pid}\\b`) });
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.ok(await stateIn(dataDir));
});
