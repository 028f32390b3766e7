/** A sidecar whose agent is a function in its process, and one that drains itself before it stops. */
import t from 'tap';
import type { Effect } from '../../../core/application/sidecar/state/effects.ts';
import { assignFrame, exited, named, online, only, OTHER, sent, stage, TASK, words } from './rig/stage.ts';

const IN_PROCESS = { inProcess: true, runner: { adoptable: false, hasCheck: false } } as const;

t.test('in process: no start is awaited or reported, and a completed event ends the run', (t) => {
  const sidecar = online(IN_PROCESS);
  t.same(
    words(sidecar.frame(assignFrame())),
    ['persist', 'send task_accepted', 'wake'],
    'the hub gets the acceptance before the run begins',
  );
  t.equal(sidecar.slot()?.status, 'working');
  const ended = sidecar.wake({ type: 'completed', output: 7 });
  t.same(words(ended), ['writeReport', 'unwatch', 'persist', 'send task_complete'], 'no wake_result');
  t.equal(sidecar.slot(), undefined, 'the slot is free');
  t.notOk(
    only(ended, 'startTimer').some(({ timer }) => timer.purpose === 'linger'),
    'no process is left to exit',
  );
  t.end();
});

t.test('in process: a failure is reported once the run has ended', (t) => {
  const sidecar = online(IN_PROCESS);
  sidecar.frame(assignFrame());
  sidecar.wake({ type: 'failed', phase: 'agent', message: 'no', retryable: false });
  sidecar.wake(exited(1));
  t.match(sent(sidecar.scanned()), [{ type: 'task_failed', error: 'no', retryable: false }]);
  t.end();
});

t.test('own drain: running work may finish, nothing new starts, and the caller is notified once', (t) => {
  const sidecar = online({ ...IN_PROCESS, slots: 2 });
  sidecar.frame(assignFrame());
  t.same(sent(sidecar.take({ type: 'drain' })), [{ type: 'draining', reason: 'stopping' }]);
  t.same(words(sidecar.take({ type: 'drain' })), [], 'a second drain changes nothing');
  t.match(sent(sidecar.frame(assignFrame(named(1, OTHER)))), [{ type: 'task_rejected', reason: 'draining' }]);
  t.same(sent(sidecar.frame({ type: 'resume' }))[0], { type: 'draining', reason: 'stopping' }, 'an operator cannot end the drain');
  t.match(sent(sidecar.timer('ping')), [{ type: 'ping', draining_reason: 'stopping' }]);
  sidecar.wake({ type: 'completed', output: 7 });
  t.ok(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' })).includes('drained'));
  t.notOk(words(sidecar.timer('ping')).includes('drained'), 'once');
  t.end();
});

t.test('own drain: with nothing running it completes at once, even without a hub', (t) => {
  const away = stage(IN_PROCESS);
  away.take({ type: 'start' });
  t.same(words(away.take({ type: 'drain' })), ['drained']);
  t.same(words(online(IN_PROCESS).take({ type: 'drain' })), ['send draining', 'drained']);
  t.end();
});

t.test('a stop after an own drain is a departure; without one, the next process may follow at once', (t) => {
  const disconnectOf = (effects: readonly Effect[]): Effect | undefined => effects.find(({ type }) => type === 'disconnect');
  const leaving = online(IN_PROCESS);
  leaving.take({ type: 'drain' });
  t.same(disconnectOf(leaving.take({ type: 'stop' })), { type: 'disconnect', leaving: true });
  t.same(disconnectOf(online(IN_PROCESS).take({ type: 'stop' })), { type: 'disconnect' });
  t.end();
});

t.test('own drain is reported to each hub it connects to', (t) => {
  const sidecar = online(IN_PROCESS);
  sidecar.take({ type: 'drain' });
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  t.same(words(sidecar.identify()), ['send identify', 'send draining']);
  t.end();
});
