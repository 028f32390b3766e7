/**
 * A machine full of processes: an agent that forks endlessly must not block its sidecar, which walks the process table
 * on the same thread.
 */
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { stopTree, type ProcessRow, type ProcessTable } from '../../../plugins/run-kit/index.ts';
import { runMembers } from '../../../plugins/run-kit/process/run-members.ts';

const MAIN = { pid: 100, startTime: '1', bootId: 'b' };
const row = (pid: number, parentPid: number): ProcessRow => ({
  ...{ pid, parentPid, groupId: pid, sessionId: pid, startTime: '1', isZombie: false },
});
/** The main process and `count` more, each with the parent that `parentOf` names. */
const tableOf = (count: number, parentOf: (pid: number) => number): readonly ProcessRow[] => [
  row(MAIN.pid, 1),
  ...Array.from({ length: count }, (_, index) => row(MAIN.pid + 1 + index, parentOf(MAIN.pid + 1 + index))),
];
const membersOf = (rows: readonly ProcessRow[]) => runMembers(rows, { main: MAIN, leaderSeen: true, seen: new Set(), selfPid: 50 });

void t.test('many processes with one parent take about as long as the same number in a chain', (t) => {
  const bestMs = (rows: readonly ProcessRow[]): number =>
    Math.min(
      ...Array.from({ length: 2 }, () => {
        const beganMs = performance.now();
        membersOf(rows);
        return performance.now() - beganMs;
      }),
    );
  const count = 20_000;
  const chain = tableOf(count, (pid) => pid - 1);
  t.equal(membersOf(chain).length, count + 1);
  const chainMs = bestMs(chain);
  for (const [title, parentPid, members] of [
    ['orphans', 1, 1],
    ['children of the run', MAIN.pid, count + 1],
  ] as const) {
    const rows = tableOf(count, () => parentPid);
    t.equal(membersOf(rows).length, members, title);
    // Work that grows with the square of their number takes hundreds of times as long.
    const timesAsLong = bestMs(rows) / chainMs;
    t.ok(timesAsLong < 40, `${title}: ${timesAsLong.toFixed(1)} times as long`);
  }
  t.end();
});

void t.test('more children than one call takes arguments are all found', (t) => {
  const count = 200_000;
  t.equal(membersOf(tableOf(count, () => MAIN.pid)).length, count + 1);
  t.end();
});

void t.test('a stop inspects each process a bounded number of times, however many are in the control group', async (t) => {
  const count = 1_000;
  let looks = 0;
  const counted = (pid: number): ProcessRow =>
    Object.defineProperty({ ...row(pid, 1) }, 'pid', {
      enumerable: true,
      get: () => {
        looks += 1;
        return pid;
      },
    });
  // Above the highest pid that Linux assigns, so that signals to them reach no process.
  const firstPid = 2 ** 22 + 1;
  const grouped = Array.from({ length: count }, (_, index) => firstPid + index);
  const listed = grouped.map((pid) => counted(pid + count));
  let walks = 0;
  const table: ProcessTable = {
    bootId: 'b',
    seesRunIds: true,
    list: () => {
      walks += 1;
      return Promise.resolve(listed);
    },
    // They are gone once they were found, so that the stop ends after a few walks.
    find: (pid) => (walks === 1 && grouped.includes(pid) ? row(pid, 1) : null),
    carriersOf: () => Promise.resolve([]),
    cgroups: { add: () => true, membersOf: () => (walks === 1 ? grouped : []), kill: () => true, remove: () => undefined },
  };
  await stopTree({ main: null, runId: 'run-1', graceMs: 0, clock: virtualClock(), table });
  t.ok(looks / (walks * count) < 20, `${looks} looks in ${walks} walks over ${count} processes`);
});
