import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import {
  adoptRun,
  isAlive,
  launch,
  lineFollower,
  lineSplitter,
  markOf,
  runEnvironment,
  runFiles,
  stopTree,
  systemProcessTable,
  tailOf,
  wakeEvents,
  watchRun,
  type ProcessRow,
  type ProcessTable,
} from '../../../plugins/run-kit/index.ts';
import { parseStat } from '../../../plugins/run-kit/process/process-table-linux.ts';
import { psProcessTable } from '../../../plugins/run-kit/process/process-table-ps.ts';
import { runMembers } from '../../../plugins/run-kit/process/run-members.ts';
import { PROBE_AGENT, runWorld } from '../run-world.ts';

const table = systemProcessTable();

void t.test('a program’s name cannot falsify how its /proc entry is parsed', (t) => {
  const rest = '7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 211858 1000 100';
  const wanted = { pid: 4711, isZombie: false, parentPid: 7, groupId: 8, sessionId: 9, startTime: '211858' };
  for (const name of ['node', 'a b', ') Z 1 1 1 (', '((', '\n'])
    t.strictSame(parseStat(`4711 (${name}) S ${rest}\n`), wanted, JSON.stringify(name));
  t.equal(parseStat(`4711 (node) Z ${rest}`).isZombie, true);
  t.end();
});

for (const [name, one] of [
  ['/proc', table],
  ['ps', psProcessTable()],
] as const) {
  void t.test(`the process table from ${name}`, async (t) => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore', detached: true });
    const pid = child.pid ?? 0;
    t.teardown(() => child.kill('SIGKILL'));
    const mark = markOf(one, pid);
    t.match(one.find(pid), { pid, parentPid: process.pid, groupId: pid, isZombie: false });
    t.strictSame(
      (await one.list()).find((row) => row.pid === pid),
      one.find(pid),
    );
    t.ok(isAlive(one, mark));
    t.notOk(isAlive(one, { ...mark, startTime: `${mark.startTime ?? ''}0` }), 'another start time is another process');
    t.notOk(isAlive(one, { ...mark, bootId: 'another boot' }));
    t.notOk(isAlive(one, { ...mark, startTime: null }));
    child.kill('SIGKILL');
    await once(child, 'exit');
    t.equal(one.find(pid), null);
    t.notOk(isAlive(one, mark));
    t.notOk((await one.list()).some((row) => row.pid === pid));
  });
}

void t.test(
  'carriers of a run are searched only among processes no older than its first',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const runId = 'run-of-carriers';
    const child = spawn('sleep', ['60'], { stdio: 'ignore', env: { ...process.env, AGENTCOM_RUN_ID: runId } });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const mark = markOf(table, pid);
    const rows = await table.list();
    t.strictSame(await table.carriersOf(runId, rows, mark), [pid]);
    t.strictSame(await table.carriersOf(runId, rows, null), [pid]);
    const later = { ...mark, startTime: String(Number(mark.startTime) + 1) };
    t.strictSame(await table.carriersOf(runId, rows, later), [], 'older than its run: not its own');
    t.strictSame(await table.carriersOf(runId, rows, { ...later, bootId: 'another boot' }), [pid], 'times of another boot of the machine');
    t.strictSame(await table.carriersOf(runId, rows, { ...mark, startTime: null }), [pid]);
  },
);

void t.test('a mark taken right after the spawn has its start time even if the child has ended', async (t) => {
  const child = spawn('true', { stdio: 'ignore' });
  const exited = once(child, 'exit');
  execFileSync('sleep', ['0.1']); // Blocks: the child ends and stays a zombie, as the loop cannot collect it.
  const mark = markOf(table, child.pid ?? 0);
  t.match(mark.startTime, /^\d+$/);
  t.notOk(isAlive(table, mark), 'a zombie is not alive');
  t.notOk((await table.list()).some((row) => row.pid === child.pid));
  await exited;
});

void t.test('a process is found by its run id even while it execs another program', async (t) => {
  const runId = 'run-becoming';
  const program = 'test "$1" -eq 0 || exec sh -c "$0" "$0" $(($1 - 1))';
  // Large enough for many pages, with its run id at the end: a read may end between them.
  const env = { PATH: process.env['PATH'], FIRST: 'x'.repeat(60_000), SECOND: 'y'.repeat(60_000), AGENTCOM_RUN_ID: runId };
  const child = spawn('sh', ['-c', program, program, '1000000'], { stdio: 'ignore', env });
  t.teardown(() => child.kill('SIGKILL'));
  const row = table.find(child.pid ?? 0);
  if (row === null) throw new Error('it was not started');
  let missed = 0;
  for (let look = 0; look < 2_000; look += 1) if ((await table.carriersOf(runId, [row], null)).length === 0) missed += 1;
  t.equal(missed, 0);
  t.equal(child.exitCode, null, 'and it did so all the time');
});

void t.test('which processes belong to a run', (t) => {
  const row = (pid: number, parentPid: number, over: Partial<ProcessRow> = {}): ProcessRow => ({
    ...{ pid, parentPid, groupId: pid, sessionId: pid, startTime: `s${String(pid)}`, isZombie: false },
    ...over,
  });
  const main = { pid: 100, startTime: 's100', bootId: 'b' };
  const stranger = row(900, 1);
  for (const [title, rows, given, wanted] of [
    ['its process and every descendant', [row(100, 50), row(101, 100), row(102, 101), stranger], {}, [100, 101, 102]],
    ['its group, when the leader has just ended', [row(101, 1, { groupId: 100, sessionId: null }), stranger], {}, [101]],
    ['its session', [row(101, 1, { sessionId: 100 }), stranger], {}, [101]],
    ['not a group without a leader that was never seen', [row(101, 1, { groupId: 100, sessionId: 100 })], { leaderSeen: false }, []],
    [
      'not what began before it',
      [row(101, 1, { groupId: 100, startTime: '99' })],
      { main: { ...main, startTime: '100' }, leaderSeen: true },
      [],
    ],
    [
      'not the group of a process that got its number later',
      [row(100, 1, { startTime: 'later' }), row(101, 100, { groupId: 100 })],
      {},
      [],
    ],
    ['what was seen before, with its descendants', [row(300, 1), row(301, 300), stranger], { seen: new Set([300]) }, [300, 301]],
    ['what was seen, where no process is known', [row(300, 1), stranger], { seen: new Set([300]), main: null }, [300]],
    ['never the caller, nor its other children', [row(50, 1), row(60, 50), row(100, 50)], { seen: new Set([50]) }, [100]],
    ['never the first process', [row(1, 0), stranger], { seen: new Set([1]) }, []],
    ['nothing, if nothing is alive', [stranger], {}, []],
  ] as const) {
    const members = runMembers(rows, { main, leaderSeen: true, seen: new Set(), selfPid: 50, ...given });
    t.strictSame(members.map(({ pid }) => pid).sort(), wanted, title);
  }
  t.end();
});

void t.test('processes that cannot be killed are reported after a bounded time', async (t) => {
  const clock = virtualClock();
  // Above the highest pid that Linux assigns, so that signals to it reach no process.
  const row: ProcessRow = { pid: 2 ** 22 + 1, parentPid: 1, groupId: 2 ** 22 + 1, sessionId: null, startTime: '1', isZombie: false };
  const undying: ProcessTable = {
    bootId: 'b',
    seesRunIds: true,
    cgroups: null,
    list: () => Promise.resolve([row]),
    find: (pid) => (pid === row.pid ? row : null),
    carriersOf: () => Promise.resolve([row.pid]),
  };
  const stopped = stopTree({ main: null, runId: 'run-1', graceMs: 5_000, clock, table: undying });
  let isSettled = false;
  void stopped.finally(() => {
    isSettled = true;
  });
  while (!isSettled) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.runNext();
  }
  t.strictSame(await stopped, { wasAlive: true, survivors: [row.pid] });
  t.ok(clock.monotonicMs() >= 5_000 && clock.monotonicMs() <= 7_100, `at ${String(clock.monotonicMs())} ms`);
  t.equal(clock.pending, 0);
});

void t.test('a stop with nothing to stop ends at once and signals no process', async (t) => {
  const main = { ...markOf(table, process.pid), startTime: 'never' };
  const stopped = await stopTree({ main, runId: 'run-nobody', graceMs: 60_000, clock: virtualClock(), table });
  t.strictSame(stopped, { wasAlive: false, survivors: [] });
});

void t.test('a stop does not wait for the grace period once the agent has ended', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const request = await world.request();
  const child = spawn('sleep', ['60'], { stdio: 'ignore', detached: true, env: { ...process.env, AGENTCOM_RUN_ID: request.runId } });
  const beganMs = performance.now();
  const clock = systemClock();
  t.match(await stopTree({ main: markOf(table, child.pid ?? 0), runId: request.runId, graceMs: 60_000, clock, table }), { survivors: [] });
  t.ok(performance.now() - beganMs < 5_000);
});

void t.test('a run that exceeds its output limit is reported as failed, and ends', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const request = await world.request();
  const signal = new AbortController().signal;
  const env = runEnvironment({ request, cwd: world.baseDir });
  const argv = [process.execPath, PROBE_AGENT, 'floods', '2', 'works'];
  const { runId, runDir } = request;
  const launched = await launch({ argv, cwd: world.baseDir, env, runId, runDir, input: '', table, signal });
  if (launched.kind !== 'launched') throw new Error(JSON.stringify(launched));
  const received: WakeEvent[] = [];
  const options = { ...launched, ...request, graceMs: 1_000, signal, detachSignal: signal, clock: systemClock(), log: memoryLog(), table };
  await watchRun({ ...options, streamsBytesMax: 1024 * 1024 }, (event) => Promise.resolve(void received.push(event)));
  t.match(received, [
    { type: 'failed', phase: 'agent', retryable: true, message: /more than 1048576 bytes/, details: { cause: 'output_too_large' } },
    { type: 'exited', exitCode: null, signal: 'SIGTERM' },
  ]);
  t.strictSame(await world.close(), []);
});

void t.test('a run that never started is reported as such, and one whose streams were opened may have started', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const request = await world.request();
  const signal = new AbortController().signal;
  const adopted = async (): Promise<readonly WakeEvent[]> => {
    const received: WakeEvent[] = [];
    const options = {
      run: { ...request, process: null },
      isLaunched: true,
      graceMs: 1_000,
      signal,
      detachSignal: signal,
      clock: systemClock(),
      log: memoryLog(),
      table,
    };
    await adoptRun(options, (event) => Promise.resolve(void received.push(event)));
    return received;
  };
  t.match(await adopted(), [{ type: 'failed', phase: 'spawn', retryable: true, message: /had started the agent/ }]);
  await writeFile(runFiles(request.runDir).stdout, '');
  t.match(await adopted(), [{ type: 'failed', phase: 'spawn' }], 'the sidecar was killed while it opened them');
  await writeFile(runFiles(request.runDir).stderr, '');
  t.match(await adopted(), [{ type: 'exited', exitCode: null }]);
  t.strictSame(await world.close(), []);
});

void t.test('files that cannot be created are a retryable failure', async (t) => {
  const folder = await scratch(t);
  const options = { argv: ['true'], cwd: folder, env: {}, runId: 'run-1', input: '', table, signal: new AbortController().signal };
  t.match(await launch({ ...options, runDir: join(folder, 'missing') }), {
    ...{ kind: 'failed', retryable: true, details: { cause: 'ENOENT' } },
    message: /Cannot start "true": its files in ".*missing" cannot be created/,
  });
  t.match(await launch({ ...options, runDir: folder, signal: AbortSignal.abort() }), { kind: 'aborted' });
});

void t.test('a file in place of a stream is replaced, never written to or read', async (t) => {
  const folder = await scratch(t);
  const precious = join(folder, 'precious');
  const { stdin, stdout, stderr } = runFiles(folder);
  await writeFile(precious, 'precious');
  for (const path of [stdin, stdout, stderr]) await symlink(precious, path);
  const signal = new AbortController().signal;
  const env = { PATH: process.env['PATH'] ?? '' };
  const launched = await launch({ argv: ['cat'], cwd: folder, env, runId: 'run-cat', runDir: folder, input: 'the task', table, signal });
  if (launched.kind !== 'launched') throw new Error(JSON.stringify(launched));
  const received: WakeEvent[] = [];
  const options = {
    ...launched,
    runId: 'run-cat',
    runDir: folder,
    graceMs: 0,
    signal,
    detachSignal: signal,
    clock: systemClock(),
    log: memoryLog(),
  };
  await watchRun({ ...options, table }, (event) => Promise.resolve(void received.push(event)));
  t.match(received, [{ type: 'exited', exitCode: 0, signal: null }]);
  t.equal(await readFile(stdout, 'utf8'), 'the task');
  t.equal(await readFile(precious, 'utf8'), 'precious');
});

void t.test('the tail of a file', async (t) => {
  const folder = await scratch(t);
  const path = join(folder, 'stderr');
  await writeFile(path, 'aé👩z');
  t.equal(await tailOf(path, 100), 'aé👩z', 'all of a short one');
  t.equal(await tailOf(path, 5), '👩z');
  t.equal(await tailOf(path, 4), 'z', 'no piece of a character');
  t.equal(await tailOf(path, 2), 'z');
  t.equal(await tailOf(join(folder, 'missing'), 100), '');
  await symlink(path, join(folder, 'link'));
  t.equal(await tailOf(join(folder, 'link'), 100), '', 'no link is followed');
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  t.equal(await tailOf(join(folder, 'fifo'), 100), '', 'a FIFO does not block');
});

void t.test('lines are followed from an offset that a later process can resume at', async (t) => {
  const folder = await scratch(t);
  const path = join(folder, 'stdout');
  await writeFile(path, 'one\ntwo\nth');
  const follower = lineFollower({ path, lineBytesMax: 10 });
  t.strictSame(await follower.read(), { lines: ['one', 'two'], offset: 8, dropped: [], isAtEnd: false, isRewritten: false });
  t.strictSame(await follower.read(), { lines: [], offset: 8, dropped: [], isAtEnd: true, isRewritten: false }, 'an incomplete line waits');
  await appendFile(path, 'ree é\n\n');
  t.strictSame(await follower.read(), { lines: ['three é', ''], offset: 18, dropped: [], isAtEnd: true, isRewritten: false });
  await appendFile(path, `${'x'.repeat(11)}\n${'y'.repeat(10)}\n`);
  const received = [await follower.read(), await follower.read(), await follower.read()];
  t.strictSame(
    received.flatMap(({ lines }) => lines),
    ['y'.repeat(10)],
    'a line over the limit is left out',
  );
  t.equal(
    received.reduce((sum, { dropped }) => sum + dropped.length, 0),
    1,
  );
  t.strictSame((await lineFollower({ path, offset: 8 }).read()).lines.slice(0, 2), ['three é', ''], 'a later process continues to read');
});

void t.test('a line split over many reads is joined, and one that never ends is not buffered', async (t) => {
  const folder = await scratch(t);
  const path = join(folder, 'stdout');
  const long = '👩é'.repeat(50_000);
  await writeFile(path, `${long}\nend\n`);
  t.strictSame((await lineFollower({ path }).read()).lines, [long, 'end']);
  await writeFile(path, Buffer.alloc(3 * 1024 * 1024, 'x'));
  const follower = lineFollower({ path, lineBytesMax: 1024 * 1024 });
  for (const isAtEnd of [false, false, false, true]) {
    t.strictSame(await follower.read(), { lines: [], offset: 0, dropped: [], isAtEnd, isRewritten: false }, 'a part at a time');
  }
  await appendFile(path, '\nend\n');
  t.strictSame(await follower.read(), {
    lines: ['end'],
    offset: 3 * 1024 * 1024 + 5,
    dropped: [{ at: 0, isObject: false }],
    isAtEnd: true,
    isRewritten: false,
  });
  const split = lineSplitter(4).push(Buffer.from('one\n{long}\ntwo\n xxxxx\n{}\n{'));
  t.strictSame(split.lines, ['one', 'two', '{}']);
  t.strictSame(split.dropped, [
    { at: 1, isObject: true },
    { at: 2, isObject: false },
  ]);
});

void t.test('events are handed over one at a time, in order', async (t) => {
  const handed: string[] = [];
  const events = wakeEvents(async (emit) => {
    await emit({ type: 'started' });
    handed.push('started');
    await emit({ type: 'woken' });
    handed.push('woken');
  })[Symbol.asyncIterator]();
  t.strictSame((await events.next()).value, { type: 'started' });
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(handed, ['started'], 'the second waits until the first is taken');
  t.strictSame((await events.next()).value, { type: 'woken' });
  t.strictSame(await events.next(), { done: true, value: undefined });
  t.strictSame(await events.next(), { done: true, value: undefined });
});

void t.test('an error thrown by the producer reaches the listener once', async (t) => {
  const events = wakeEvents(() => Promise.reject(new Error('it broke')))[Symbol.asyncIterator]();
  await t.rejects(events.next(), { message: 'it broke' });
  t.strictSame(await events.next(), { done: true, value: undefined });
});

void t.test('a listener that leaves is released at once, and the producer is notified', async (t) => {
  let left: AbortSignal | null = null;
  const events = wakeEvents(async (emit, leaving) => {
    left = leaving;
    await emit({ type: 'woken' });
    await once(leaving, 'abort');
    await emit({ type: 'started' });
  })[Symbol.asyncIterator]();
  await events.next();
  const waiting = events.next();
  t.strictSame(await events.return?.(), { done: true, value: undefined });
  t.strictSame(await waiting, { done: true, value: undefined });
  t.match(left, { aborted: true });

  let isBegun = false;
  const unparsedOnly = wakeEvents(() => Promise.resolve(void (isBegun = true)))[Symbol.asyncIterator]();
  await unparsedOnly.return?.();
  t.strictSame(await unparsedOnly.next(), { done: true, value: undefined });
  t.notOk(isBegun, 'a listener that left before listening starts nothing');
});

async function scratch(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-kit-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
