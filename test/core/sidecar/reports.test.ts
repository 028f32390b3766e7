import t from 'tap';
import type { Effect } from '../../../core/application/sidecar/state/effects.ts';
import type { NackReason } from '../../../core/protocol/hub-frames.ts';
import { assignFrame, named, online, only, sent, startedFor, stoppedRun, TASK, words, working, type Stage } from './rig/stage.ts';

const RESULT = { kind: 'result', value: { status: 'success', output: 'x' }, replaced: false } as const;
const ack = (status: string, generation = 1) => ({ type: 'task_ack', task_id: TASK, generation, status }) as const;
const nack = (reason: NackReason, generation = 1) => ({ type: 'task_nack', task_id: TASK, generation, reason }) as const;

t.test('R5: an unacknowledged report is resent after 5 s, doubling to 60 s, and after every identified', async (t) => {
  const sidecar = reported();
  const delays = [startedFor(sidecar.all, 'repeat')];
  for (let sending = 0; sending < 6; sending += 1) {
    const effects = sidecar.timer('repeat');
    t.same(words(effects), ['readReport']);
    delays.push(startedFor(effects, 'repeat'));
    t.same(words(read(sidecar)), ['send task_complete']);
  }
  t.same(delays, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  t.same(sidecar.timer('repeat'), [], 'no hub is connected');
  sidecar.timer('reconnect');
  const again = sidecar.identify();
  t.same(words(again), ['send identify', 'readReport']);
  t.equal(startedFor(again, 'repeat'), 5_000, 'the backoff starts over');
});

t.test('R5: an unacknowledged accept is resent the same way', async (t) => {
  const sidecar = online();
  sidecar.frame(assignFrame());
  t.same(words(sidecar.timer('repeat')), ['send task_accepted']);
  t.same(words(sidecar.frame(ack('accepted'))), ['persist']);
  t.same(sidecar.timer('repeat'), []);
});

t.test('a final report implies its accept and replaces it', async (t) => {
  const sidecar = online();
  sidecar.frame(assignFrame());
  sidecar.prepared();
  sidecar.sight(RESULT);
  t.same(
    sidecar.state.journal.outbox.map((entry) => entry.report),
    ['complete'],
  );
  t.same(sidecar.frame(ack('accepted')), [], 'a late ack of the accept does not acknowledge the final report');
  t.equal(sidecar.state.journal.outbox.length, 1);
});

t.test('J2: each final report is ended only by the ack statuses that match it', async (t) => {
  const success = RESULT;
  const failure = { kind: 'result', value: { status: 'failed', reason: 'r' }, replaced: false } as const;
  const cases = [
    { end: success, ends: ['complete', 'late'], not: ['accepted', 'retried', 'dead_letter', 'rejected', 'released'] },
    { end: failure, ends: ['retried', 'dead_letter', 'late'], not: ['accepted', 'complete', 'rejected', 'released'] },
  ];
  for (const { end, ends, not } of cases) {
    for (const status of ends) t.same(words(reported(end).frame(ack(status))), ['removeReport', 'persist'], `${status} ends it`);
    for (const status of not) {
      const sidecar = reported(end);
      sidecar.frame(ack(status));
      t.equal(sidecar.state.journal.outbox.length, 1, `${status} acknowledges something else`);
    }
    t.same(reported(end).frame({ type: 'task_ack', task_id: TASK, status: 'complete' }), [], 'a missing generation is never defaulted');
    t.same(reported(end).frame(ack('complete', 2)), [], 'another generation');
  }
});

t.test('the report is removed before its files; the folder once the run is gone too', async (t) => {
  const sidecar = reported();
  sidecar.wake(stoppedRun());
  t.same(words(sidecar.frame(ack('complete'))), ['removeReport', 'removeFiles', 'persist']);
  t.same(sidecar.state.journal.outbox, []);
  const later = reported();
  t.same(words(later.frame(ack('complete'))), ['removeReport', 'persist']);
  t.same(words(later.wake(stoppedRun())), ['unwatch', 'removeFiles', 'persist']);
});

t.test('J2: a refusal of an earlier frame never counts as the answer to the final report', async (t) => {
  const sidecar = reported();
  for (const refuses of ['task_accepted', 'wake_result', 'task_progress', 'task_progress'])
    t.same(sidecar.frame({ ...nack('stale_generation'), refuses }), [], refuses);
  t.same(words(sidecar.frame(ack('late'))), ['removeReport', 'persist'], 'the real answer follows by itself');
  for (const refuses of ['task_complete', 'task_failed'])
    t.same(
      words(reported().frame({ ...nack('stale_generation'), refuses })),
      ['refuseReport', 'persist'],
      `a refusal of the report itself is final: ${refuses}`,
    );
});

t.test('R4: a refused final report is moved to refused/ for the operator', async (t) => {
  for (const reason of ['stale_generation', 'not_assignee', 'unknown_task', 'invalid_state', 'validation_failed'] as const) {
    const sidecar = reported();
    const first = sidecar.frame(nack(reason));
    t.same(words(first), ['readReport'], 'it may answer the accept or progress: resent once');
    const second = sidecar.frame(nack(reason));
    t.same(words(second), ['refuseReport', 'persist']);
    t.match(only(second, 'refuseReport'), [{ reason }]);
  }
});

t.test('R4: a final report that is the only frame sent on this connection is refused at once', async (t) => {
  const sidecar = reported();
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  sidecar.identify();
  t.same(words(sidecar.frame(nack('stale_generation'))), ['refuseReport', 'persist']);
});

t.test('J2: a late ack after a refused progress still counts as late, not refused', async (t) => {
  const sidecar = reported();
  sidecar.frame(nack('stale_generation'));
  t.same(words(sidecar.frame(ack('late'))), ['removeReport', 'persist']);
});

t.test('R11: a refusal that shows that the assignment is gone stops its run', async (t) => {
  for (const reason of ['stale_generation', 'not_assignee', 'unknown_task'] as const) {
    const sidecar = working();
    t.same(words(sidecar.frame(nack(reason))), ['withdraw', 'persist', 'kill'], reason);
    sidecar.wake(stoppedRun());
    t.same(words(sidecar.scanned()), ['unwatch', 'removeFiles', 'persist'], 'nothing is confirmed: no cancel was requested');
  }
  for (const reason of ['invalid_state', 'validation_failed'] as const) {
    t.same(words(working().frame(nack(reason))), [], `${reason} does not`);
  }
  const unwoken = online();
  unwoken.frame(assignFrame());
  t.same(words(unwoken.frame(nack('stale_generation'))), ['removeFiles', 'persist'], 'an assignment that was not woken is just dropped');
});

t.test('an ack that shows that the hub has ended the assignment stops its run', async (t) => {
  const sidecar = working();
  t.same(words(sidecar.frame(ack('retried'))), ['withdraw', 'persist', 'kill']);
});

t.test('R4: a result of an assignment that is being reclaimed is still reported', async (t) => {
  const sidecar = working();
  sidecar.frame(nack('stale_generation'));
  t.same(words(sidecar.sight(RESULT)), ['writeReport', 'persist', 'send task_complete']);
  t.same(words(sidecar.wake(stoppedRun())), ['unwatch', 'persist']);
  const failed = working();
  failed.frame(nack('stale_generation'));
  t.same(
    failed.sight({ kind: 'result', value: { status: 'failed', reason: 'SIGTERM' }, replaced: false }),
    [],
    'a failure adds nothing new',
  );
});

t.test('a report file that is missing or corrupt is reported as lost', async (t) => {
  const sidecar = reported();
  sidecar.timer('repeat');
  t.match(sent(sidecar.take({ type: 'report_read', assignment: named(), body: { kind: 'missing' } })), [
    { type: 'task_failed', kind: 'lost' },
  ]);
  t.match(sent(sidecar.take({ type: 'report_read', assignment: named(), body: { kind: 'found', text: '{"type":' } })), [
    { type: 'task_failed', kind: 'lost' },
  ]);
  t.same(
    sent(sidecar.take({ type: 'report_read', assignment: named(), body: { kind: 'unreadable', error: 'EIO' } })),
    [],
    'one that is temporarily unreadable is read again',
  );
  t.equal(sidecar.state.journal.outbox.length, 1);
  t.same(online().take({ type: 'report_read', assignment: named(), body: { kind: 'found', text: '{}' } }), []);
});

t.test('a report made for larger frames is cut to fit the frames of this hub', async (t) => {
  const sidecar = working();
  sidecar.sight({ kind: 'result', value: { status: 'success', output: 'a'.repeat(200_000) }, replaced: false });
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  sidecar.identify({
    policy: {
      heartbeat_ms: 30_000,
      pong_wait_ms: 10_000,
      reconnect_max_ms: 60_000,
      lease_ms: 300_000,
      max_frame_bytes: 65_536,
      reconnect_grace_ms: 180_000,
    },
  });
  const [frame] = sent(read(sidecar));
  t.ok(JSON.stringify(frame).length <= 65_536);
  t.match(frame, { result: { output_truncated: true, output_bytes: 200_000 } });
});

function reported(event: Parameters<Stage['sight']>[0] = RESULT): Stage {
  const sidecar = working();
  sidecar.sight(event);
  return sidecar;
}

function read(sidecar: Stage): readonly Effect[] {
  const text = only(sidecar.all, 'writeReport').at(-1)?.text ?? '';
  return sidecar.take({ type: 'report_read', assignment: named(), body: { kind: 'found', text } });
}
