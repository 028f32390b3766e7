/** Secrets planted everywhere, in a hub and a sidecar at the highest log level: none of them is logged. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { adaptersAsked } from '../apps/adapters-under-test.ts';
import { v1Client } from '../apps/version1/version1-client.ts';
import { makeWorld } from '../apps/app-world.ts';

const DEBUG = { AGENTCOM_LOG_LEVEL: 'debug' };
/** Stand-ins for users' secrets: each in another place. */
const PLANTED = {
  bearer: 'planted-wrong-bearer-0123456789',
  query: 'planted-in-a-query-0123456789',
  cookie: 'planted-in-a-cookie-0123456789',
  identify: 'planted-in-an-identify-0123456789',
  broken: 'planted-in-a-broken-body-0123456789',
  brokenFrame: 'planted-in-a-broken-frame-0123456789',
  enrol: 'planted-enrol-secret-0123456789',
  agentEnvironment: 'planted-in-the-agents-environment-0123456789',
  sidecarEnvironment: 'planted-in-the-sidecars-environment-0123456789',
  key: 'planted-idempotency-key-0123456789',
};

t.test('secrets and agent environments never reach logs, whatever fails', async (t) => {
  const world = await makeWorld(t);
  const { api, port, adminToken, dir } = world;
  const hub = await world.startHub({ ...DEBUG });
  const enrolSecret = readFileSync(join(dir, 'hub/enrol-secret'), 'utf8').trim();
  const sidecar = await world.startSidecar('a1', {
    // An agent that prints its whole environment and fails: its key comes last on both pipes, because only the end of
    // the output is kept.
    argv: ['/bin/sh', '-c', 'env; echo "$AGENT_KEY"; env >&2; echo "$AGENT_KEY" >&2; exit 3'],
    env: { AGENT_KEY: PLANTED.agentEnvironment },
    programEnv: { ...DEBUG, MACHINE_KEY: PLANTED.sidecarEnvironment },
  });
  const { token = '' } = await api.tokens.create({ agent_id: 'b1' });
  const { task_id: id } = await api.tasks.submit({ description: 'tell everything', needed_capabilities: ['code'], max_retries: 0 });
  await world.event(id, ['dead_lettered']);
  const received = JSON.stringify((await api.tasks.get(id)).history);

  const post = (path: string, body: string, headers: Readonly<Record<string, string>>): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
  const admin = { authorization: `Bearer ${adminToken}` };
  await post(`/api/tasks?token=${PLANTED.query}`, '{}', { authorization: `Bearer ${PLANTED.bearer}`, cookie: PLANTED.cookie });
  await post('/api/tasks', `{"description":"${PLANTED.broken}`, { ...admin, 'idempotency-key': PLANTED.key });
  await post('/api/tasks', `{"${PLANTED.broken}":1}`, { ...admin, 'idempotency-key': PLANTED.key });
  await post('/api/onboard/register', JSON.stringify({ agent_id: 'c1', secret: PLANTED.enrol }), {});
  const enrolled = await post('/api/onboard/register', JSON.stringify({ agent_id: 'c1', secret: enrolSecret }), {});
  const enrolledToken = String(((await enrolled.json()) as Readonly<Record<string, unknown>>)['token']);
  const stranger = await v1Client({ port, agentId: 'b1', token: PLANTED.identify, address: '203.0.113.1' });
  stranger.send({ type: 'identify', agent_id: 'b1', token: PLANTED.identify });
  t.match(await stranger.next(), { type: 'error', error: 'invalid_token' });
  stranger.send(`{"type":"identify","token":"${PLANTED.brokenFrame}`);
  t.match(await stranger.next(), { type: 'error', error: 'invalid_json' });
  stranger.send({ type: 'identify', agent_id: 'a1', token });
  t.match(await stranger.next(), { type: 'error', error: 'token_agent_mismatch' });
  await api.tokens.revoke('b1');
  await sidecar.kill('SIGTERM');
  await hub.kill('SIGTERM');

  const sidecarToken = /token: "([^"]+)"/.exec(readFileSync(join(dir, 'a1.config.mjs'), 'utf8'))?.[1] ?? '';
  const secrets: Readonly<Record<string, string>> = {
    ...PLANTED,
    adminToken,
    enrolSecret,
    enrolledToken,
    sidecarToken,
    'token of b1': token,
  };
  for (const name of ['hub', 'a1']) {
    const log = readFileSync(join(dir, `${name}.log`), 'utf8');
    t.ok(log.split('\n').length > 5, `${name} has logged`);
    for (const [where, secret] of Object.entries(secrets)) {
      t.ok(secret.length >= 20, where);
      t.notOk(log.includes(secret), `${name}: ${where}`);
    }
  }
  t.notOk(received.includes(PLANTED.agentEnvironment), 'the agent had it and printed it; it is redacted from its last output');
  t.ok(received.includes('[redacted]'));
});

t.test('a secret in anything that an agent emits never appears in the hub, its logs, its events or its API', async (t) => {
  const world = await makeWorld(t);
  const { api, port, adminToken, dir } = world;
  const hub = await world.startHub({ ...DEBUG });
  const key = PLANTED.agentEnvironment;
  const [head, tail] = [key.slice(0, 5), key.slice(5)];
  // Printed whole, in two writes, and by the shell's trace; then reported as progress, and as a result or a failure.
  const script = `printf '${head}'; printf '${tail}\\n'; env; set -x; echo "is: $AGENT_KEY."
result="$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID"
echo "{\\"percent\\": 5, \\"message\\": \\"with $AGENT_KEY\\"}" > "$result.progress"
read -r line; case "$line" in
*fail*) echo "{\\"status\\": \\"failed\\", \\"error\\": \\"no $AGENT_KEY\\", \\"reason\\": \\"$AGENT_KEY\\"}" > "$result.json" ;;
*crash*) exit 3 ;;
*) echo "{\\"status\\": \\"success\\", \\"output\\": {\\"$AGENT_KEY\\": [\\"a $AGENT_KEY\\"]}}" > "$result.json" ;;
esac`;
  const sidecar = await world.startSidecar('a1', {
    argv: ['/bin/sh', '-c', script],
    env: { AGENT_KEY: key },
    programEnv: { ...DEBUG },
  });
  const seen: string[] = [];
  for (const [description, end] of [
    ['succeed', 'completed'],
    ['fail', 'dead_lettered'],
    ['crash', 'dead_lettered'],
  ] as const) {
    const { task_id: id } = await api.tasks.submit({ description, needed_capabilities: ['code'], max_retries: 0 });
    await world.event(id, [end]);
    seen.push(JSON.stringify([await api.tasks.get(id), await api.tasks.output(id)]));
    t.match(seen.at(-1), '[redacted]', description);
  }
  const auth = { authorization: `Bearer ${adminToken}` };
  for (const path of ['/api/tasks', '/api/agents', '/api/agents/a1', '/metrics', '/admin/audit'])
    seen.push(await (await fetch(`http://127.0.0.1:${port}${path}`, { headers: auth })).text());
  const stream = await fetch(`http://127.0.0.1:${port}/api/events`, { headers: { ...auth, 'last-event-id': '0' } });
  let events = '';
  for await (const chunk of stream.body ?? []) {
    events += Buffer.from(chunk as Uint8Array).toString();
    if (events.split('event: dead_lettered').length === 3) break;
  }
  seen.push(events);
  await sidecar.kill('SIGTERM');
  await hub.kill('SIGTERM');
  const files = readdirSync(join(dir, 'hub'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  // With SQLite, the store is among them.
  t.ok(files.length > (adaptersAsked().storage === 'sqlite' ? 1 : 0));
  for (const { parentPath, name } of files) seen.push(readFileSync(join(parentPath, name), 'latin1'));
  for (const log of ['hub.log', 'a1.log']) seen.push(readFileSync(join(dir, log), 'utf8'));
  for (const text of seen) t.notOk(text.includes(key) || text.includes(tail), text.slice(0, 80));
});

t.test('an agent cannot read the token of its sidecar, neither in its own environment nor in /proc/PPID/environ', async (t) => {
  if (process.platform !== 'linux') return t.comment('no /proc on this system');
  const world = await makeWorld(t);
  const { api, port, dir } = world;
  await world.startHub();
  const { token = '' } = await api.tokens.create({ agent_id: 'a1' });
  const script = `cat /proc/$PPID/environ > ${dir}/of-sidecar; env > ${dir}/of-agent
printf '{"status":"success","output":{"key":"%s","%s":[1]}}' "$AGENT_KEY" "$AGENT_KEY" > "$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.json"`;
  writeFileSync(
    join(dir, 'a1.config.mjs'),
    `import { defineConfig, env } from 'agentcom';
import { command } from 'agentcom/runners';
export default defineConfig({ sidecar: { hubs: ['ws://127.0.0.1:${port}/ws'], agentId: 'a1', token: env('AGENTCOM_TOKEN'), dataDir: 'a1',
  capabilities: ['code'], wake: command({ argv: ['/bin/sh', '-c', ${JSON.stringify(script)}], env: { AGENT_KEY: '${PLANTED.agentEnvironment}' }, passEnv: ['HARMLESS'] }) } });
`,
  );
  const ofSidecar = {
    AGENTCOM_TOKEN: token,
    WORKER_TOKEN: token,
    AGENTCOM_ADMIN_TOKEN: 'planted-admin-token-0123456789-0123456789',
    HARMLESS: 'left as it is',
  };
  await world.startSidecar('a1', { programEnv: ofSidecar });
  const { task_id: id } = await api.tasks.submit({ description: 'look around', needed_capabilities: ['code'], max_retries: 0 });
  await world.event(id, ['completed']);
  const seen = readFileSync(join(dir, 'of-sidecar'), 'utf8');
  t.match(seen, /HARMLESS=left as it is/, 'the file was readable');
  for (const name of ['of-sidecar', 'of-agent']) {
    const text = readFileSync(join(dir, name), 'utf8');
    t.notOk(text.includes(token), `${name}: the token`);
    t.notOk(text.includes(ofSidecar.AGENTCOM_ADMIN_TOKEN), `${name}: the admin token`);
  }
  t.match((await api.tasks.get(id)).result, { output: { key: '[redacted]', '[redacted]': [1] } });
});
