/**
 * Every limit of the hub and the sidecar: its constant, its value, and the test that exceeds it by one and gets the
 * answer that the pages promise. A limit that changes, or loses its test, fails here.
 *
 * Long on purpose: one table with a row for each limit.
 */
import t from 'tap';
import { OUTPUT_BYTES_MAX, OUTPUT_HELD } from '../../core/application/sidecar/state/constants.ts';
import { MESSAGES_A_MINUTE } from '../../core/application/hub/sessions/agent-frames.ts';
import { Sweeper, TIMER_MAX_MS } from '../../core/application/hub/upkeep/sweeper.ts';
import { OUTPUT_WAITING_BYTES } from '../../core/application/hub/upkeep/output-writer.ts';
import type { Command } from '../../core/application/hub/batch/commands.ts';
import { HUB_LIMITS, unidentifiedSocketsMax } from '../../core/config/limits.ts';
import { HUB_TIMING, PROGRESS_EVERY_MS } from '../../core/config/times.ts';
import { OUTBOX_MAX, type OutboxEntry } from '../../core/domain/assignment/outbox.ts';
import { RESULT_FILE_BYTES_MAX } from '../../core/protocol/agent-files.ts';
import { HELD_MAX, MAX_RETRIES_MAX, SLOTS_MAX } from '../../core/protocol/fields.ts';
import { JSON_DEPTH_MAX, JSON_VALUES_MAX, VALUES_PER_MEMBER } from '../../core/protocol/json-bounds.ts';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { aTaskId } from '../product/contracts/fixtures.ts';
import { STALLED_MS } from '../../adapters/http/endpoints/event-stream.ts';
import { hubBench } from '../adapters/http/hub-bench.ts';
import { hubRig } from '../core/hub/hub-rig.ts';
import { watchUnits } from '../core/hub/watched-units.ts';
import { assignFrame, named, online, sent } from '../core/sidecar/rig/stage.ts';
import { EMPTY_JOURNAL } from '../../core/application/sidecar/state/journal-state.ts';
import { missingTest, type NamedTest } from './named-tests.ts';
import { gate } from '../rig/gate.ts';

const MIB = 1_048_576;
const HERE = 'security/bounds.test.ts';

/** what · its constant · its value · what is answered beyond it · the test that exceeds it */
const BOUNDS: readonly (readonly [what: string, value: number, wanted: number, beyond: string, test: NamedTest])[] = [
  [
    'frame, bytes',
    HUB_LIMITS.frameBytes,
    MIB,
    'closed 1009',
    ['product/contracts/wire/hub-transport.contract.ts', 'accepts a frame of the maximum size and closes the socket for one byte more'],
  ],
  [
    'frame before identify, bytes',
    HUB_LIMITS.unidentifiedFrameBytes,
    65_536,
    'closed 1009',
    ['security/network-peer.test.ts', 'R20: 64 KiB before identify is accepted, one byte more closes with 1009'],
  ],
  [
    'frames waiting for an identify, bytes',
    HUB_LIMITS.unidentifiedFrameBytes,
    65_536,
    'closed 1008',
    ['security/network-peer.test.ts', 'R20: frames that arrive while an identify is checked share the size limit of one frame before it'],
  ],
  [
    'time to identify, ms',
    HUB_LIMITS.identifyMs,
    10_000,
    'closed 1008',
    ['security/network-peer.test.ts', 'R20: a connection that has not identified within 10 s is closed'],
  ],
  [
    'invalid frames in a minute',
    HUB_LIMITS.invalidFrames,
    10,
    'closed 1008, held off',
    ['core/hub/version2.test.ts', 'each malformed frame is answered, and the tenth within a minute closes the connection'],
  ],
  [
    'depth of JSON',
    JSON_DEPTH_MAX,
    32,
    'validation_failed',
    ['security/json-bounds.test.ts', 'R20: JSON nested 32 deep is accepted and 33 deep is refused, in a frame and in a body'],
  ],
  [
    'values in JSON',
    JSON_VALUES_MAX,
    100_000,
    'validation_failed',
    [
      'security/json-bounds.test.ts',
      'R20: a frame or body with more than 100,000 values is refused, and the sender of a report gets an answer',
    ],
  ],
  [
    'members of objects in JSON',
    JSON_VALUES_MAX / VALUES_PER_MEMBER,
    20_000,
    'validation_failed',
    [
      'security/json-bounds.test.ts',
      'R20: an object with a hundred thousand keys is refused before it is parsed, and its sender gets an answer',
    ],
  ],
  [
    'submit, bytes',
    HUB_LIMITS.submitBytes,
    262_144,
    '413',
    ['adapters/http/refusals.test.ts', 'a body over its limit is refused before it is read'],
  ],
  [
    'bulk, lines',
    HUB_LIMITS.bulkLines,
    10_000,
    '413',
    ['adapters/http/submit.test.ts', 'bulk: the line length, the number of lines and the total size are limited'],
  ],
  [
    'bulk, bytes',
    HUB_LIMITS.bulkBytes,
    16 * MIB,
    '413',
    ['adapters/http/submit.test.ts', 'bulk: the line length, the number of lines and the total size are limited'],
  ],
  [
    'unfinished bodies of one token, bytes',
    HUB_LIMITS.bodyBytesPerToken,
    32 * MIB,
    '429',
    ['adapters/http/refusals.test.ts', 'R20: unfinished bodies are bounded per token, and leave room for every other token'],
  ],
  [
    'unfinished bodies, bytes',
    HUB_LIMITS.inboxBytes,
    64 * MIB,
    '503',
    ['adapters/http/refusals.test.ts', 'bodies in progress are bounded in total, and released when they end'],
  ],
  [
    'inbox, commands',
    HUB_LIMITS.inboxCommands,
    20_000,
    '503, or no answer to a report',
    [HERE, 'R20: with a full inbox submits get 503 and reports no answer, and nothing acknowledged is lost'],
  ],
  [
    'inbox, bytes',
    HUB_LIMITS.inboxBytes,
    64 * MIB,
    '503, or no answer to a report',
    ['core/hub/time/outages.test.ts', 'the inbox counts the bytes of a report'],
  ],
  [
    'batch, work',
    HUB_LIMITS.batchWork,
    2_000,
    'a batch of its own',
    ['core/hub/load/fair-turns.test.ts', 'R20: a bulk submit does not delay its neighbours: anything larger than a batch commits alone'],
  ],
  ['batch, commands', HUB_LIMITS.batchCommands, 1_000, 'the next batch', [HERE, 'R20: no commit holds more than one batch']],
  [
    'waiting in one socket, bytes',
    HUB_LIMITS.socketQueueBytes,
    4 * MIB,
    'closed 1013',
    ['product/contracts/wire/hub-transport.contract.ts', 'closes a socket with 1013 when its send buffer exceeds the limit'],
  ],
  [
    'a stream that is not read, ms',
    STALLED_MS,
    60_000,
    'ended, resumed by id',
    ['adapters/http/events.test.ts', 'a reader that reads nothing is disconnected'],
  ],
  [
    'reads of one token',
    HUB_LIMITS.readsPerToken,
    64,
    '429',
    ['adapters/http/tasks.test.ts', 'R20: reads of one token are bounded and take turns, without delaying other tokens'],
  ],
  [
    'streams',
    HUB_LIMITS.streams,
    500,
    '503',
    ['adapters/http/events.test.ts', 'the number of streams is bounded, and a place is freed when one ends'],
  ],
  [
    'streams of one token while no other has any',
    HUB_LIMITS.streams / 2,
    250,
    '429',
    ['adapters/http/event-readers.test.ts', 'R20: one token gets half of the streams and of the waits for output that others leave free'],
  ],
  [
    'between two progress of a task, ms',
    PROGRESS_EVERY_MS,
    1_000,
    'merged',
    ['core/hub/version2.test.ts', 'progress is stored at most once a second per task; the newest is retained'],
  ],
  [
    'and in the sidecar, ms',
    PROGRESS_EVERY_MS,
    1_000,
    'merged',
    ['core/sidecar/run/lease.test.ts', 'progress: at most one a second, the newest value of each field wins'],
  ],
  [
    'progress of an attempt',
    HUB_LIMITS.progressPerAttempt,
    1_000,
    'the newest',
    ['core/domain/attempts.test.ts', 'progress is stored up to its bound, and renews the lease beyond it'],
  ],
  [
    'live output held by a sidecar, characters',
    OUTPUT_HELD.charactersMax,
    16_384,
    'the newest',
    [
      'core/sidecar/run/live-output.test.ts',
      'output that comes too fast is cut from its start, and the dropped count is sent with the next frame',
    ],
  ],
  [
    'live output of an assignment, bytes',
    HUB_LIMITS.outputBytes,
    262_144,
    'the newest',
    ['product/contracts/storage/output-store.contract.ts', 'retains the newest output of each assignment within its limits'],
  ],
  [
    'live output that waits for a write, bytes',
    OUTPUT_WAITING_BYTES,
    8_388_608,
    'dropped, logged',
    ['core/hub/output-writer.test.ts', 'output beyond the buffer limit is dropped, and logged once'],
  ],
  [
    'output of a result, bytes',
    OUTPUT_BYTES_MAX,
    262_144,
    'cut, named',
    ['core/sidecar/run/results.test.ts', 'output over its limit is cut at a character boundary, with the size and hash of the whole'],
  ],
  [
    'result file, bytes',
    RESULT_FILE_BYTES_MAX,
    8 * MIB,
    'result_too_large',
    ['product/contracts/files/result-inbox-unfinished.contract.ts', 'a result over 8 MiB is too large and retained; one of 8 MiB is read'],
  ],
  [
    'outbox, reports',
    OUTBOX_MAX,
    1_000,
    'rejected: busy',
    [HERE, 'R20: with a full outbox no new task is accepted, and no report in it is lost'],
  ],
  ['held', HELD_MAX, 1_000, 'validation_failed', [HERE, 'R20: an identify with 129 slots or 1,001 held tasks is refused']],
  ['slots', SLOTS_MAX, 128, 'validation_failed', [HERE, 'R20: an identify with 129 slots or 1,001 held tasks is refused']],
  [
    'slots of an agent',
    HUB_LIMITS.slotsPerAgent,
    128,
    '400',
    ['adapters/http/tokens.test.ts', 'an agent token can fix the capabilities and slots of its agent'],
  ],
  [
    'requests of a token in a second',
    HUB_LIMITS.requestsPerSecond,
    1_000,
    '429',
    ['adapters/http/refusals.test.ts', 'a token that sends too many requests is refused'],
  ],
  [
    'requests of a token at once',
    HUB_LIMITS.requestBurst,
    5_000,
    '429',
    [HERE, 'R20: one token may send 5,000 requests at once, then gets 429 with Retry-After; 0 turns the limit off'],
  ],
  [
    'time of reads of a token in a second, ms',
    HUB_LIMITS.readMsPerSecond,
    250,
    'waits',
    ['adapters/http/read-turns.test.ts', 'R20: constant reads by one token get a quarter of the time, and none is lost'],
  ],
  [
    'time of reads of a token at once, ms',
    HUB_LIMITS.readBurstMs,
    1_000,
    'waits',
    ['adapters/http/read-turns.test.ts', 'R20: constant reads by one token get a quarter of the time, and none is lost'],
  ],
  [
    'frames of an agent in a second',
    HUB_LIMITS.agentFramesPerSecond,
    1_000,
    'closed 1013, held off',
    [
      'security/agent-rate.test.ts',
      'R20: an agent over its frame rate is disconnected, whatever the frames, and reconnecting does not help',
    ],
  ],
  [
    'frames of an agent at once',
    HUB_LIMITS.agentFrameBurst,
    10_000,
    'closed 1013, held off',
    ['security/agent-rate.test.ts', 'R4 R20: a sidecar with 128 slots that reconnects with 1,000 reports is not throttled'],
  ],
  [
    'length of the frames of an agent in a second',
    HUB_LIMITS.agentBytesPerSecond,
    8_388_608,
    'closed 1013, held off',
    ['security/agent-rate.test.ts', 'R20: the bytes that one agent sends are limited, and 0 turns the limit off'],
  ],
  [
    'length of the frames of an agent at once',
    HUB_LIMITS.agentByteBurst,
    67_108_864,
    'closed 1013, held off',
    ['security/agent-rate.test.ts', 'R20: the bytes that one agent sends are limited, and 0 turns the limit off'],
  ],
  [
    'sockets',
    HUB_LIMITS.sockets,
    12_000,
    '503',
    ['product/contracts/wire/hub-transport.contract.ts', 'upgrades on /ws only, for allowed hosts only, up to the limit'],
  ],
  [
    'sockets before identify',
    HUB_LIMITS.unidentifiedSockets,
    2_000,
    'closed 1013',
    ['security/network-peer.test.ts', 'R20: unidentified connections over the limit are closed with 1013; identified ones do not count'],
  ],
  [
    'sockets before identify, with uws()',
    unidentifiedSocketsMax(HUB_LIMITS, true),
    256,
    'closed 1013',
    ['security/network-peer.test.ts', 'R20: where each unidentified connection can hold a whole frame, together they hold at most 256 MiB'],
  ],
  ['page, rows', HUB_LIMITS.page, 500, '400', ['adapters/http/tasks.test.ts', 'an invalid query is refused, not ignored']],
  ['timer, ms', TIMER_MAX_MS, 3_600_000, 'a look in between', [HERE, 'R20: no timer of the hub is longer than an hour']],
  [
    'lists of capabilities, a token and hour',
    HUB_LIMITS.capabilityListsPerToken,
    256,
    '429',
    [HERE, 'R20: one token may use 256 different capability lists within an hour, then gets 429 with Retry-After'],
  ],
  [
    'ended tasks (0: any number)',
    HUB_LIMITS.endedTasks,
    0,
    'the oldest are removed',
    ['core/hub/removal.test.ts', 'R20: beyond the limit of ended tasks the oldest are removed early, but not within five minutes'],
  ],
  ['max_retries', MAX_RETRIES_MAX, 100, '400', ['adapters/http/submit.test.ts', 'every mistake is reported']],
  [
    'messages of an agent in a minute',
    MESSAGES_A_MINUTE,
    10,
    'rate_limited',
    ['security/other-agent.test.ts', 'an agent may send ten messages a minute; the next is refused with a retry time, and counted'],
  ],
];

t.test('each bound has its value and a test that exceeds it', async (t) => {
  for (const [what, value, wanted, beyond, test] of BOUNDS) {
    t.equal(value, wanted, what);
    t.equal(missingTest(test), null, `${what}: ${beyond}`);
  }
  const listed = new Set(BOUNDS.map(([, value]) => value));
  for (const [name, value] of Object.entries(HUB_LIMITS)) t.ok(listed.has(value), `hub.limits.${name} is in the table`);
});

t.test('R20: with a full inbox submits get 503 and reports no answer, and nothing acknowledged is lost', async (t) => {
  const rig = await hubRig({ limits: { inboxCommands: 8 } });
  const peer = await rig.peer('a1');
  await peer.identify({ slots: 4 });
  const ids = [await rig.submit(), await rig.submit(), await rig.submit()];
  for (const task_id of ids) await peer.send({ type: 'task_accepted', task_id, generation: 1 });
  peer.newFrames();
  // The disk is slow; what is sent meanwhile waits.
  const { tasks } = rig.storage;
  const transact = tasks.transact.bind(tasks);
  const { opened: disk, open: toDisk } = gate();
  Object.assign(tasks, { transact: async (...of: Parameters<typeof transact>) => (await disk, transact(...of)) });
  await peer.send({ type: 'task_complete', task_id: ids[0], generation: 1, result: 'in the batch in progress' });
  const submits = Array.from({ length: 12 }, () =>
    rig.submit().then(
      (id) => id,
      (error: unknown) => (error as { readonly code: string }).code,
    ),
  );
  await peer.send({ type: 'task_complete', task_id: ids[1], generation: 1, result: 'has room: nothing else of its agent waits' });
  await peer.send({ type: 'task_complete', task_id: ids[2], generation: 1, result: 'finds no room' });
  const cancel = rig.queue.do({ kind: 'cancel', taskId: aTaskId(99), by: 'operator' });
  toDisk();
  t.match(await cancel, { kind: 'refused', code: 'unknown_task' }, 'a cancel has reserved room');
  const answers = await Promise.all(submits);
  t.strictSame(answers.filter((answer) => answer === 'AC_HUB_BUSY').length, 4, '8 wait, the rest are asked to retry (503 over HTTP)');
  t.strictSame(
    peer.newFrames().flatMap((frame) => (frame.type === 'task_ack' ? [frame['task_id']] : [])),
    ids.slice(0, 2),
    'the last report is not answered',
  );
  const stored = answers.filter((answer) => answer !== 'AC_HUB_BUSY');
  for (const id of stored) t.ok((await rig.record(id as never)).task, 'an acknowledged task exists');
  await peer.send({ type: 'task_complete', task_id: ids[2], generation: 1, result: 'said again' });
  t.match(
    await Promise.all(ids.map(async (id) => (await rig.record(id)).task.status)),
    ['completed', 'completed', 'completed'],
    'and accepted when it is sent again',
  );
  await rig.stop();
});

t.test('R20: no commit holds more than one batch', async (t) => {
  const rig = await hubRig();
  const inserted: number[] = [];
  watchUnits(rig.storage, (unit) => ({
    save: (changes) => {
      inserted.push(changes.inserted.length);
      return unit.save(changes);
    },
  }));
  const count = 2 * HUB_LIMITS.batchCommands + 1;
  await Promise.all(Array.from({ length: count }, () => rig.submit()));
  t.equal(
    inserted.reduce((sum, rows) => sum + rows, 0),
    count,
  );
  t.equal(Math.max(...inserted), HUB_LIMITS.batchCommands);
  await rig.stop();
});

t.test('R20: with a full outbox no new task is accepted, and no report in it is lost', async (t) => {
  const entry = (n: number): OutboxEntry => ({
    taskId: aTaskId(n),
    generation: 1 as OutboxEntry['generation'],
    report: 'rejected',
    reason: 'busy',
    storeId: 'store-1',
    assignedAtMs: 0,
    keepFiles: false,
  });
  const withReports = (count: number) =>
    online({ slots: 2 }, { ...EMPTY_JOURNAL, outbox: Array.from({ length: count }, (_, n) => entry(100_000 + n)) });
  const nearly = withReports(OUTBOX_MAX - 1);
  t.match(sent(nearly.frame(assignFrame(named(1)))), [{ type: 'task_accepted' }]);
  const full = withReports(OUTBOX_MAX);
  t.match(sent(full.frame(assignFrame(named(1)))), [{ type: 'task_rejected', reason: 'busy' }]);
  t.equal(full.state.journal.outbox.length, OUTBOX_MAX);
});

t.test('R20: an identify with 129 slots or 1,001 held tasks is refused', async (t) => {
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  const held = (count: number) => Array.from({ length: count }, (_, n) => ({ task_id: aTaskId(n + 1), generation: 1, status: 'working' }));
  t.match(await peer.identify({ slots: SLOTS_MAX + 1 }), [{ error: 'validation_failed', errors: [{ field: 'slots' }] }]);
  t.strictSame(await peer.identify({ held: held(HELD_MAX + 1) }), []);
  t.equal(peer.closed(), 1009, 'that many do not even fit into a frame before identify');
  const limits = { unidentifiedFrameBytes: HUB_LIMITS.frameBytes };
  const roomy = await hubRig({ limits });
  const other = await roomy.peer('a1');
  t.match(await other.identify({ held: held(HELD_MAX + 1) }), [{ error: 'validation_failed', errors: [{ field: 'held' }] }]);
  t.match(await other.identify({ slots: SLOTS_MAX, held: held(HELD_MAX) }), [{ type: 'identified' }]);
  await rig.stop();
  await roomy.stop();
});

t.test('R20: one token may send 5,000 requests at once, then gets 429 with Retry-After; 0 turns the limit off', async (t) => {
  const { requestsPerSecond, requestBurst } = HUB_LIMITS;
  const bench = await hubBench({ limits: { requestsPerSecond, requestBurst } });
  const ask = () => bench.send('/api/schemas', { token: 'viewer' });
  const statuses = new Set<number>();
  for (let n = 0; n < requestBurst; n += 1) statuses.add((await ask()).status);
  t.strictSame([...statuses], [200]);
  const over = await ask();
  t.strictSame([over.status, over.json['error'], over.headers.get('retry-after')], [429, 'rate_limited', '1']);
  bench.clock.advance(1);
  t.strictSame([(await ask()).status, (await ask()).status], [200, 429], 'a thousand a second from then on');
  await bench.close();
  const off = await hubBench({ limits: { requestsPerSecond: 0, requestBurst: 1 } });
  for (let n = 0; n < 10; n += 1) t.equal((await off.send('/api/schemas', { token: 'viewer' })).status, 200);
  await off.close();
});

t.test('R20: one token may use 256 different capability lists within an hour, then gets 429 with Retry-After', async (t) => {
  const bench = await hubBench();
  const most = HUB_LIMITS.capabilityListsPerToken;
  const submit = (token: string, ...lists: readonly (readonly string[])[]) => {
    const lines = lists.map((needed_capabilities) => JSON.stringify({ description: 'x', needed_capabilities }));
    return bench.send('/api/tasks/bulk', {
      token,
      method: 'POST',
      body: lines.join('\n'),
      headers: { 'content-type': 'application/x-ndjson' },
    });
  };
  const odd = (n: number): readonly string[] => ['gpu', `odd-${n}`];
  const many = Array.from({ length: most }, (_, n) => odd(n));
  t.equal((await submit('submitter', ...many.slice(1), [], [])).status, 201);
  const over = await submit('submitter', odd(most), odd(0));
  t.match([over.status, over.json['error'], over.headers.get('retry-after')], [429, 'rate_limited', '3600'], 'all of it or none');
  t.match(over.json['message'], /needed_capabilities/);
  t.equal((await submit('submitter', odd(most))).status, 201, 'one more is allowed');
  t.equal((await submit('submitter', odd(0))).status, 429);
  t.equal((await submit('submitter', ['odd-7', 'gpu', 'gpu'], [])).status, 201, 'a list that was used before, in any order');
  t.equal((await submit('admin', odd(0))).status, 201, 'other tokens have their own limit');
  bench.clock.advance(3_600_000);
  t.equal((await submit('submitter', odd(0))).status, 201);
  await bench.close();
});

t.test('R20: no timer of the hub is longer than an hour', async (t) => {
  const rig = await hubRig();
  const clock = virtualClock();
  const requested: Command[] = [];
  const sweeper = new Sweeper({
    clock,
    inbox: {
      do: () => Promise.reject(new Error('no command waits for a sweep')),
      doAll: () => Promise.reject(new Error('no command waits for a sweep')),
      post: (command, settled) => {
        requested.push(command);
        settled({ ok: true, answer: { kind: 'noted' } as never });
      },
      expect: () => () => undefined,
      hasWaiters: () => false,
    },
    context: { ...rig.context, timing: { ...HUB_TIMING, sweepMs: 30 * 24 * TIMER_MAX_MS } },
    nextDueAtMs: () => Promise.resolve(null),
  });
  sweeper.start();
  await clock.walk(1_000, () => new Promise((resolve) => setImmediate(resolve)));
  const before = requested.length;
  await clock.walk(TIMER_MAX_MS + 1_000, () => new Promise((resolve) => setImmediate(resolve)));
  t.equal(requested.length, before + 1, 'it sweeps once an hour, although nothing is due for a month');
  sweeper.stop();
  await rig.stop();
});
