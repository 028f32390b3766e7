import t from 'tap';
import { assignFrame, named, online, only, pathsOf, sent, stage, startedFor, TASK, words, writtenBody } from '../rig/stage.ts';

const SELF = { runner: null };
const RESULT = { kind: 'result', value: { status: 'success', output: 1 }, replaced: false } as const;

function laidOut() {
  const sidecar = online(SELF);
  sidecar.frame(assignFrame());
  sidecar.prepared();
  return sidecar;
}

t.test('it is logged once that the agent must poll', async (t) => {
  const logs = only(stage(SELF).take({ type: 'start' }), 'log');
  t.match(logs, [{ message: /must poll/ }]);
});

t.test('the task is published after it is journaled, with its results folder', async (t) => {
  const sidecar = online(SELF);
  t.same(words(sidecar.frame(assignFrame())), ['persist', 'send task_accepted', 'prepare']);
  const effects = sidecar.prepared();
  t.same(words(effects), ['persist', 'watch', 'publish']);
  t.match(only(effects, 'publish'), [{ task: { task_id: TASK, generation: 1, results_dir: `/results/${TASK}.g1` } }]);
  t.equal(startedFor(effects, 'pickup'), 1_800_000);
  t.match(sidecar.slot(), { status: 'waking_confirmation', run: null });
  t.same(sent(sidecar.timer('lease')), [{ type: 'task_progress', task_id: TASK, generation: 1 }], 'the lease is renewed meanwhile');
});

t.test('claimed, run and reported; withdrawn before the report is sent', async (t) => {
  const sidecar = laidOut();
  t.equal(startedFor(sidecar.sight({ kind: 'started' }), 'silence'), 1_800_000);
  t.same(sidecar.timer('pickup'), []);
  t.same(words(sidecar.sight(RESULT)), ['writeReport', 'withdraw', 'unwatch', 'persist', 'send task_complete']);
  t.same(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' })), [
    'removeReport',
    'removeFiles',
    'persist',
  ]);
});

t.test('not claimed in time: withdrawn, scanned once more, then confirmation_timeout', async (t) => {
  const sidecar = laidOut();
  t.same(words(sidecar.timer('pickup')), ['withdraw', 'persist', 'send wake_result', 'scan']);
  t.match(writtenBody(sidecar.scanned()), { kind: 'confirmation_timeout' });
  const raced = laidOut();
  raced.timer('pickup');
  t.match(writtenBody(raced.sight(RESULT)), { type: 'task_complete' }, 'a result that arrives first wins');
});

t.test('silent after it was claimed', async (t) => {
  const sidecar = laidOut();
  sidecar.sight({ kind: 'started' });
  t.same(words(sidecar.timer('silence')), ['withdraw', 'persist', 'scan']);
  t.match(writtenBody(sidecar.scanned()), { kind: 'silent' });
});

t.test('cancelled: withdrawn before it is confirmed; an agent that claimed it cannot be stopped', async (t) => {
  const cancel = { type: 'task_cancelled', task_id: TASK, generation: 1 } as const;
  const untaken = laidOut();
  t.same(words(untaken.frame(cancel)), ['withdraw', 'persist', 'scan']);
  t.match(sent(untaken.scanned()), [{ type: 'task_cancel_ack', outcome: 'not_running' }]);
  const taken = laidOut();
  taken.sight({ kind: 'started' });
  taken.frame(cancel);
  t.match(sent(taken.scanned()), [{ type: 'task_cancel_ack', outcome: 'not_stoppable' }]);
});

t.test('a task that cannot be published is retried', async (t) => {
  const sidecar = laidOut();
  t.equal(
    startedFor(sidecar.take({ type: 'prepare_failed', assignment: named(), paths: pathsOf(named()), message: 'disk full' }), 'retry'),
    5_000,
  );
  t.same(words(sidecar.timer('retry')), ['prepare']);
  t.same(words(sidecar.prepared()), ['persist', 'publish']);
});

t.test('R1: after a restart a task is published if it was not yet, and tasks no longer held are withdrawn', async (t) => {
  const before = laidOut();
  const sidecar = stage(SELF, before.state.journal);
  sidecar.nowMs += 600_000;
  const effects = sidecar.take({ type: 'start' });
  t.same(words(effects), ['withdrawAllExcept', 'findFolders', 'watch', 'publish', 'connect']);
  t.same(only(effects, 'withdrawAllExcept')[0]?.assignments, [named()]);
  t.equal(startedFor(effects, 'pickup'), 1_200_000, 'the rest of its time');
  const moved = stage(SELF, before.state.journal);
  moved.nowMs += 86_400_000;
  t.equal(startedFor(moved.take({ type: 'start' }), 'pickup'), 300_000, '5 minutes if the clock was moved');
  before.sight({ kind: 'started' });
  const working = stage(SELF, before.state.journal).take({ type: 'start' });
  t.equal(startedFor(working, 'silence'), 1_800_000);
  before.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  const stopping = stage(SELF, before.state.journal);
  t.same(only(stopping.take({ type: 'start' }), 'withdrawAllExcept')[0]?.assignments, []);
  stopping.identify();
  t.match(sent(stopping.scanned()), [{ type: 'task_cancel_ack', outcome: 'not_stoppable' }]);
});
