import t from 'tap';
import type { AssignmentId } from '../../../core/domain/assignment/slot.ts';
import type { Generation, TaskId } from '../../../core/domain/ids.ts';
import { HELD_TASK_COUNTED_BYTES_MAX, HELD_TASKS_BYTES_MAX, SLOTS_MAX } from '../../../core/protocol/fields.ts';
import {
  assignFrame,
  exited,
  named,
  NONCE,
  online,
  only,
  OTHER,
  sent,
  stage,
  START_MS,
  startedFor,
  TASK,
  waking,
  WOKEN,
  words,
  working,
} from './rig/stage.ts';

t.test('R3 J5: a task is journaled in full, with its report, before it is accepted', async (t) => {
  const sidecar = online();
  const effects = sidecar.frame(assignFrame());
  t.same(words(effects), ['persist', 'send task_accepted', 'prepare']);
  const [persisted] = only(effects, 'persist');
  t.equal(persisted?.journal.slots[0]?.status, 'accepted');
  t.equal(persisted?.journal.slots[0]?.task['description'], 'count the words');
  t.equal(persisted?.journal.slots[0]?.storeId, 'store-1');
  t.equal(persisted?.journal.outbox[0]?.report, 'accepted');
  t.same(sent(effects), [{ type: 'task_accepted', task_id: TASK, generation: 1 }]);
  t.equal(startedFor(effects, 'lease'), 100_000, 'the lease is renewed every third of its length, from acceptance on');
  t.equal(startedFor(effects, 'run_max'), 3_600_000);
});

t.test('the agent receives the task fields sent by the hub and nothing else', async (t) => {
  const sidecar = online();
  const frame = {
    ...assignFrame(named(), { file_hints: ['a.ts', { path: 'b.ts' }], verification_steps: [{ type: 'git_clean' }], repo: 'git@x' }),
    token: 'not for agents',
  };
  sidecar.frame(frame);
  t.same(sidecar.slot()?.task, {
    task_id: TASK,
    generation: 1,
    description: 'count the words',
    metadata: { a: 1 },
    assigned_at: START_MS,
    repo: 'git@x',
    branch: null,
    file_hints: ['a.ts', { path: 'b.ts' }],
    success_criteria: [],
    verification_steps: [{ type: 'git_clean' }],
    run_max_ms: 3_600_000,
    complete_by: null,
  });
});

t.test('R4: the accept options of a task reach its runner, without options this sidecar does not know', (t) => {
  const sidecar = online();
  const accept = { empty: true, truncated: false, later: true };
  sidecar.frame(assignFrame(named(), { accept }));
  t.same(sidecar.slot()?.task['accept'], { empty: true });
  t.end();
});

t.test('R10: an assignment that is offered again is never run twice', async (t) => {
  const cases: readonly { readonly name: string; readonly make: () => ReturnType<typeof online>; readonly answer: readonly string[] }[] = [
    { name: 'accepted', make: () => accepted(), answer: ['send task_accepted'] },
    { name: 'being woken', make: () => waking(), answer: ['send task_accepted'] },
    { name: 'at work', make: () => working(), answer: ['send task_accepted'] },
    { name: 'reported, unanswered', make: () => reported(), answer: ['readReport'] },
    { name: 'complete and answered', make: () => answered('complete'), answer: ['send task_rejected'] },
    { name: 'refused', make: () => refused(), answer: ['send task_rejected'] },
    { name: 'cancelled before it was woken', make: () => cancelled(), answer: ['send task_cancel_ack'] },
    { name: 'cancelled before it was offered', make: () => cancelledUnseen(), answer: ['send task_cancel_ack'] },
    { name: 'rejected, unanswered', make: () => rejected(), answer: ['send task_rejected'] },
    { name: 'being stopped', make: () => beingStopped(), answer: [] },
  ];
  for (const { name, make, answer } of cases) {
    const sidecar = make();
    const before = sidecar.state.journal;
    t.same(words(sidecar.frame(assignFrame())), answer, name);
    t.equal(sidecar.state.journal, before, `${name}: the journal is unchanged`);
  }
});

t.test('R10: an offer older than a known generation is rejected as superseded', async (t) => {
  for (const make of [() => working({}, named(5)), () => reported(5), () => answered('complete', 5)]) {
    const sidecar = make();
    const effects = sidecar.frame(assignFrame(named(4)));
    t.same(sent(effects), [{ type: 'task_rejected', task_id: TASK, generation: 4, reason: 'superseded' }]);
    t.same(words(effects), ['send task_rejected'], 'not journaled: the hub refuses it anyway');
  }
});

t.test('a higher generation waits until the run of the lower one has stopped', async (t) => {
  const sidecar = working();
  const effects = sidecar.frame(assignFrame(named(3)));
  t.same(words(effects), ['withdraw', 'persist', 'kill', 'send task_accepted'], 'accepted, but not prepared');
  t.equal(sidecar.slot()?.stop?.cause, 'taken_back');
  t.same(words(sidecar.wake({ type: 'stopped', survivors: [] })), ['scan'], 'still waiting');
  t.same(words(sidecar.scanned()), ['unwatch', 'removeFiles', 'persist', 'prepare'], 'now its slot is free');
  t.same(words(sidecar.prepared(named(3))), ['persist', 'watch', 'wake']);
});

t.test('a new task is accepted while the previous agent shuts down, and woken once it is gone', async (t) => {
  const sidecar = reported();
  sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
  t.same(words(sidecar.frame(assignFrame(named(1, OTHER)))), ['persist', 'send task_accepted']);
  t.same(words(sidecar.wake(exited(0))), ['unwatch', 'removeFiles', 'persist', 'prepare']);
});

t.test('rejections are sent and repeated as reports', async (t) => {
  t.test('busy, when every slot owes a final report', async (t) => {
    const sidecar = working();
    const effects = sidecar.frame(assignFrame(named(1, OTHER)));
    t.same(words(effects), ['persist', 'send task_rejected']);
    t.match(sent(effects), [{ reason: 'busy' }]);
    t.equal(startedFor(effects, 'repeat'), 5_000);
    t.same(words(sidecar.frame({ type: 'task_ack', task_id: OTHER, generation: 1, status: 'rejected' })), ['persist']);
    t.equal(sidecar.state.journal.outbox.length, 0);
  });
  t.test('as many tasks as slots are accepted', async (t) => {
    const sidecar = online({ slots: 2 });
    t.same(words(sidecar.frame(assignFrame())), ['persist', 'send task_accepted', 'prepare']);
    t.same(words(sidecar.frame(assignFrame(named(1, OTHER)))), ['persist', 'send task_accepted', 'prepare']);
  });
  t.test('draining', async (t) => {
    const sidecar = online();
    sidecar.frame({ type: 'drain' });
    t.match(sent(sidecar.frame(assignFrame())), [{ type: 'task_rejected', reason: 'draining' }]);
  });
  t.test('tasks that do not fit into the journal', async (t) => {
    const sidecar = online({ slots: 1_000 });
    const description = 'x'.repeat(HELD_TASK_COUNTED_BYTES_MAX);
    const nth = (n: number): AssignmentId => named(1, `task-${n.toString(16).padStart(32, '0')}` as TaskId);
    const room = HELD_TASKS_BYTES_MAX / HELD_TASK_COUNTED_BYTES_MAX;
    t.ok(room >= SLOTS_MAX, 'there is always room for as many as an agent may have slots');
    for (let n = 0; n < room; n += 1) {
      const [answer] = sent(sidecar.frame(assignFrame(nth(n), { description })));
      if (answer?.['type'] !== 'task_accepted') t.fail(`task ${n} was not accepted`);
    }
    t.match(sent(sidecar.frame(assignFrame(nth(room), { description }))), [{ type: 'task_rejected', cause: 'no_room' }]);
    sidecar.frame({ type: 'task_cancelled', task_id: nth(0).taskId, generation: nth(0).generation });
    t.match(sent(sidecar.frame(assignFrame(nth(room), { description }))), [{ type: 'task_accepted' }], 'once there is room');
  });
  t.test('large tasks count little, since they are stored apart', async (t) => {
    const sidecar = online({ slots: 100 });
    for (let n = 0; n < 100; n += 1) {
      const id = named(1, `task-${n.toString(16).padStart(32, '0')}` as TaskId);
      const [answer] = sent(sidecar.frame(assignFrame(id, { description: 'x'.repeat(300_000) })));
      if (answer?.['type'] !== 'task_accepted') t.fail(`task ${n} was not accepted`);
    }
  });
  t.test('a task that would not even fit alone: for good, and without a report', async (t) => {
    const sidecar = online({ slots: 8 });
    const effects = sidecar.frame(assignFrame(named(), { description: 'x'.repeat(HELD_TASKS_BYTES_MAX) }));
    t.same(words(effects), ['send task_rejected']);
    t.match(sent(effects), [{ cause: 'policy', reason: /^too large: 393\d{3} bytes as JSON; a sidecar holds tasks of at most 393216/ }]);
  });
});

t.test('a stopping sidecar does not answer an offer: the next process gets it again', async (t) => {
  const sidecar = working({ slots: 2 });
  sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false });
  sidecar.take({ type: 'stop' });
  t.equal(sidecar.state.phase, 'stopping');
  t.same(sidecar.frame(assignFrame(named(1, OTHER))), []);
});

t.test('offers before identified or on another connection are ignored', async (t) => {
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 });
  t.same(sidecar.frame(assignFrame()), []);
  const later = online();
  t.same(later.take({ type: 'frame', connectionId: 0, frame: assignFrame() }), []);
});

function accepted() {
  const sidecar = online();
  sidecar.frame(assignFrame());
  return sidecar;
}
function reported(generation = 1) {
  const sidecar = working({}, named(generation));
  sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false }, named(generation));
  return sidecar;
}
function answered(status: string, generation = 1) {
  const sidecar = reported(generation);
  sidecar.wake(exited(0), named(generation));
  sidecar.frame({ type: 'task_ack', task_id: TASK, generation: generation as Generation, status });
  return sidecar;
}
function refused() {
  const sidecar = reported();
  sidecar.wake(exited(0));
  // The first refusal may be the answer to the accept or to progress.
  sidecar.frame({ type: 'task_nack', task_id: TASK, generation: 1, reason: 'stale_generation' });
  sidecar.frame({ type: 'task_nack', task_id: TASK, generation: 1, reason: 'stale_generation' });
  return sidecar;
}
function cancelled() {
  const sidecar = accepted();
  sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  return sidecar;
}
function cancelledUnseen() {
  const sidecar = online();
  sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  return sidecar;
}
function rejected() {
  const sidecar = working({}, named(1, OTHER));
  sidecar.frame(assignFrame());
  return sidecar;
}
function beingStopped() {
  const sidecar = waking();
  sidecar.wake(WOKEN);
  sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  return sidecar;
}
