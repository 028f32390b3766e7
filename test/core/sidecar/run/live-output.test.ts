/** Live output on its way to the hub: what is sent when, what is held, and what is dropped. */
import t from 'tap';
import { exited, sent, startedFor, TASK, working, type Stage } from '../rig/stage.ts';

const ids = { task_id: TASK, generation: 1 };
const out = (text: string) => ({ type: 'output', stream: 'stdout', text }) as const;
const outputIn = (effects: Parameters<typeof sent>[0]) => sent(effects).filter(({ type }) => type === 'task_output');
const held = (sidecar: Stage) => sidecar.state.live.values()[0]?.heldOutput;

t.test('the first piece is sent at once, then at most two batches a second, joined by stream', (t) => {
  const sidecar = working();
  const first = sidecar.wake(out('one'));
  t.same(outputIn(first), [{ type: 'task_output', ...ids, seq: 0, stream: 'stdout', text: 'one' }]);
  t.equal(startedFor(first, 'output'), 500);
  t.same(outputIn([...sidecar.wake(out('two')), ...sidecar.wake(out('three'))]), []);
  t.same(outputIn(sidecar.wake({ type: 'output', stream: 'stderr', text: 'oops' })), []);
  t.same(outputIn(sidecar.wake({ type: 'progress', message: 'reading files' })), []);
  t.same(outputIn(sidecar.timer('output')), [
    { type: 'task_output', ...ids, seq: 1, stream: 'stdout', text: 'two\nthree' },
    { type: 'task_output', ...ids, seq: 2, stream: 'stderr', text: 'oops' },
    { type: 'task_output', ...ids, seq: 3, stream: 'agent', text: 'reading files' },
  ]);
  t.same(outputIn(sidecar.timer('output')), [], 'nothing was held');
  t.equal(startedFor(sidecar.wake(out('four')), 'output'), 500);
  t.end();
});

t.test('output that comes too fast is cut from its start, and the dropped count is sent with the next frame', (t) => {
  const sidecar = working();
  sidecar.wake(out('first'));
  sidecar.wake(out('a'.repeat(10_000)));
  sidecar.wake(out('b'.repeat(10_000)));
  const [frame, ...more] = outputIn(sidecar.timer('output'));
  t.match(frame, { seq: 1, dropped: 20_001 - 16_384, text: /^a{6383}\nb{10000}$/ });
  t.same(more, []);
  for (let n = 0; n < 100; n += 1) sidecar.wake(n % 2 === 0 ? out(`${n}`) : { type: 'output', stream: 'stderr', text: `${n}` });
  const alternating = outputIn(sidecar.timer('output'));
  t.equal(alternating.length, 32, 'at most 32 pieces');
  t.match(alternating[0], { dropped: 126, text: '68' });
  sidecar.wake({ type: 'output', stream: 'stdout', text: 'x'.repeat(70_000), dropped: 5 });
  t.match(outputIn(sidecar.timer('output')), [{ dropped: 5 + 70_000 - 16_384 }], 'including what its runner dropped');
  t.end();
});

t.test('while the hub is away the newest output is held; invalid text and lone surrogates are harmless', (t) => {
  const sidecar = working();
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  t.same(outputIn(sidecar.wake(out('while away \ud800 \u0000'))), []);
  t.same(outputIn(sidecar.timer('output')), []);
  sidecar.wake({ type: 'output', stream: 'stdout', text: 7 as never });
  sidecar.timer('reconnect');
  sidecar.identify();
  t.match(outputIn(sidecar.timer('output')), [{ seq: 0, text: 'while away \uFFFD \uFFFD' }]);
  t.end();
});

t.test('output before a report is sent before it; output after it is sent when the program exits', (t) => {
  const sidecar = working();
  sidecar.wake(out('one'));
  sidecar.wake(out('two'));
  const reported = sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false });
  t.same(
    sent(reported).map(({ type }) => type),
    ['task_output', 'task_complete'],
  );
  t.same(outputIn(sidecar.wake(out('three'))), []);
  t.match(outputIn(sidecar.wake(exited(0))), [{ seq: 2, text: 'three' }]);
  t.equal(held(sidecar), undefined, 'nothing is left');
  t.end();
});

t.test('a frame fits the frame limit of the hub', (t) => {
  const sidecar = working();
  sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  const policy = { heartbeat_ms: 500, pong_wait_ms: 300, reconnect_max_ms: 4_000, lease_ms: 900, max_frame_bytes: 4_096, reconnect_grace_ms: 8_000 }; // prettier-ignore
  sidecar.identify({ policy });
  const [frame] = outputIn(sidecar.wake(out('\u0001'.repeat(10_000))));
  t.ok(JSON.stringify(frame).length <= 4_096, `${JSON.stringify(frame).length} bytes`);
  t.match(frame, { dropped: Number });
  t.end();
});
