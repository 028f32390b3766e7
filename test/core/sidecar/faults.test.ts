import t from 'tap';
import { ENDED_CHARACTERS_MAX } from '../../../core/domain/assignment/ended-assignments.ts';
import type { AssignmentId } from '../../../core/domain/assignment/slot.ts';
import { encodedBytes } from '../../../core/domain/encoded-text.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import { JOURNAL_BYTES_MAX } from '../../../core/ports/journal.ts';
import { HELD_TASKS_BYTES_MAX } from '../../../core/protocol/fields.ts';
import { EMPTY_JOURNAL } from '../../../core/application/sidecar/state/journal-state.ts';
import type { Effect } from '../../../core/application/sidecar/state/effects.ts';
import { frameIds } from '../../../core/application/sidecar/state/state.ts';
import type { SidecarInput } from '../../../core/application/sidecar/state/inputs.ts';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import {
  assignFrame,
  exited,
  named,
  online,
  only,
  OTHER,
  sent,
  SPAWNED,
  startedFor,
  stoppedRun,
  TASK,
  waking,
  words,
  working,
  type Stage,
} from './rig/stage.ts';

const RESULT: SidecarInput = {
  type: 'file_event',
  event: { kind: 'result', assignment: named(), value: { status: 'success' }, replaced: false },
};

/** Processes an event whose durable effects fail, as the driver does: the state is restored, and the failure is the next input. */
function takeFailing(sidecar: Stage, event: SidecarInput): readonly Effect[] {
  const before = sidecar.state;
  sidecar.take(event);
  sidecar.state = before;
  return sidecar.take({ type: 'persist_failed', input: event, message: 'disk full' });
}
const offer = (sidecar: Stage, generation = 1): SidecarInput => ({
  type: 'frame',
  connectionId: sidecar.state.link.connectionId,
  frame: assignFrame(named(generation)),
});

t.test('R3: a task that cannot be journaled is rejected, and the hub is notified', async (t) => {
  const sidecar = online();
  const effects = takeFailing(sidecar, offer(sidecar));
  t.same(sent(effects), [
    { type: 'draining', reason: 'journal_unwritable' },
    { type: 'task_rejected', task_id: TASK, generation: 1, reason: 'journal_unwritable' },
  ]);
  t.equal(startedFor(effects, 'journal'), 5_000);
  t.same(sidecar.state.journal.slots, []);
  t.same(words(sidecar.frame(assignFrame(named(2)))), ['send task_rejected'], 'rejected without another disk access');
});

t.test('R4: a result that cannot be stored waits, and is reported once it can be', async (t) => {
  const sidecar = working();
  takeFailing(sidecar, RESULT);
  t.equal(sidecar.slot()?.status, 'working', 'nothing is sent or settled');
  t.same(words(sidecar.timer('lease')), ['send task_progress'], 'the lease is still renewed');
  t.same(words(sidecar.wake(exited(0))), [], 'later events of the run wait behind it');
  const retried = sidecar.timer('journal');
  t.same(words(retried), ['writeReport', 'persist', 'send task_complete']);
  t.equal(startedFor(retried, 'journal'), 0);
  t.same(words(sidecar.timer('journal')), ['unwatch', 'persist']);
  t.same(words(sidecar.timer('journal')), ['persist', 'measureDisk']);
  t.equal(sidecar.state.fault, null);
  t.match(sent(sidecar.frame(assignFrame(named(1, OTHER)))), [{ type: 'task_rejected', reason: 'journal_unwritable' }]);
  const short = sidecar.take({ type: 'disk_measured', refusedBytes: 0, hasReserve: false });
  t.same(words(short), ['send runner_checks'], 'the disk reserve is not restored: the remaining space is for running tasks');
  t.equal(startedFor(short, 'disk'), 5_000);
  t.same(words(sidecar.take({ type: 'disk_measured', refusedBytes: 0, hasReserve: true })), ['send runner_checks', 'send resumed']);
  t.same(words(sidecar.frame(assignFrame(named(1, OTHER)))), ['persist', 'send task_accepted', 'prepare'], 'tasks are accepted again');
});

t.test('while the disk still fails, deferred inputs keep waiting, in order', async (t) => {
  const sidecar = waking();
  takeFailing(sidecar, { type: 'wake_event', assignment: named(), runId: 'run-1', event: SPAWNED });
  t.same(sidecar.wake({ type: 'started' }), []);
  t.equal(sidecar.state.fault?.deferred.length, 2);
  const effects = takeFailing(sidecar, { type: 'timer', timer: { purpose: 'journal' } });
  t.equal(startedFor(effects, 'journal'), 5_000);
  t.same(sent(effects), [], 'the hub is notified once');
  t.equal(sidecar.state.fault?.deferred.length, 2);
  sidecar.timer('journal');
  t.match(sidecar.slot(), { status: 'waking', run: { process: { pid: 4242 } } });
  sidecar.timer('journal');
  t.equal(sidecar.slot()?.status, 'working');
});

t.test('R4: a folder unwatched by a failed step is watched again, since its agent may yet be woken', (t) => {
  const sidecar = waking();
  sidecar.wake(SPAWNED);
  sidecar.wake(exited(0));
  sidecar.scanned();
  t.match(sidecar.slot(), { status: 'waking', run: null, wakes: 1 }, 'between two attempts');
  const cancelled: SidecarInput = {
    type: 'frame',
    connectionId: 1,
    frame: { type: 'task_cancelled', ...frameIds(named()), reason: 'cancelled', grace_ms: 50 },
  };
  const effects = takeFailing(sidecar, cancelled);
  t.ok(only(sidecar.all, 'unwatch').length > 0, 'the failed effect list had begun with unwatch');
  t.match(only(effects, 'watch'), [{ assignment: named() }]);
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('journal');
  t.match(sidecar.slot(), { status: 'waking', stop: null }, 'a frame of a closed connection is not processed again');
  sidecar.timer('journal');
  sidecar.timer('retry');
  t.match(words(sidecar.prepared()), ['persist', 'wake']);
  t.same(words(sidecar.take(RESULT)), ['writeReport', 'persist']);
  t.end();
});

t.test('R11: a run that must stop is stopped at once, even if the journal fails', async (t) => {
  // Before, its task was given to another agent meanwhile, and ran twice for as long as the disk was full.
  const cancelled = (sidecar: Stage): SidecarInput => ({
    type: 'frame',
    connectionId: sidecar.state.link.connectionId,
    frame: { type: 'task_cancelled', ...frameIds(named()), reason: 'reclaimed', grace_ms: 50 },
  });
  const first = working();
  t.same(only(takeFailing(first, cancelled(first)), 'kill').length, 1, 'if the journal fails on this frame');
  t.equal(first.slot()?.stop, null, 'nothing else is done');
  const later = working();
  takeFailing(later, RESULT);
  t.same(words(later.take(cancelled(later))), ['kill'], 'while an earlier input waits for the journal');
});

t.test('R11: a cancel is not confirmed before its end is journaled', async (t) => {
  const sidecar = working();
  takeFailing(sidecar, { type: 'frame', connectionId: 1, frame: { type: 'task_cancelled', ...frameIds(named()) } });
  t.same(
    only(sidecar.all, 'send').filter((effect) => effect.frame.type === 'task_cancel_ack'),
    [],
  );
  t.same(words(sidecar.timer('journal')), ['withdraw', 'persist', 'kill']);
});

t.test('a hub that connects during a journal fault is notified, and its aborts are repeated as refusals', async (t) => {
  const sidecar = working();
  takeFailing(sidecar, RESULT);
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  const effects = sidecar.identify({ held: [{ task_id: TASK, generation: 1, action: 'abort' }] });
  t.match(sent(effects), [{ type: 'identify' }, { type: 'draining', reason: 'journal_unwritable' }, { type: 'task_progress' }]);
  t.equal(sidecar.state.link.phase, 'identified');
});

t.test('frames that wait for the journal still count as signs of life of the hub', async (t) => {
  const sidecar = working();
  takeFailing(sidecar, RESULT);
  sidecar.timer('ping');
  sidecar.frame({ type: 'task_nack', task_id: TASK, generation: 1, reason: 'stale_generation' });
  t.same(sidecar.timer('pong'), []);
  t.equal(sidecar.state.fault?.deferred.length, 2);
});

t.test('R12: a task that is handed back is reported as released, even if its run ends while the journal fails', async (t) => {
  // Before, it was reported as lost: an attempt, and a strike against the machine.
  const inability: WakeEvent = {
    type: 'failed',
    phase: 'agent',
    kind: 'auth',
    message: 'not logged in',
    retryable: false,
    beforeWork: true,
  };
  for (const last of [stoppedRun(), exited(0)]) {
    const sidecar = waking();
    sidecar.wake(SPAWNED);
    takeFailing(sidecar, { type: 'wake_event', assignment: named(), runId: 'run-1', event: inability });
    t.same(words(sidecar.wake(last)), []);
    t.same(words(sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error: null })), []);
    takeFailing(sidecar, { type: 'timer', timer: { purpose: 'journal' } });
    sidecar.timer('journal');
    t.match(sidecar.slot(), { stop: { cause: 'released' } });
    t.same(words(sidecar.timer('journal')), ['scan']);
    sidecar.scanned();
    while (sidecar.state.fault !== null) sidecar.timer('journal');
    t.match(sent(sidecar.all).at(-1), { type: 'task_released', cause: 'auth' });
    t.same(sidecar.state.journal.slots, []);
  }
});

t.test('R20: while the journal fails, run events are deferred, one of each kind, including the final one', async (t) => {
  const sidecar = waking();
  takeFailing(sidecar, { type: 'wake_event', assignment: named(), runId: 'run-1', event: SPAWNED });
  for (let count = 0; count < 2_000; count += 1) {
    sidecar.wake({ type: 'progress', message: `step ${count}` });
    sidecar.wake({ type: 'started', sessionId: `ses_${count}` });
    sidecar.sight({ kind: 'progress', percent: 1, message: `line ${count}`, tokensUsed: null });
    sidecar.take(RESULT);
    sidecar.sight({ kind: 'invalid', reason: 'result_invalid', message: 'The result is empty.' });
    sidecar.timer('run_max');
  }
  sidecar.wake(exited(0));
  t.ok((sidecar.state.fault?.deferred.length ?? 0) < 10, `${sidecar.state.fault?.deferred.length} wait`);
  while (sidecar.state.fault !== null) sidecar.timer('journal');
  const reports = sent(sidecar.all).filter(({ type }) => type !== 'task_output');
  t.match(reports.at(-1), { type: 'task_complete' }, 'the first reported end counts');
});

t.test('deferred frames beyond the limit are dropped; run events never are', async (t) => {
  const sidecar = working();
  takeFailing(sidecar, { type: 'timer', timer: { purpose: 'run_max', assignment: named() } });
  for (let count = 0; count < 1_100; count += 1) {
    sidecar.frame({ type: 'task_cancelled', ...frameIds(named()) });
  }
  t.equal(sidecar.state.fault?.deferred.length, 1_000);
  sidecar.take(RESULT);
  t.equal(sidecar.state.fault?.deferred.length, 1_001);
});

t.test('a journal timer without a fault does nothing', async (t) => {
  t.same(online().timer('journal'), []);
});

t.test('R20: while the journal fails, the hub frames that wait are bounded in bytes', async (t) => {
  const sidecar = working();
  takeFailing(sidecar, RESULT);
  const ballast = 'x'.repeat(500_000);
  for (let count = 0; count < 100; count += 1)
    sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1, reason: `${count} ${ballast}` });
  const waiting = sidecar.state.fault?.deferred ?? [];
  t.ok(waiting.length > 1 && JSON.stringify(waiting).length < 16_777_216, `${waiting.length} wait`);
  t.match(only(sidecar.all, 'log').at(-1), { message: /dropped a hub frame/ });
  const large = working();
  takeFailing(large, RESULT);
  large.frame({ type: 'task_cancelled', task_id: TASK, generation: 1, reason: 'x'.repeat(20_000_000) });
  t.equal(large.state.fault?.deferred.length, 2, 'one that is too large by itself is not lost');
});

t.test('R20: a full journal has room for the reasons of all runs, however long they are', async (t) => {
  const reason = `Claude Code: "${'ä'.repeat(4_000)}". Log in to the program.`;
  const ways: readonly ((sidecar: Stage, of: AssignmentId) => void)[] = [
    (sidecar, of) => sidecar.wake({ type: 'failed', phase: 'agent', kind: 'auth', message: reason, retryable: false }, of),
    (sidecar, of) => sidecar.frame({ type: 'task_cancelled', ...frameIds(of), reason }),
  ];
  for (const stop of ways) {
    const ended = Array.from({ length: ENDED_CHARACTERS_MAX / 50 }, (_, number) => `${hex(number)}0000 1 c 491234`);
    const sidecar = online({ slots: 128 }, { ...EMPTY_JOURNAL, ended });
    const all = Array.from({ length: 128 }, (_, number) => named(1, `task-f${hex(number).slice(1)}` as TaskId));
    for (const of of all) {
      sidecar.frame(assignFrame(of, { description: 'd'.repeat(2_700), session_id: hex(0) }));
      sidecar.prepared(of);
      sidecar.wake(SPAWNED, of);
      sidecar.wake({ type: 'started' }, of);
    }
    const { journal } = sidecar.state;
    t.ok(encodedBytes(journal.slots.map(({ task }) => task)) > 0.95 * HELD_TASKS_BYTES_MAX, 'as many tasks as fit');
    t.ok(encodedBytes(journal.ended) > 0.95 * ENDED_CHARACTERS_MAX, 'as many ended assignments as fit');
    t.equal(journal.outbox.length, 128, 'no acceptance is acknowledged yet');
    for (const of of all) stop(sidecar, of);
    const bytes = encodedBytes(sidecar.state.journal);
    t.ok(bytes <= JOURNAL_BYTES_MAX, `while they are stopped: ${bytes} bytes`);
    for (const of of all) {
      sidecar.wake(stoppedRun(), of);
      sidecar.scanned(of);
    }
    t.same(sidecar.state.journal.slots, []);
    t.ok(encodedBytes(sidecar.state.journal) <= JOURNAL_BYTES_MAX, 'and while their releases are unanswered');
    const released = sent(sidecar.all).filter(({ type }) => type === 'task_released');
    if (released.length > 0) t.match(released.at(-1), { reason: /^Claude Code: "ä{50,} … ä{50,}"\. Log in to the program\.$/ });
  }
});

const hex = (number: number): string => number.toString(16).padStart(32, '0');
