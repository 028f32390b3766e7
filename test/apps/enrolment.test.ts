/** How a sidecar gets its token: the environment is used, and what cannot work is reported at once. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { memoryLog } from '../product/twins/log-memory/memory-log.ts';
import { loadConfigFile } from '../../apps/config/load.ts';
import { sidecarIdentity } from '../../apps/sidecar/enrolment.ts';
import { hubBench } from '../adapters/http/hub-bench.ts';
import { testHub, type TestHub } from './cli/cli-world.ts';

/** Environment variables during one test only. */
function environment(t: Test, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    t.teardown(() => (before === undefined ? delete process.env[name] : (process.env[name] = before)));
  }
}

async function tokenAt(t: Test, hubUrl: string, more = '', log = memoryLog()): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-enrol-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, 'data/w1'), { recursive: true, mode: 0o700 });
  const file = join(dir, 'agentcom.config.ts');
  await writeFile(file, `export default { sidecar: { hubs: [${JSON.stringify(hubUrl)}], agentId: 'w1'${more} } };\n`);
  const { config } = await loadConfigFile({ configFile: file, cwd: dir });
  if (config.sidecar === undefined) throw new Error('no sidecar');
  return (await sidecarIdentity({ config: config.sidecar, hub: null, log, signal: AbortSignal.timeout(2_000) })).token;
}

t.test('AGENTCOM_TOKEN is used even if the config does not read it', async (t) => {
  environment(t, { AGENTCOM_TOKEN: 'from-the-environment' });
  t.equal(await tokenAt(t, 'ws://127.0.0.1:1/ws'), 'from-the-environment');
});

const wsOf = (url: string): string => `${url.replace('http', 'ws')}/ws`;
/** A hub whose register route returns this. */
const answering = (t: Test, json: Readonly<Record<string, unknown>>, status: 200 | 201 | 400 | 401): Promise<TestHub> =>
  testHub(t, (app) => app.post('/api/onboard/register', (c) => c.json(json, status)));

t.test('a secret unknown to the hub ends enrollment at once, with a remedy', async (t) => {
  environment(t, { AGENTCOM_ENROL_SECRET: 'used' });
  const hub = await answering(t, { hub_nonce: 'ab'.repeat(32), proof: 'cd'.repeat(32) }, 200);
  await t.rejects(tokenAt(t, wsOf(hub.url)), {
    code: 'AC_ENROL',
    message: /AGENTCOM_ENROL_SECRET is wrong.*agentcom invite.*sidecar\.hubs.*was not sent/,
  });
  t.equal(hub.requests.length, 1);
});

t.test('without a token or secret the error explains how to get one', async (t) => {
  await t.rejects(tokenAt(t, 'ws://127.0.0.1:1/ws'), { code: 'AC_ENROL', message: /AGENTCOM_TOKEN/ });
});

t.test('R22: an impostor on the port learns nothing usable of the secret, and its token is not accepted', async (t) => {
  const secret = 'never-said-'.padEnd(43, 'x');
  environment(t, { AGENTCOM_ENROL_SECRET: secret });
  const token = 'a-token-of-his-own';
  const answers = [
    { json: { agent_id: 'w1', token, hub_ws_url: 'ws://h/ws', hub_api_url: 'http://h' }, status: 201 },
    { json: { hub_nonce: 'ab'.repeat(32), proof: 'cd'.repeat(32), token }, status: 200 },
    { json: { hub_nonce: 1, proof: null }, status: 200 },
    { json: { error: 'validation_failed', message: 'it claims to be older' }, status: 400 },
  ] as const;
  for (const { json, status } of answers) {
    const impostor = await answering(t, json, status);
    await t.rejects(tokenAt(t, wsOf(impostor.url)), JSON.stringify(json));
    const sent = impostor.requests.map(({ body }) => body).join('\n');
    const hash = createHash('sha256').update(secret).digest('hex');
    t.match(JSON.parse(impostor.requests[0]?.body ?? ''), { agent_id: 'w1', secret_hint: hash.slice(0, 16), nonce: /^[0-9a-f]{64}$/ });
    for (const part of [secret, Buffer.from(secret).toString('hex'), hash.slice(0, 17)]) t.notOk(sent.includes(part));
  }
});

t.test('R22: a man in the middle of an enrollment reads neither secret nor token, and its changes are rejected', async (t) => {
  const bench = await hubBench();
  t.teardown(() => bench.close());
  const received: string[] = [];
  let changes = (text: string): string => text;
  const line = await testHub(t, (app) =>
    app.post('/api/onboard/register', async (c) => {
      const { status, text } = await bench.send('/api/onboard/register', { json: c.sent(), token: null });
      received.push(text);
      return c.body(changes(text), status, { 'content-type': 'application/json' });
    }),
  );
  const secretOf = async (): Promise<string> => String((await bench.send('/admin/enrol-secrets', { json: {} })).json['secret']);
  const secret = await secretOf();
  environment(t, { AGENTCOM_ENROL_SECRET: secret });
  const token = await tokenAt(t, wsOf(line.url));
  t.equal((await bench.send('/api/schemas', { token })).status, 200);
  const all = [...received, ...line.requests.map(({ body }) => body)].join('\n');
  for (const known of [secret, token]) t.notOk([known, Buffer.from(known).toString('hex')].some((form) => all.includes(form)));
  for (const { body } of line.requests) {
    const { json } = await bench.send('/api/onboard/register', { json: JSON.parse(body), token: null });
    t.notOk('sealed_token' in json || 'token' in json, 'a replay gets nothing either');
  }
  await bench.send('/admin/tokens/w1', { method: 'DELETE' });
  environment(t, { AGENTCOM_ENROL_SECRET: await secretOf() });
  changes = (text) => text.replace(/("sealed_token":")(.)/, (_, name: string, digit: string) => name + (digit === '0' ? '1' : '0'));
  await t.rejects(tokenAt(t, wsOf(line.url)), { code: 'AC_ENROL', message: /was modified between.*tokens revoke w1/ });
});

t.test('an older hub that proves nothing gets the secret only if the config allows it, and it is logged', async (t) => {
  environment(t, { AGENTCOM_ENROL_SECRET: 'for-an-older-hub' });
  const hub = await testHub(t, (app) =>
    app.post('/api/onboard/register', (c) =>
      'secret' in c.sent<object>()
        ? c.json({ agent_id: 'w1', token: 'of-an-older-hub', hub_ws_url: '', hub_api_url: '' }, 201)
        : c.json({ error: 'validation_failed', message: 'secret_hint is unknown' }, 400),
    ),
  );
  await t.rejects(tokenAt(t, wsOf(hub.url)), { name: 'AbortError' }, 'it keeps trying until the hub is updated');
  t.notOk(hub.requests.some(({ body }) => body.includes('for-an-older-hub')));
  const log = memoryLog();
  t.equal(await tokenAt(t, wsOf(hub.url), ', plainToken: true', log), 'of-an-older-hub');
  t.match(JSON.stringify(log.lines), /older than this sidecar and did not prove itself/);
});
