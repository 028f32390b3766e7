/** Known secrets of a sidecar are redacted from everything that its agent writes. */
import t from 'tap';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import {
  ADDED_SECRETS_MAX,
  REDACTED,
  redactInput,
  redactingLog,
  createRedactor,
  SECRETS_MAX,
} from '../../../core/application/sidecar/engine/redact-secrets.ts';
import { secretsOf } from '../../../apps/sidecar/sidecar-secrets.ts';
import type { SidecarInput } from '../../../core/application/sidecar/state/inputs.ts';
import { named, pathsOf } from './rig/stage.ts';

const LONG = 'sk-ant-0123456789-abcdef';
const QUOTED = 'pass"word\\with\nlines';

t.test('a secret is redacted from texts, values and names, longest first, also in its JSON form', (t) => {
  const redactor = createRedactor(['sk-ant-0123456789', LONG, QUOTED]);
  t.equal(redactor.text(`key ${LONG} and ${QUOTED}`), `key ${REDACTED} and ${REDACTED}`);
  t.equal(redactor.text(JSON.stringify({ QUOTED })), `{"QUOTED":"${REDACTED}"}`);
  t.same(redactor.value({ a: [LONG, 1, null, { [QUOTED]: `x${LONG}` }], b: JSON.stringify({ QUOTED }) }), {
    a: [REDACTED, 1, null, { [REDACTED]: `x${REDACTED}` }],
    b: `{"QUOTED":"${REDACTED}"}`,
  });
  const clean = { a: ['nothing', { of: 'it' }] };
  t.equal(redactor.value(clean), clean, 'a value without secrets is returned unchanged');
  t.end();
});

t.test('a secret added later is redacted from then on; only the newest few are retained', (t) => {
  const redactor = createRedactor([LONG]);
  const later = Array.from({ length: ADDED_SECRETS_MAX + 1 }, (_, n) => `a-later-secret-${n}`);
  t.equal(redactor.text(String(later[0])), later[0]);
  for (const secret of later) redactor.add(secret);
  t.equal(redactor.text([LONG, ...later].join(' ')), [REDACTED, later[0], ...later.slice(1).map(() => REDACTED)].join(' '));
  t.end();
});

t.test('the remainder of a cut secret at either end of a text is redacted too', (t) => {
  const redactor = createRedactor([LONG]);
  t.equal(redactor.text(`${LONG.slice(5)} was the end`), `${REDACTED} was the end`);
  t.equal(redactor.text(`it began with ${LONG.slice(0, 12)}`), `it began with ${REDACTED}`);
  t.equal(redactor.text('sk-ant'), 'sk-ant', 'fewer than 8 characters are not redacted');
  t.end();
});

t.test('the remainder of a secret that a runner shortened is redacted, also inside values', (t) => {
  const redactor = createRedactor([LONG]);
  const cut = `it failed: the key ${LONG.slice(0, 15)} …, on this machine`;
  t.equal(redactor.text(cut), `it failed: the key ${REDACTED} …, on this machine`);
  t.equal(redactor.text(`… ${LONG.slice(6)} is the key, or ${LONG.slice(0, 12)}… is`), `… ${REDACTED} is the key, or ${REDACTED}… is`);
  t.same(redactor.value({ messages: [cut] }), { messages: [`it failed: the key ${REDACTED} …, on this machine`] });
  const plain = { messages: [`no … key, but sk-ant-0 and so on … yes`] };
  t.same(redactor.value(plain), plain);
  t.end();
});

t.test('each long line of a secret is redacted on its own, as in line-by-line output', (t) => {
  const key = ['-----BEGIN KEY-----', 'MC4CAQAwBQYDK2VwBCIEIF', 'short', '-----END KEY-----'].join('\n');
  const redactor = createRedactor([key]);
  t.equal(redactor.text(`> ${key.split('\n')[1] ?? ''}`), `> ${REDACTED}`);
  t.equal(redactor.text('short'), 'short');
  t.equal(redactor.text(`key: ${key}.`), `key: ${REDACTED}.`);
  t.end();
});

t.test('R20: redacting a text shortened in thousands of places takes bounded time', (t) => {
  const redactor = createRedactor(Array.from({ length: SECRETS_MAX }, (_, index) => `secret-number-${String(index)}-0123456789`));
  const beginMs = performance.now();
  t.equal(redactor.text('… '.repeat(32_768)).length, 65_536);
  t.ok(performance.now() - beginMs < 5_000, 'with two busy cores');
  t.end();
});

t.test('every input path of agent text is redacted, and field names and types are unchanged', (t) => {
  const redactor = createRedactor([LONG, 'success', 'completed', 'progress']);
  const assignment = named();
  const about = { assignment, runId: 'run-1' };
  const events: readonly SidecarInput[] = [
    { type: 'wake_event', ...about, event: { type: 'exited', exitCode: 3, signal: null, stderrTail: `+ KEY=${LONG}` } },
    { type: 'wake_event', ...about, event: { type: 'completed', output: { text: LONG } } },
    { type: 'wake_event', ...about, event: { type: 'progress', message: LONG } },
    {
      type: 'wake_event',
      ...about,
      event: { type: 'failed', phase: 'agent', message: LONG, retryable: true, details: { messages: [LONG] } },
    },
    { type: 'invalid_wake_event', ...about, reason: 'invalid_event', message: LONG },
    { type: 'wake_stream_ended', ...about, error: LONG },
    { type: 'prepare_failed', assignment, paths: pathsOf(named()), message: LONG },
    { type: 'runner_checked', checks: [{ check: 'login', ok: false, message: LONG }] },
    { type: 'file_event', event: { kind: 'progress', assignment, percent: 1, message: LONG, tokensUsed: null } },
    { type: 'file_event', event: { kind: 'invalid', assignment, reason: 'result_invalid', message: LONG } },
    { type: 'file_event', event: { kind: 'result', assignment, value: { status: 'success', output: LONG, [LONG]: 1 }, replaced: false } },
  ];
  for (const event of events) {
    const clean = redactInput(event, redactor);
    t.notOk(JSON.stringify(clean).includes(LONG), JSON.stringify(clean));
    t.ok(JSON.stringify(clean).includes(REDACTED));
    t.equal(clean.type, event.type);
    if (clean.type === 'wake_event' && event.type === 'wake_event') t.equal(clean.event.type, event.event.type);
    if (clean.type === 'file_event' && clean.event.kind === 'result') t.equal(clean.event.value['status'], 'success');
  }
  t.end();
});

t.test('log lines contain no secrets, whatever the logger and its fields', (t) => {
  const log = memoryLog();
  const loop: Record<string, unknown> = { key: LONG };
  loop['self'] = loop;
  redactingLog(log, createRedactor([LONG]))
    .with({ outer: LONG })
    .error(`it said ${LONG}`, { error: new Error(`with ${LONG}`), deep: { list: [LONG] }, loop });
  t.notOk(JSON.stringify(log.lines).includes(LONG));
  t.match(JSON.stringify(log.lines), /it said \[redacted\]/);
  t.end();
});

t.test('secrets are: named variables, env values of 8 or more characters, header tokens, URL passwords', (t) => {
  const options = {
    env: {
      API_KEY: 'sixsix',
      OPAQUE: 'abcdefgh',
      SHORT: 'abcdefg',
      MODEL: 'claude-sonnet-4-5',
      NODE_ENV: 'production',
      PLACE: '/srv/agent',
    },
    headers: { Authorization: 'Bearer of-the-hook' },
    url: 'https://someone:from-a-url@host/x',
    argv: ['node', 'agent.mjs'],
  };
  const environment = {
    GITHUB_TOKEN: 'gh-token',
    DATABASE_URL: 'postgres://u:of-the-store@h/d',
    PATH: '/usr/bin:/bin',
    AWS_SECRET_ACCESS_KEY: 'of-the-cloud',
  };
  const found = secretsOf({ wake: { options } as never }, 'own-token', environment);
  t.same(
    [...found].sort(),
    [
      ...['own-token', 'sixsix', 'abcdefgh', 'Bearer of-the-hook', 'of-the-hook'],
      ...['from-a-url', 'gh-token', 'of-the-store', 'of-the-cloud'],
    ].sort(),
  );
  t.end();
});

t.test('options that throw when read do not hide the other secrets', (t) => {
  const throwing = (): never => {
    throw new Error('of the getter');
  };
  const options = { a: new Proxy({}, { ownKeys: throwing }), API_KEY: 'sixsix' };
  Object.defineProperty(options, 'b', { enumerable: true, get: throwing });
  t.same(secretsOf({ wake: { options } as never }, 'own-token', {}), ['own-token', 'sixsix']);
  t.end();
});

t.test('R20: redacting 8 MiB with the maximum number of secrets takes bounded time', (t) => {
  const redactor = createRedactor(Array.from({ length: SECRETS_MAX * 2 }, (_, index) => `secret-number-${String(index)}-0123456789`));
  const value = Array.from({ length: 90_000 }, (_, index) => `${'word '.repeat(17)}${String(index)}`);
  const beginMs = performance.now();
  t.equal(redactor.value(value), value);
  t.ok(performance.now() - beginMs < 5_000, 'with two busy cores');
  t.end();
});
