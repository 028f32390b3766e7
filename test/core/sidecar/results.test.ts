import t from 'tap';
import { createHash } from 'node:crypto';
import { OUTPUT_BYTES_MAX } from '../../../core/application/sidecar/bounds.ts';
import { fitResult } from '../../../core/application/sidecar/fit-report.ts';
import { encodedBytes, utf8Bytes } from '../../../core/domain/encoded-text.ts';
import { named, online, sent, TASK, words, working, writtenBody } from './stage.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const FRAME_BYTES = 1_048_576;

t.test('R8: the first word of the folder is the one report', async (t) => {
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
      is: { kind: 'result_invalid', error: 'the result has no "status" of "success" or "failed": found "done"' },
    },
    { value: {}, is: { kind: 'result_invalid' } },
  ];
  for (const { value, is } of cases) {
    const sidecar = working();
    const effects = sidecar.sight({ kind: 'result', value, replaced: false });
    t.same(words(effects), ['writeReport', 'persist', `send ${String(writtenBody(effects)['type'])}`], 'written, journalled, sent');
    t.match(writtenBody(effects), { ...is, task_id: TASK, generation: 1 });
    t.same(sent(effects), [writtenBody(effects)]);
    t.same(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false }), [], 'nothing more is heard');
    t.same(sidecar.sight({ kind: 'invalid', reason: 'result_invalid', message: '' }), []);
  }
});

t.test('a result that is none is kept for the operator', async (t) => {
  for (const reason of ['result_invalid', 'result_too_large'] as const) {
    const sidecar = working();
    t.match(writtenBody(sidecar.sight({ kind: 'invalid', reason, message: 'over 8 MiB' })), { kind: reason, error: 'over 8 MiB' });
    sidecar.wake({ type: 'stopped', survivors: [] });
    const answered = sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'retried' });
    t.same(words(answered), ['removeReport', 'persist'], 'its folder stays');
  }
});

t.test('what was replaced is said', async (t) => {
  const sidecar = working();
  const body = writtenBody(sidecar.sight({ kind: 'result', value: { status: 'success', output: '\uFFFD' }, replaced: true }));
  t.match(body, { result: { output_replaced: true } });
});

t.test('files of an assignment that is not here say nothing', async (t) => {
  const sidecar = online();
  t.same(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false }), []);
  const other = working();
  t.same(other.sight({ kind: 'result', value: { status: 'success' }, replaced: false }, named(2)), []);
});

t.test('output over its bound is cut at a character, and the whole is named', async (t) => {
  const cases = [
    'a'.repeat(OUTPUT_BYTES_MAX * 2),
    '€'.repeat(OUTPUT_BYTES_MAX),
    '😀'.repeat(OUTPUT_BYTES_MAX),
    '"\n\u0001'.repeat(OUTPUT_BYTES_MAX),
  ];
  for (const output of cases) {
    const { result, isCut } = fitResult({ status: 'success', output }, FRAME_BYTES, sha256);
    t.ok(isCut);
    const cut = result['output'] as string;
    t.ok(encodedBytes(cut) <= OUTPUT_BYTES_MAX && encodedBytes(cut) > OUTPUT_BYTES_MAX - 8, 'as much as fits');
    t.ok(output.startsWith(cut) && !/\p{Surrogate}/u.test(cut), 'no half character');
    t.match(result, { output_truncated: true, output_bytes: utf8Bytes(output), output_sha256: sha256(output) });
  }
  const list = Array.from({ length: 100_000 }, (_, index) => index);
  const { result } = fitResult({ status: 'success', output: list }, FRAME_BYTES, sha256);
  t.ok(JSON.stringify(list).startsWith(result['output'] as string), 'what is not text is cut as its JSON');
  const just = 'a'.repeat(OUTPUT_BYTES_MAX - 2);
  t.same(fitResult({ status: 'success', output: just }, FRAME_BYTES, sha256), {
    result: { status: 'success', output: just },
    isCut: false,
  });
});

t.test('other fields that do not fit are left out, the largest first, and named', async (t) => {
  const log = 'x'.repeat(900_000);
  const { result } = fitResult({ status: 'success', output: 'o'.repeat(200_000), log, note: 'small' }, FRAME_BYTES, sha256);
  t.same(result['omitted'], ['log']);
  t.equal(result['note'], 'small');
  t.equal((result['output'] as string).length, 200_000);
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`field-${index}-${'n'.repeat(300)}`, 'v'.repeat(300)]));
  const fitted = fitResult({ status: 'success', ...many }, FRAME_BYTES, sha256);
  t.ok(encodedBytes(fitted.result) <= FRAME_BYTES);
});

t.test('a field nested deeper than a frame may be is left out', async (t) => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 40; depth += 1) deep = [deep];
  t.match(fitResult({ status: 'success', deep, output: 'kept' }, FRAME_BYTES, sha256).result, {
    omitted: ['deep'],
    output: 'kept',
    deep: undefined,
  });
});

t.test('a small frame of a hub is kept to, whatever the agent wrote', async (t) => {
  for (const bytes of [8_192, 65_536, 262_144]) {
    const { result } = fitResult({ status: 'success', output: '"'.repeat(1_000_000), a: 'x'.repeat(70_000) }, bytes, sha256);
    t.ok(encodedBytes(result) <= bytes, `${bytes}`);
  }
});

t.test('a report whose frame was cut keeps its files until it is forgotten', async (t) => {
  const sidecar = working();
  sidecar.sight({ kind: 'result', value: { status: 'success', output: 'a'.repeat(300_000) }, replaced: false });
  sidecar.wake({ type: 'stopped', survivors: [] });
  const answered = sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'complete' });
  t.same(words(answered), ['removeReport', 'persist']);
  sidecar.nowMs += 8 * 86_400_000;
  const later = sidecar.frame({ type: 'task_cancelled', task_id: 'task-00000000000000c3', generation: 1 });
  t.same(words(later), ['removeFiles', 'persist', 'send task_cancel_ack'], 'its week is over');
});
