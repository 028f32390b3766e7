/** After an outage many large reports wait for one slow connection: each is sent once the hub has received the one before it. */
import t from 'tap';
import type { Fate } from '../../product/twins/wire-memory/crossing.ts';
import { reportSendQueue } from '../../../core/application/sidecar/report/report-send-queue.ts';
import { SOCKET_BYTES_MAX } from '../../../core/application/sidecar/state/constants.ts';
import { EMPTY_JOURNAL } from '../../../core/application/sidecar/state/journal-state.ts';
import type { Generation, TaskId } from '../../../core/domain/ids.ts';
import type { OutboxEntry } from '../../../core/domain/assignment/outbox.ts';
import { START_MS } from './rig/stage.ts';
import { room, welcome } from './rig/sidecar-room.ts';

const REPORTS = 28;
const BYTES = 1_000_000;
const BYTES_PER_MS = 2_000;

const entryOf = (n: number): OutboxEntry => ({
  taskId: `task-${String(n).padStart(16, '0')}` as TaskId,
  generation: 1 as Generation,
  report: 'complete',
  reason: null,
  storeId: 'store-1',
  assignedAtMs: START_MS,
  keepFiles: false,
});
const bodyOf = ({ taskId, generation }: OutboxEntry): string =>
  JSON.stringify({ type: 'task_complete', task_id: taskId, generation, result: { output: 'x'.repeat(BYTES) } });

t.test('R5: reports on a slow connection are sent one by one, each once, and the connection stays up', async (t) => {
  let busyUntilMs = 0;
  let onTheWay = 0;
  let most = 0;
  const made = await room({
    hub: (frame, say) => {
      welcome(frame, say);
      if (frame['type'] !== 'task_complete') return;
      onTheWay -= BYTES;
      say({ type: 'task_ack', task_id: String(frame['task_id']), generation: 1, status: 'complete' });
    },
    fate:
      (clock): Fate =>
      ({ from, kind, text }) => {
        if (from !== 'sidecar' || kind !== 'frame') return [{ delayMs: 0 }];
        if (text.length > BYTES) onTheWay += BYTES;
        most = Math.max(most, onTheWay);
        const nowMs = clock.monotonicMs();
        busyUntilMs = Math.max(busyUntilMs, nowMs) + text.length / BYTES_PER_MS;
        return [{ delayMs: Math.ceil(busyUntilMs - nowMs) }];
      },
  });
  const outbox = Array.from({ length: REPORTS }, (_, n) => entryOf(n));
  await made.journal.open();
  await made.journal.save({ ...EMPTY_JOURNAL, outbox });
  for (const entry of outbox) await made.journal.writeReport(entry, bodyOf(entry));
  await made.journal.close();
  await made.sidecar.start();
  // At full speed it takes 14 s; an unanswered report is resent after 5 s, and again after 10 s more.
  await made.pass(15_500);
  t.ok(most <= SOCKET_BYTES_MAX + 2 * BYTES, `${most} bytes in flight at once`);
  t.strictSame(
    made.messages.filter((frame) => frame['type'] === 'task_complete').map((frame) => frame['task_id']),
    outbox.map(({ taskId }) => taskId),
    'each once, in order, without a pause',
  );
  t.equal(made.types().filter((type) => type === 'identify').length, 1);
  for (const entry of outbox) t.equal(await made.journal.readReport(entry), null);
  await made.sidecar.stop();
});

t.test('R5: a report that is slow to leave the socket is not queued twice, and then waits for its ack', async (t) => {
  const SLOW_BYTES_PER_MS = 100;
  const made = await room({
    hub: welcome,
    fate:
      () =>
      ({ from, kind, text }) => [{ delayMs: from === 'sidecar' && kind === 'frame' ? Math.ceil(text.length / SLOW_BYTES_PER_MS) : 0 }],
  });
  const entry = entryOf(0);
  await made.journal.open();
  await made.journal.save({ ...EMPTY_JOURNAL, outbox: [entry] });
  await made.journal.writeReport(entry, bodyOf(entry));
  await made.journal.close();
  await made.sidecar.start();
  const reports = (): number => made.messages.filter((frame) => frame['type'] === 'task_complete').length;
  // It takes 10 s; an unanswered report is resent after 5 s, and again after 10 s more.
  await made.pass(19_000);
  t.equal(reports(), 1);
  await made.pass(12_500);
  t.equal(reports(), 2, 'without an ack it is resent');
  const stopped = made.sidecar.stop();
  await made.pass(10_000);
  await stopped;
});

t.test('R5: an unreadable report does not block the ones behind it', async (t) => {
  const [sent, failed]: [string[], string[]] = [[], []];
  let hasRoom = false;
  const queue = reportSendQueue({
    hasRoom: () => hasRoom,
    readAndSend: ({ taskId }) => {
      if (taskId === entryOf(0).taskId) return Promise.reject(new Error('cannot be read'));
      sent.push(taskId);
      return Promise.resolve();
    },
    failed: ({ taskId }, thrown) => failed.push(`${taskId}: ${String(thrown)}`),
    bufferedBytes: () => 0,
    reportFlushed: () => undefined,
  });
  for (const n of [0, 1]) await queue.enqueue(entryOf(n));
  hasRoom = true;
  queue.onFlushed();
  await new Promise(setImmediate);
  t.strictSame(sent, [entryOf(1).taskId]);
  t.strictSame(failed, [`${entryOf(0).taskId}: Error: cannot be read`]);
  await queue.enqueue(entryOf(2));
  t.strictSame(sent, [entryOf(1).taskId, entryOf(2).taskId], 'the queue still sends');
});
