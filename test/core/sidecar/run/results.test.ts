import t from 'tap';
import { createHash } from 'node:crypto';
import { OUTPUT_BYTES_MAX } from '../../../../core/application/sidecar/state/constants.ts';
import { fitResult, reportedResult } from '../../../../core/application/sidecar/report/fit-report.ts';
import { encodedBytes, utf8Bytes } from '../../../../core/domain/encoded-text.ts';
import { named, online, only, sent, stoppedRun, TASK, words, working, writtenBody, type Stage } from '../rig/stage.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const FRAME_BYTES = 1_048_576;

t.test('R8: the first result found in the folder is the one that is reported', async (t) => {
  const cases = [
    { value: { status: 'success', output: 'x', tokens_used: 7 }, is: { type: 'task_complete', result: { output: 'x' }, tokens_used: 7 } },
    { value: { status: 'success', tokens_used: -1 }, is: { type: 'task_complete', tokens_used: undefined } },
    {
      value: { status: 'failed', reason: 'no such file' },
      is: { type: 'task_failed', kind: 'agent_failed', error: 'no such file', retryable: true },
    },
    { value: { status: 'failed', reason: 'nonsense', retryable: false }, is: { kind: 'agent_failed', retryable: false } },
    { value: { status: 'failed', reason: { code: 3 }, step: 'b' }, is: { error: '{"code":3}', details: { step: 'b' } } },
    { value: { status: 'failed' }, is: { error: 'the agent gave no reason' } },
    {
      value: { status: 'done' },
      is: { kind: 'result_invalid', error: 'the "status" of the result must be "success" or "failed", found "done"' },
    },
    { value: {}, is: { kind: 'result_invalid' } },
  ];
  for (const { value, is } of cases) {
    const sidecar = working();
    const effects = sidecar.sight({ kind: 'result', value, replaced: false });
    t.same(words(effects), ['writeReport', 'persist', `send ${String(writtenBody(effects)['type'])}`], 'written, journaled, sent');
    t.match(writtenBody(effects), { ...is, task_id: TASK, generation: 1 });
    t.same(sent(effects), [writtenBody(effects)]);
    t.same(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false }), [], 'later results are ignored');
    t.same(sidecar.sight({ kind: 'invalid', reason: 'result_invalid', message: '' }), []);
  }
});

t.test('an invalid result is kept for the operator', async (t) => {
  for (const reason of ['result_invalid', 'result_too_large'] as const) {
    const sidecar = working();
    t.match(writtenBody(sidecar.sight({ kind: 'invalid', reason, message: 'over 8 MiB' })), { kind: reason, error: 'over 8 MiB' });
    sidecar.wake({ type: 'stopped', survivors: [] });
    const answered = sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'retried' });
    t.same(words(answered), ['removeReport', 'persist'], 'its folder stays');
  }
});

t.test('replaced characters are reported', async (t) => {
  const sidecar = working();
  const body = writtenBody(sidecar.sight({ kind: 'result', value: { status: 'success', output: '\uFFFD' }, replaced: true }));
  t.match(body, { result: { output_replaced: true } });
});

t.test('files of an assignment that is not held are ignored', async (t) => {
  const sidecar = online();
  t.same(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false }), []);
  const other = working();
  t.same(other.sight({ kind: 'result', value: { status: 'success' }, replaced: false }, named(2)), []);
});

t.test('output over its limit is cut at a character boundary, with the size and hash of the whole', async (t) => {
  const cases = [
    'a'.repeat(OUTPUT_BYTES_MAX * 2),
    '€'.repeat(OUTPUT_BYTES_MAX),
    '😀'.repeat(OUTPUT_BYTES_MAX),
    '"\n\u0001'.repeat(OUTPUT_BYTES_MAX),
  ];
  for (const output of cases) {
    const result = fitResult({ status: 'success', output }, FRAME_BYTES, sha256);
    const cut = result.output as string;
    t.ok(encodedBytes(cut) <= OUTPUT_BYTES_MAX && encodedBytes(cut) > OUTPUT_BYTES_MAX - 8, 'as much as fits');
    t.ok(output.startsWith(cut) && !/\p{Surrogate}/u.test(cut), 'no half character');
    t.match(result, { output_truncated: true, output_bytes: utf8Bytes(output), output_sha256: sha256(output) });
  }
  const list = Array.from({ length: 100_000 }, (_, index) => index);
  const result = fitResult({ status: 'success', output: list }, FRAME_BYTES, sha256);
  t.ok(JSON.stringify(list).startsWith(result.output as string), 'a non-text output is cut as its JSON');
  const just = 'a'.repeat(OUTPUT_BYTES_MAX - 2);
  t.same(fitResult({ status: 'success', output: just }, FRAME_BYTES, sha256), { status: 'success', output: just });
});

t.test('R4: an output object with a text stays an object, and its text is cut', async (t) => {
  const output = { session_id: 's-1', text: '€'.repeat(OUTPUT_BYTES_MAX), turns: 3 };
  const result = fitResult({ status: 'success', output }, FRAME_BYTES, sha256);
  const cut = result.output as typeof output;
  t.match(cut, { session_id: 's-1', turns: 3 });
  t.ok(output.text.startsWith(cut.text) && encodedBytes(cut) <= OUTPUT_BYTES_MAX && encodedBytes(cut) > OUTPUT_BYTES_MAX - 8);
  const whole = JSON.stringify(output);
  t.match(result, { output_truncated: true, output_bytes: utf8Bytes(whole), output_sha256: sha256(whole) });
  const again = fitResult(result, 100_000, sha256);
  t.match(again, { output: { session_id: 's-1', text: /^€+$/ }, output_bytes: utf8Bytes(whole), output_sha256: sha256(whole) });
  t.ok(encodedBytes(again) <= 100_000);
  for (const other of [{ text: 'a', log: 'x'.repeat(OUTPUT_BYTES_MAX) }, { text: ['x'.repeat(OUTPUT_BYTES_MAX)] }])
    t.type(fitResult({ status: 'success', output: other }, FRAME_BYTES, sha256).output, 'string', 'the text is not the large field');
});

t.test("only the output of an agent's result is reported; other fields are named and their file is kept", async (t) => {
  const written = { status: 'success', output: 'o', log: 'x'.repeat(900_000), note: 'small', tokens_used: 7 };
  t.same(reportedResult(written, false), { status: 'success', output: 'o', omitted: ['log', 'note'] });
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`field-${index}-${'n'.repeat(300)}`, 1]));
  t.ok(encodedBytes(reportedResult({ ...many, output: 'o' }, false)) <= 4_200);
  const sidecar = working();
  sidecar.sight({ kind: 'result', value: written, replaced: false });
  sidecar.wake({ type: 'stopped', survivors: [] });
  t.same(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' })), ['removeReport', 'persist']);
});

t.test('R4: a result with megabytes in reserved field names becomes one report that fits its frame', async (t) => {
  // Before, the frame was over the hub's limit, and the hub closed the socket on each attempt, endlessly.
  for (const word of ['output_sha256', 'output_bytes', 'output_truncated', 'output_replaced', 'omitted', 'result', '__proto__']) {
    const sidecar = working();
    const value = JSON.parse(`{"status":"success","output":"done","${word}":"${'x'.repeat(2_000_000)}"}`) as Record<string, unknown>;
    const body = writtenBody(sidecar.sight({ kind: 'result', value, replaced: false }));
    t.match(body, { type: 'task_complete', result: { status: 'success', output: 'done', omitted: [word] } });
    t.ok(encodedBytes(body) < 1_000, word);
  }
  const cut = working();
  const lie = { status: 'success', output: 'a'.repeat(300_000), output_truncated: true, output_sha256: 'none', output_bytes: 1 };
  const { result } = writtenBody(cut.sight({ kind: 'result', value: lie, replaced: false })) as { result: Record<string, unknown> };
  t.match(result, { output_bytes: 300_000, output_sha256: sha256(lie.output) }, 'only the sidecar sets the fields about a cut');
});

t.test('R4: a report stored by an earlier version with all fields of the agent is cut to fit', async (t) => {
  const sidecar = working();
  sidecar.sight({ kind: 'result', value: { status: 'success', output: 'done' }, replaced: false });
  const kept = {
    type: 'task_complete',
    task_id: TASK,
    generation: 1,
    result: { status: 'success', output: 'done', omitted: 'x'.repeat(2_000_000) },
  };
  const again = sent(sidecar.take({ type: 'report_read', assignment: named(), body: { kind: 'found', text: JSON.stringify(kept) } }));
  t.same(again, [{ ...kept, result: { status: 'success', output: 'done' } }]);
});

t.test('R4: a report that cannot be cut to fit is reported as too large', async (t) => {
  const sidecar = working();
  const policy = { heartbeat_ms: 30_000, pong_wait_ms: 10_000, reconnect_max_ms: 60_000, lease_ms: 300_000, reconnect_grace_ms: 180_000 };
  sidecar.take({ type: 'link_down', connectionId: sidecar.state.link.connectionId, code: 1006, reason: '' });
  sidecar.timer('reconnect');
  sidecar.identify({ policy: { ...policy, max_frame_bytes: 0 } });
  const names = Array.from({ length: 30 }, (_, index) => [`n${index}-${'x'.repeat(200)}`, 1]);
  const value = { status: 'success', output: 'o', ...Object.fromEntries(names) };
  const body = writtenBody(sidecar.sight({ kind: 'result', value, replaced: false }));
  t.match(body, { type: 'task_failed', kind: 'result_too_large', error: /frames of up to 4096/ });
});

t.test('a small frame limit of a hub is respected whatever the agent wrote', async (t) => {
  for (const bytes of [8_192, 65_536, 262_144]) {
    const result = fitResult({ status: 'success', output: '"'.repeat(1_000_000) }, bytes, sha256);
    t.ok(encodedBytes(result) <= bytes, `${bytes}`);
  }
});

t.test('R20: only files that hold more than the report of their assignment are kept', async (t) => {
  const long = 'a'.repeat(300_000);
  const refused = { type: 'invalid_wake_event', assignment: named(), runId: 'run-1', message: 'over 8 MiB' } as const;
  const ways: readonly (readonly [string, boolean | null, (sidecar: Stage) => void])[] = [
    ['whole', null, (sidecar) => sidecar.sight({ kind: 'result', value: { status: 'success', output: 'o' }, replaced: false })],
    ['cut', false, (sidecar) => sidecar.sight({ kind: 'result', value: { status: 'success', output: long }, replaced: false })],
    ['other fields', false, (sidecar) => sidecar.sight({ kind: 'result', value: { status: 'success', notes: 1 }, replaced: false })],
    ['no result', false, (sidecar) => sidecar.sight({ kind: 'invalid', reason: 'result_invalid', message: 'The result is empty.' })],
    ['heard', null, (sidecar) => sidecar.wake({ type: 'completed', output: 'o' })],
    ['received and cut', true, (sidecar) => sidecar.wake({ type: 'completed', output: long })],
    ['received and too large', true, (sidecar) => [sidecar.take({ ...refused, reason: 'result_too_large' }), sidecar.scanned()]],
  ];
  for (const [what, streams, end] of ways) {
    const kept = streams === null ? [] : [{ type: 'keepResult', assignment: named(), streams }];
    const sidecar = working();
    end(sidecar);
    t.same(only(sidecar.wake(stoppedRun()), 'keepResult'), kept, what);
    t.same(only(sidecar.all, 'removeFiles'), []);
    const later = working();
    end(later);
    for (const status of ['complete', 'retried'] as const) later.frame({ type: 'task_ack', task_id: TASK, generation: 1, status });
    const gone = later.wake(stoppedRun());
    t.same(only(gone, 'keepResult'), kept, `${what}, acknowledged before its run was gone`);
    t.equal(only(gone, 'removeFiles').length, streams === null ? 1 : 0);
  }
});

t.test('R4: the files of a report that is cut for a hub with smaller frames are kept', async (t) => {
  const policy = { heartbeat_ms: 30_000, pong_wait_ms: 10_000, reconnect_max_ms: 60_000, lease_ms: 300_000, reconnect_grace_ms: 180_000 };
  for (const isGone of [true, false]) {
    const sidecar = working();
    const body = writtenBody(sidecar.sight({ kind: 'result', value: { status: 'success', output: 'a'.repeat(100_000) }, replaced: false }));
    if (isGone) sidecar.wake(stoppedRun());
    sidecar.take({ type: 'link_down', connectionId: sidecar.state.link.connectionId, code: 1006, reason: '' });
    sidecar.timer('reconnect');
    sidecar.identify({ policy: { ...policy, max_frame_bytes: 20_000 } });
    const again = sidecar.take({ type: 'report_read', assignment: named(), body: { kind: 'found', text: JSON.stringify(body) } });
    t.match(sent(again), [{ type: 'task_complete', result: { output_truncated: true, output_bytes: 100_000 } }]);
    t.ok(words(again).includes('persist'));
    const kept = [...only(again, 'keepResult'), ...(isGone ? [] : only(sidecar.wake(stoppedRun()), 'keepResult'))];
    t.same(kept, [{ type: 'keepResult', assignment: named(), streams: true }]);
    const answered = sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
    t.same(words(answered), ['removeReport', 'persist']);
  }
});

t.test('a cut report keeps its files until its assignment is forgotten', async (t) => {
  const sidecar = working();
  sidecar.sight({ kind: 'result', value: { status: 'success', output: 'a'.repeat(300_000) }, replaced: false });
  sidecar.wake({ type: 'stopped', survivors: [] });
  const answered = sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
  t.same(words(answered), ['removeReport', 'persist']);
  sidecar.nowMs += 8 * 86_400_000;
  const later = sidecar.frame({ type: 'task_cancelled', task_id: 'task-00000000000000c3', generation: 1 });
  t.same(words(later), ['removeFiles', 'persist', 'send task_cancel_ack'], 'its retention has passed');
});
