/** Which processes belong to a run in difficult cases: foreign pids, no marks, `ps` alone. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import {
  adoptRun,
  isAlive,
  launch,
  markOf,
  runEnvironment,
  systemProcessTable,
  watchRun,
  type ProcessTable,
} from '../../../plugins/run-kit/index.ts';
import { psProcessTable } from '../../../plugins/run-kit/process/process-table-ps.ts';
import { carriersOf, runWorld } from '../run-world.ts';

const table = systemProcessTable();

void t.test('R11: a foreign daemon that now has the process group number of a run is never signalled', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  // A leader that leaves its group behind, like every daemon's; without our variables, and with one of another run.
  const daemon = async (env: Record<string, string>) => {
    const child = spawn('sh', ['-c', 'sleep 60 & echo $!'], { env: { PATH: process.env['PATH'], ...env }, detached: true });
    const [[reported]] = (await Promise.all([once(child.stdout, 'data'), once(child, 'exit')])) as [[Buffer], unknown];
    child.stdout.destroy();
    const pid = Number(String(reported));
    t.teardown(() => void (table.find(pid) === null || process.kill(pid, 'SIGKILL')));
    return { groupId: child.pid ?? 0, pid };
  };
  const clock = systemClock();
  for (const env of [{}, { AGENTCOM_RUN_ID: 'run-of-another' }])
    for (const [title, bootId, startTime] of [
      ['an earlier boot', 'earlier', '1'],
      ['this boot, a restarted container', table.bootId, '1'],
    ] as const) {
      const { groupId, pid } = await daemon(env);
      const request = await world.request();
      const wakeEvents: WakeEvent[] = [];
      const never = new AbortController().signal;
      const run = { ...request, process: { pid: groupId, startTime, bootId } };
      const options = { run, graceMs: 200, signal: AbortSignal.abort(), detachSignal: never, clock, log: memoryLog(), table };
      await adoptRun(options, (event) => Promise.resolve(void wakeEvents.push(event)));
      t.match(wakeEvents, [{ type: 'exited', exitCode: null }], title);
      t.ok(table.find(pid), `${title}: the daemon lives`);
    }
});

void t.test('R10: a child whose process mark cannot be read still counts as started, and is stopped', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const ps = psProcessTable();
  let failures = 1;
  const failing: ProcessTable = {
    ...ps,
    find(pid) {
      if (failures > 0 && pid !== process.pid) {
        failures -= 1;
        throw new Error('ps: EAGAIN');
      }
      return ps.find(pid);
    },
  };
  const request = await world.request();
  const stop = new AbortController();
  const env = runEnvironment({ request, cwd: world.baseDir });
  const { runId, runDir } = request;
  const outcome = await launch({
    argv: ['sleep', '60'],
    cwd: world.baseDir,
    env,
    runId,
    runDir,
    input: '',
    table: failing,
    signal: stop.signal,
  });
  if (outcome.kind !== 'launched') return void t.fail(outcome.kind);
  t.match(outcome.main, { startTime: null });
  stop.abort();
  const wakeEvents: WakeEvent[] = [];
  const never = new AbortController().signal;
  const { main, exited } = outcome;
  const common = { runId, runDir, main, exited, graceMs: 1_000, signal: stop.signal, detachSignal: never };
  await watchRun({ ...common, clock: systemClock(), log: memoryLog(), table: failing }, (event) =>
    Promise.resolve(void wakeEvents.push(event)),
  );
  t.match(wakeEvents, [{ type: 'stopped', survivors: [] }]);
  t.strictSame(await world.close(), []);
});

void t.test('R10: with ps, the start time of a process does not depend on the time zone', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const folder = world.baseDir;
  const path = process.env['PATH'] ?? '';
  t.teardown(() => (process.env['PATH'] = path));
  const ps = execFileSync('sh', ['-c', 'command -v ps'], { encoding: 'utf8' }).trim();
  // The zone of the machine, which counts if nothing else is set.
  await writeFile(join(folder, 'ps'), `#!/bin/sh\nTZ="\${TZ:-$(cat '${folder}/zone')}" exec ${ps} "$@"\n`, { mode: 0o700 });
  process.env['PATH'] = `${folder}:${path}`;
  const inList = async () => (await psProcessTable().list()).find(({ pid }) => pid === process.pid)?.startTime;
  await writeFile(join(folder, 'zone'), 'EAST-9');
  const [mark, listed] = [markOf(psProcessTable(), process.pid), await inList()];
  await writeFile(join(folder, 'zone'), 'WEST5');
  t.ok(isAlive(psProcessTable(), mark));
  t.equal(await inList(), listed);
});

void t.test('R10, R22: where run ids cannot be read, a run that may still be alive does not count as ended', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const ps = psProcessTable();
  const request = await world.request();
  const { runId, runDir } = request;
  const signal = new AbortController().signal;
  const env = runEnvironment({ request, cwd: world.baseDir });
  const argv = ['sh', '-c', 'sleep 60 & exit 0'];
  const outcome = await launch({ argv, cwd: world.baseDir, env, runId, runDir, input: '', table: ps, signal });
  if (outcome.kind !== 'launched') return void t.fail(outcome.kind);
  while (ps.find(outcome.main.pid) !== null) await new Promise((resolve) => setTimeout(resolve, 20));
  const adopted = async (process: typeof outcome.main | null, stop: AbortSignal): Promise<readonly WakeEvent[]> => {
    const wakeEvents: WakeEvent[] = [];
    const options = { run: { ...request, process }, isLaunched: true, graceMs: 200, signal: stop, detachSignal: signal };
    await adoptRun({ ...options, clock: systemClock(), log: memoryLog(), table: ps }, (event) =>
      Promise.resolve(void wakeEvents.push(event)),
    );
    return wakeEvents;
  };
  for (const stop of [signal, AbortSignal.abort()]) {
    await t.rejects(adopted(null, stop), { message: /its process was not recorded when it was started\. Kill what is left/ });
    await t.rejects(adopted(outcome.main, stop), { message: /processes \d+ may be what its process \d+ left behind/ });
  }
  t.strictSame(carriersOf(request.runId).length, 1, 'and what may be a foreign process is not signalled');
  t.strictSame(await world.close(), [request.runId]);
  t.match(await adopted(outcome.main, signal), [{ type: 'exited', exitCode: null }], 'once they are gone it has ended');
});
