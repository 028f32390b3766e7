/**
 * Processes started by a run are found and killed by its control group, wherever they have gone. Needs cgroup v2 and
 * permission to create groups.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import { command } from '../../../plugins/command/index.ts';
import type { ProcessTable } from '../../../plugins/run-kit/process/process-table.ts';
import { linuxRunCgroups, mountOf } from '../../../plugins/run-kit/process/run-groups.ts';
import { stopTree } from '../../../plugins/run-kit/process/stop-tree.ts';
import { all } from '../../product/contracts/runner/wake-runner.contract.ts';
import { fileAppears, runWorld, type RunWorld } from '../run-world.ts';

const groups = process.platform === 'linux' ? linuxRunCgroups() : null;
/** A group can be created here. */
const canGroup = (() => {
  const child = groups === null ? '' : execFileSync('sh', ['-c', 'sleep 5 >/dev/null 2>&1 & echo $!'], { encoding: 'utf8' });
  const isAdded = groups?.add('probe', Number(child)) ?? false;
  if (child !== '') process.kill(Number(child), 'SIGKILL');
  while ((groups?.membersOf('probe', null).length ?? 0) > 0);
  groups?.remove('probe', null);
  return isAdded;
})();
const skip = canGroup ? false : 'needs cgroup v2, and permission to create groups';

/** Leaves its parent, its session and its environment, and becomes another process every 20 ms. */
const HOPPER = `
if [ -e "$1/over" ]; then exit; fi
echo $$ > "$1/hopper.part" && mv "$1/hopper.part" "$1/hopper"
sleep 0.02
exec env -i PATH="$PATH" setsid --fork sh "$0" "$1"
`;

const runnerOf = ({ baseDir }: RunWorld, program: string, { resultsDir }: WakeRequest) =>
  command({ argv: ['sh', '-c', program, 'sh', resultsDir, join(baseDir, 'hopper.sh')] }).create({
    agentId: 'a1',
    baseDir,
    dataDir: baseDir,
    clock: systemClock(),
    log: silentLog,
  });

/** Whether it is still hopping: it prints each of its pids. */
async function isHopping({ resultsDir }: WakeRequest): Promise<boolean> {
  const seen = await readFile(join(resultsDir, 'hopper'), 'utf8');
  await new Promise((resolve) => setTimeout(resolve, 300));
  return (await readFile(join(resultsDir, 'hopper'), 'utf8')) !== seen;
}

for (const [title, program, isStopped] of [
  ['ends', 'sleep 0.5; env -i PATH="$PATH" setsid --fork sh "$2" "$1"; while [ ! -e "$1/hopper" ]; do sleep 0.02; done', false],
  ['is stopped', 'sleep 0.5; env -i PATH="$PATH" setsid --fork sh "$2" "$1"; exec sleep 60', true],
] as const) {
  void t.test(`R11: no process of a run survives once the run ${title}, whatever it left behind`, { skip }, async (t) => {
    const world = await runWorld();
    const request = await world.request();
    await writeFile(join(world.baseDir, 'hopper.sh'), HOPPER);
    t.teardown(async () => {
      await writeFile(join(request.resultsDir, 'over'), '');
      await world.close();
    });
    const stop = new AbortController();
    const events = all((await runnerOf(world, program, request)).wake(request, stop.signal));
    await fileAppears(request.resultsDir, 'hopper');
    t.ok(await isHoppingUnless(isStopped, request), 'it escapes the process tree');
    if (isStopped) stop.abort({ graceMs: 200 });
    const last = (await events).at(-1);
    t.match(last, isStopped ? { type: 'stopped', survivors: [] } : { type: 'exited', exitCode: 0 });
    t.strictSame(last !== undefined && 'survivors' in last ? (last.survivors ?? []) : [], []);
    t.notOk(await isHopping(request), 'nothing of it is alive');
    t.strictSame(groups?.membersOf(request.runId, null), []);
    t.notOk(existsSync(groupFolder(request)), 'and its group is gone');
  });
}

/** For a run that ends at once it is unknown how long it hops. */
const isHoppingUnless = async (isStopped: boolean, request: WakeRequest): Promise<boolean> => !isStopped || (await isHopping(request));

function groupFolder({ runId }: WakeRequest): string {
  const own = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .find((line) => line.startsWith('0::/'));
  return join(mountOf(readFileSync('/proc/self/mountinfo', 'utf8')) ?? '', own?.slice('0::'.length) ?? '', `agentcom-${runId}`);
}

void t.test('R11: a run is not over while its cgroup has members, even if each is gone by the time it is read', async (t) => {
  const done: string[] = [];
  const table: ProcessTable = {
    list: () => Promise.resolve([]),
    find: () => null,
    carriersOf: () => Promise.resolve([]),
    seesRunIds: true,
    bootId: 'boot',
    cgroups: {
      add: () => true,
      membersOf: () => (done.includes('kill') ? [] : [4_242]),
      kill: () => done.push('kill') > 0,
      remove: () => void done.push('remove'),
    },
  };
  t.strictSame(await stopTree({ main: null, runId: 'run-1', graceMs: 0, clock: systemClock(), table }), { wasAlive: true, survivors: [] });
  t.strictSame(done, ['kill', 'remove']);
});

void t.test('where cgroup v2 is mounted', (t) => {
  const version1 = '33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu';
  t.equal(mountOf(version1), null);
  t.equal(mountOf(`${version1}\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`), '/sys/fs/cgroup/unified');
  t.equal(mountOf('29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate'), '/sys/fs/cgroup');
  t.equal(mountOf('29 23 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw'), null, 'a part of it has other paths than /proc');
  t.end();
});
