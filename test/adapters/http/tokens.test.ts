/** Tokens, enrollment, and authentication. */
import t from 'tap';
import type { HttpApiDeps } from '../../../adapters/http/deps.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { enrolHubProof, sealedSecret, unsealedEnrolToken, type SealedToken } from '../../../core/protocol/enrol-proof.ts';
import { A_MOMENT_MS, anAgent, aStop, aToken, changes } from '../../product/contracts/fixtures.ts';
import { BENCH_AGENT, hashOf, HOST, hubBench, type Answered, type HubBench } from './hub-bench.ts';
import { gate } from '../../rig/gate.ts';

const { hmac } = systemDigest();
let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

const admin = (path: string, json?: unknown, method?: string): Promise<Answered> =>
  bench.send(path, { json, ...(method === undefined ? {} : { method }) });
const register = (json: unknown, from = '1.1.1.1'): Promise<Answered> => bench.send('/api/onboard/register', { json, token: null, from });
const secretOf = async (): Promise<string> => String((await admin('/admin/enrol-secrets', {})).json['secret']);
const statusOf = async (token: string, path = '/api/schemas', from = '127.0.0.1'): Promise<number> =>
  (await bench.send(path, { token, from })).status;
const refusals = ({ status, json }: Answered): unknown => [status, json['error']];

t.test('a new token with a role is shown once and works immediately', async (t) => {
  const made = await admin('/admin/tokens', { name: 'ci', role: 'viewer' });
  t.equal(made.status, 201);
  const token = String(made.json['token']);
  t.match(token, /^[\w-]{32,}$/);
  t.match(made.json, { name: 'ci', role: 'viewer', agent_id: null, max_slots: null, created_at: A_MOMENT_MS, revoked_at: null });
  t.equal(await statusOf(token, '/api/tasks'), 200);
  const list = await admin('/admin/tokens');
  t.notOk(list.text.includes(token), 'the list does not show the token');
  t.notOk(list.text.includes(hashOf(token)), 'nor its digest');
  t.ok(list.text.includes(token.slice(0, 8)));
  t.notOk(JSON.stringify(bench.log.lines).includes(token), 'nor does the log');
});

t.test('every token can look up its own identity', async (t) => {
  const made = [{ agent_id: 'who-1' }, ...['submitter', 'viewer', 'operator', 'admin'].map((role) => ({ name: `who-${role}`, role }))];
  for (const body of made) {
    const { json } = await admin('/admin/tokens', body);
    const received = await bench.send('/api/whoami', { token: String(json['token']) });
    t.equal(received.status, 200);
    const { id, name, role, agent_id } = json;
    t.strictSame(received.json, { id, name, role, agent_id, submits_as: id, server_time: A_MOMENT_MS });
  }
  t.match((await admin('/api/whoami')).json, { id: 'admin', name: 'admin', role: 'admin', agent_id: null });
  t.match(await bench.send('/api/whoami', { token: 'nobody' }), {
    status: 401,
    json: { error: 'unauthorized', message: /not valid: it is mistyped, revoked or expired/ },
  });
  t.match(await bench.send('/api/whoami', { token: null }), {
    status: 401,
    json: { error: 'unauthorized', message: /the request has no such header/ },
  });
});

t.test('an agent token can fix the capabilities and slots of its agent', async (t) => {
  const made = await admin('/admin/tokens', { agent_id: 'gpu-1', capabilities: ['gpu'], max_slots: 4 });
  t.match(made.json, { role: 'agent', agent_id: 'gpu-1', capabilities: ['gpu'], max_slots: 4, name: 'gpu-1' });
  t.match((await admin('/admin/tokens', { agent_id: 'gpu-2' })).json, { max_slots: 16, capabilities: null });
  t.equal((await admin('/api/agents/gpu-1')).status, 200, 'the agent is known from now on');
  const bad: readonly unknown[] = [
    {},
    { name: 'x' },
    { role: 'viewer' },
    { name: 'x', role: 'agent' },
    { name: 'x', role: 'root' },
    { agent_id: 'A' },
    { agent_id: 'a', role: 'admin' },
    { agent_id: 'a', max_slots: 129 },
    { name: 'x', role: 'viewer', max_slots: 1 },
    { name: 'x', role: 'viewer', capabilities: [] },
  ];
  for (const body of bad) t.strictSame(refusals(await admin('/admin/tokens', body)), [400, 'validation_failed'], JSON.stringify(body));
  t.match((await admin('/admin/tokens', { name: 'x', role: 'agent' })).json, {
    details: [{ field: 'role', detail: "must be omitted for an agent's token, which needs agent_id" }],
  });
});

t.test('an agent is removed once no token can act for it; until then the answer states what must happen first', async (t) => {
  const path = '/api/agents/gone-1';
  t.strictSame(refusals(await admin(path, undefined, 'DELETE')), [404, 'unknown_agent']);
  await admin('/admin/tokens', { agent_id: 'gone-1' });
  const early = await admin(path, undefined, 'DELETE');
  t.strictSame(refusals(early), [409, 'invalid_state']);
  t.match(early.json['message'], 'Revoke it first: agentcom tokens revoke gone-1, or DELETE /admin/tokens/gone-1.');
  await admin('/admin/tokens/gone-1', undefined, 'DELETE');
  const id = 'gone-1' as AgentId;
  for (const [change, words] of [
    [{ agents: [anAgent({ id })] }, 'is connected'],
    [{ agents: [anAgent({ id, connected: false })], stopsSet: [aStop({ agentId: id })] }, 'has yet to confirm 1 stops'],
  ] as const) {
    await bench.commit(changes(change));
    t.match((await admin(path, undefined, 'DELETE')).json['message'], words);
  }
  await bench.commit(changes({ stopsCleared: [aStop({ agentId: id })] }));
  t.match(await admin(path, undefined, 'DELETE'), { status: 200, json: { removed: 'gone-1' } });
  t.strictSame(refusals(await bench.send(path, { token: 'viewer' })), [404, 'unknown_agent']);
  const tokens = (await admin('/admin/tokens')).json['tokens'] as readonly { readonly agent_id: unknown }[];
  t.notOk(tokens.some((token) => token.agent_id === 'gone-1'));
});

t.test('a token revoked by its ID or by its agent is refused immediately', async (t) => {
  const made = (await admin('/admin/tokens', { name: 'ci', role: 'viewer' })).json;
  const token = String(made['token']);
  t.equal(await statusOf(token), 200);
  t.match(await admin(`/admin/tokens/${String(made['id'])}`, undefined, 'DELETE'), { status: 200, json: { revoked: [made['id']] } });
  t.equal(await statusOf(token), 401);
  t.strictSame(refusals(await admin(`/admin/tokens/${String(made['id'])}`, undefined, 'DELETE')), [404, 'unknown_token']);
  t.equal(await statusOf(bench.tokens.agent), 200);
  t.match(await admin(`/admin/tokens/${BENCH_AGENT}`, undefined, 'DELETE'), { json: { revoked: ['tok-agent'] } });
  t.equal(await statusOf(bench.tokens.agent), 401);
  t.strictSame(bench.revoked, [made['id'], 'tok-agent'], 'the revocations are reported for their sockets');
  for (const id of ['nobody', '..%2f', '%00', 'A']) t.equal((await admin(`/admin/tokens/${id}`, undefined, 'DELETE')).status, 404, id);
});

t.test('a token revoked by another hub is refused within seconds', async (t) => {
  t.equal(await statusOf(bench.tokens.viewer), 200);
  await bench.storage.agents.revokeTokens({ id: 'tok-viewer' }, A_MOMENT_MS);
  bench.clock.advance(5_000);
  t.equal(await statusOf(bench.tokens.viewer), 401);
});

t.test('an expired token is refused from that moment, even if it was valid just before', async (t) => {
  const made = (await admin('/admin/tokens', { name: 'contractor', role: 'viewer', expires_in_ms: 60_000 })).json;
  t.match(made, { expires_at: A_MOMENT_MS + 60_000, revoked_at: null, last_used_at: null });
  const token = String(made['token']);
  bench.clock.advance(59_999);
  t.equal(await statusOf(token), 200);
  bench.clock.advance(1);
  t.strictSame(refusals(await bench.send('/api/schemas', { token })), [401, 'unauthorized']);
  const listed = (await admin('/admin/tokens')).json['tokens'] as { id: string }[];
  t.match(listed.find(({ id }) => id === made['id']), { expires_at: A_MOMENT_MS + 60_000, revoked_at: null }); // prettier-ignore
  for (const wrong of [0, -1, 31_536_000_001, '30d'])
    t.strictSame(refusals(await admin('/admin/tokens', { name: 'x', role: 'viewer', expires_in_ms: wrong })), [400, 'validation_failed']);
});

t.test('the list shows when a token was last used', async (t) => {
  const made = (await admin('/admin/tokens', { name: 'ci', role: 'viewer' })).json;
  const usedAtMs = async (): Promise<unknown> => {
    const rows = (await admin('/admin/tokens')).json['tokens'] as { id: string; last_used_at: number | null }[];
    return rows.find(({ id }) => id === made['id'])?.last_used_at;
  };
  t.equal(await usedAtMs(), null);
  bench.clock.advance(7);
  await statusOf(String(made['token']));
  t.equal(await usedAtMs(), A_MOMENT_MS + 7, 'at once, on the hub that saw it');
  await bench.storage.agents.noteTokensUsed([{ id: String(made['id']), atMs: A_MOMENT_MS + 9 }]);
  t.equal(await usedAtMs(), A_MOMENT_MS + 9, 'later, by another hub');
});

t.test('a second live token with the same name and role is refused', async (t) => {
  const body = { name: 'ci', role: 'viewer' };
  const first = await admin('/admin/tokens', body);
  const second = await admin('/admin/tokens', body);
  t.strictSame(refusals(second), [409, 'name_taken']);
  t.match(second.json['message'], /viewer token named "ci".*another name.*revoke.*agentcom tokens list/);
  t.equal((await admin('/admin/tokens', { ...body, role: 'submitter' })).status, 201, 'with another role');
  await admin(`/admin/tokens/${String(first.json['id'])}`, undefined, 'DELETE');
  t.equal((await admin('/admin/tokens', { ...body, expires_in_ms: 1_000 })).status, 201, 'after it was revoked');
  bench.clock.advance(1_000);
  t.equal((await admin('/admin/tokens', body)).status, 201, 'after it expired');
  t.equal((await admin('/admin/tokens', { agent_id: 'gpu-1' })).status, 201);
  t.equal((await admin('/admin/tokens', { agent_id: 'gpu-1' })).status, 201, 'an agent may have two, for replacement');
});

t.test('a task for an agent whose tokens are revoked states this as the reason for waiting', async (t) => {
  await admin('/admin/tokens', { agent_id: 'worker-4' });
  const task = await admin('/api/tasks', { description: 'x', assign_to: 'worker-4' });
  const waitingFor = async (): Promise<unknown> => (await admin(`/api/tasks/${String(task.json['task_id'])}`)).json['waiting_for'];
  t.match(await waitingFor(), { reason: 'agent_offline', message: 'Only worker-4 may run it, and worker-4 has never connected.' });
  await admin('/admin/tokens/worker-4', undefined, 'DELETE');
  const message = 'Only worker-4 may run it, and worker-4 cannot connect because its token is revoked.';
  t.match(await waitingFor(), { reason: 'agent_offline', message });
  await admin('/admin/tokens', { agent_id: 'worker-4', expires_in_ms: 1_000 });
  t.match(await waitingFor(), { message: /has never connected/ });
  bench.clock.advance(1_000);
  t.match(await waitingFor(), { message: /because its token has expired\.$/ });
});

t.test('tokens are listed in pages, newest first, revoked ones included', async (t) => {
  for (let n = 0; n < 3; n += 1) {
    bench.clock.advance(10);
    await admin('/admin/tokens', { name: `n${n}`, role: 'viewer' });
  }
  const first = await admin('/admin/tokens?limit=2');
  const names = (answered: Answered): unknown => (answered.json['tokens'] as { name: string }[]).map((token) => token.name);
  t.strictSame(names(first), ['n2', 'n1']);
  t.strictSame((names(await admin(`/admin/tokens?limit=500&cursor=${String(first.json['next_cursor'])}`)) as string[])[0], 'n0');
});

t.test('an agent enrolls itself with a secret that works once', async (t) => {
  const secret = await secretOf();
  const got = await register({ agent_id: 'new-1', secret });
  t.equal(got.status, 201);
  t.match(got.json, { agent_id: 'new-1', hub_ws_url: `ws://${HOST}/ws`, hub_api_url: `http://${HOST}` });
  t.equal(await statusOf(String(got.json['token'])), 200);
  t.equal(bench.enrolSecretsUsed(), 1, 'the hub writes a new one');
  t.strictSame(refusals(await register({ agent_id: 'new-2', secret })), [401, 'invalid_secret'], 'it is used up');
  const taken = await secretOf();
  const refused = await register({ agent_id: 'new-1', secret: taken });
  t.strictSame(refusals(refused), [409, 'agent_taken']);
  t.match(refused.json['message'], /The code is used up: run "agentcom invite" again\.$/);
  t.strictSame(refusals(await register({ agent_id: 'new-2', secret: taken })), [401, 'invalid_secret'], 'and it is');
  t.strictSame(refusals(await register({ agent_id: 'New', secret: 'x' })), [400, 'validation_failed']);
  const late = await admin('/admin/enrol-secrets', {});
  t.equal(late.json['expires_at'], bench.clock.nowMs() + 900_000);
  bench.clock.advance(900_001);
  t.strictSame(refusals(await register({ agent_id: 'new-3', secret: late.json['secret'] })), [401, 'invalid_secret'], 'it has expired');
});

/** What an enrolling sidecar sends and receives, with values derived from the secret. */
async function helloWith(secret: string, agentId = 'new-1', more: { readonly nonce?: string; readonly from?: string } = {}) {
  const key = hashOf(secret);
  const { nonce = 'ab'.repeat(32), from } = more;
  const hello = { agent_id: agentId, secret_hint: key.slice(0, 16), nonce };
  const answer = await register(hello, from);
  const hubNonce = String(answer.json['hub_nonce']);
  const handshake = { agentId, tokenHint: hello.secret_hint, nonce, hubNonce };
  const proved = { ...hello, hub_nonce: hubNonce, sealed_secret: sealedSecret(secret, key, handshake, hmac) };
  const tokenIn = ({ json }: Answered): string | null => unsealedEnrolToken(json as unknown as SealedToken, key, handshake, hmac);
  return { answer, proved, tokenIn, isProof: answer.json['proof'] === enrolHubProof(key, handshake, hmac) };
}

t.test('R22: a hub proves it knows an enrollment secret before it receives it, and only its holder can read the token', async (t) => {
  const secret = await secretOf();
  const { answer, isProof, proved, tokenIn } = await helloWith(secret);
  t.strictSame([answer.status, Object.keys(answer.json), isProof], [200, ['hub_nonce', 'proof'], true]);
  t.equal(bench.enrolSecretsUsed(), 0, 'a hello does not use up the secret');
  const got = await register(proved);
  t.strictSame([got.status, Object.keys(got.json)], [201, ['agent_id', 'sealed_token', 'proof', 'hub_ws_url', 'hub_api_url']]);
  const token = tokenIn(got) ?? '';
  t.equal(await statusOf(token), 200);
  const wire = JSON.stringify([answer.json, proved, got.json]);
  for (const [what, text] of Object.entries({ secret, token, key: hashOf(secret), hash: hashOf(token) }))
    t.notOk(
      [text, Buffer.from(text).toString('hex')].some((form) => wire.includes(form)),
      `the ${what} is not on the wire`,
    );
  const sealed = String(got.json['sealed_token']);
  const changed = { ...got, json: { ...got.json, sealed_token: (sealed.startsWith('0') ? '1' : '0') + sealed.slice(1) } };
  t.equal(tokenIn(changed), null, 'a token modified in transit is rejected');
  t.equal(bench.enrolSecretsUsed(), 1);
  t.strictSame(refusals(await register(proved)), [401, 'invalid_secret'], 'a replay is refused');
  const again = await helloWith(secret);
  t.equal(again.isProof, false, 'a used secret is indistinguishable from an unknown one');
  t.strictSame(refusals(await register(again.proved)), [401, 'invalid_secret']);
  const taken = await helloWith(await secretOf());
  t.strictSame(refusals(await register(taken.proved)), [409, 'agent_taken']);
});

t.test('R7: an overheard enrollment is useless for another agent, with other nonces or with another secret', async (t) => {
  const secret = await secretOf();
  const { proved } = await helloWith(secret);
  const digit = proved.sealed_secret.startsWith('0') ? '1' : '0';
  const wrong = [
    { ...proved, agent_id: 'thief' },
    { ...proved, nonce: 'cd'.repeat(32) },
    { ...proved, hub_nonce: 'cd'.repeat(32) },
    { ...proved, sealed_secret: digit + proved.sealed_secret.slice(1) },
    { ...proved, sealed_secret: hashOf(secret) },
  ];
  for (const body of wrong) t.strictSame(refusals(await register(body)), [401, 'invalid_secret']);
  for (const body of [
    { ...proved, hub_nonce: undefined },
    { ...proved, secret },
    { ...proved, secret_hint: 'xyz' },
  ])
    t.strictSame(refusals(await register(body)), [400, 'validation_failed']);
  t.equal((await register(proved)).status, 201, 'none of them used the secret up');
});

t.test('an unknown secret hint is answered like a valid one, and counts as a guess', async (t) => {
  const secret = await secretOf();
  const right = await helloWith(secret);
  const wrong = await helloWith('never-made');
  t.equal(wrong.isProof, false);
  const shape = ({ status, json }: Answered): unknown => [status, Object.entries(json).map(([name, text]) => [name, String(text).length])];
  t.strictSame(shape(wrong.answer), shape(right.answer));
  bench.clock.advance(900_001);
  t.equal((await helloWith(secret)).isProof, false, 'nor is an expired one valid');
  for (let n = 0; n < 20; n += 1) await helloWith(`guess-${n}`, 'new-1', { from: '7.7.7.7' });
  t.strictSame(refusals((await helloWith('guess', 'new-1', { from: '7.7.7.7' })).answer), [429, 'rate_limited']);
});

t.test('of several agents that enroll with the same secret at once, only one succeeds', async (t) => {
  const secret = await secretOf();
  const got = await Promise.all(['x1', 'x2', 'x3'].map((agentId) => register({ agent_id: agentId, secret })));
  t.strictSame(got.map((one) => one.status).sort(), [201, 401, 401]);
});

t.test('an address that guesses is rate-limited; tokens already accepted from it are not', async (t) => {
  t.equal(await statusOf(bench.tokens.viewer, '/api/tasks', '9.9.9.9'), 200);
  bench.clock.advance(60_000);
  for (let n = 0; n < 20; n += 1) t.equal(await statusOf(`wrong-${n}`, '/api/tasks', '9.9.9.9'), 401);
  const held = await bench.send('/api/tasks', { token: 'wrong', from: '::ffff:9.9.9.9' });
  t.strictSame([...(refusals(held) as unknown[]), held.headers.get('retry-after')], [429, 'rate_limited', '2']);
  t.equal(await statusOf(bench.tokens.operator, '/api/tasks', '9.9.9.9'), 429, 'a new token is limited like the guesses');
  t.equal(await statusOf(bench.tokens.viewer, '/api/tasks', '9.9.9.9'), 200, 'a token accepted before is not');
  t.equal(await statusOf(bench.tokens.admin, '/api/tasks', '9.9.9.9'), 200, 'nor is the admin');
  t.equal(await statusOf(bench.tokens.operator, '/api/tasks', '9.9.9.8'), 200, 'nor is another address');
  t.strictSame(refusals(await register({ agent_id: 'x', secret: 'guess' }, '9.9.9.9')), [429, 'rate_limited'], 'secrets are guesses too');
  bench.clock.advance(2_000);
  t.equal(await statusOf('wrong', '/api/tasks', '9.9.9.9'), 401, 'after a while one more guess is allowed');
});

t.test('simultaneous guesses are limited like any others', async (t) => {
  let looks = 0;
  const { agents } = bench.storage;
  const counting: HttpApiDeps['agents'] = { ...agents, findToken: (hash) => ((looks += 1), agents.findToken(hash)) };
  const other = await hubBench({ deps: { agents: counting } });
  const guess = async (n: number): Promise<number> => (await other.send('/api/tasks', { token: `wrong-${n}`, from: '9.9.9.9' })).status;
  const statuses = await Promise.all(Array.from({ length: 500 }, (_, n) => guess(n)));
  t.same([...new Set(statuses)].sort(), [401, 429]);
  t.ok(looks < 30, `${looks} of 500 were looked up`);
  t.equal((await other.send('/api/tasks', { token: 'wrong', from: '9.9.9.8' })).status, 401, 'another address is not affected');
  await other.close();
});

t.test('valid tokens never count as guesses, even many at once', async (t) => {
  const right = await Promise.all(Array.from({ length: 60 }, () => statusOf(bench.tokens.viewer, '/api/tasks', '8.8.8.8')));
  t.strictSame([...new Set(right)], [200]);
  t.equal(await statusOf('wrong', '/api/tasks', '8.8.8.8'), 401);
});

t.test('behind a trusted proxy, the client address is the one the proxy reports', async (t) => {
  const via = (forwarded: string, from: string): Promise<Answered> =>
    bench.send('/api/tasks', { token: 'wrong', from, headers: { 'x-forwarded-for': forwarded } });
  for (let n = 0; n < 20; n += 1) await via('6.6.6.6', '10.0.0.1');
  t.equal((await via('6.6.6.6', '10.0.0.1')).status, 429);
  t.equal((await via('7.7.7.7', '10.0.0.1')).status, 401);
  for (let n = 0; n < 20; n += 1) await via(`5.5.5.${n}`, '4.4.4.4');
  t.equal((await via('5.5.5.200', '4.4.4.4')).status, 429, 'an address that is not a proxy is counted itself');
});

t.test('a header without a valid bearer token is refused without a lookup', async (t) => {
  let looks = 0;
  const { agents } = bench.storage;
  const counting: HttpApiDeps['agents'] = { ...agents, findToken: (hash) => ((looks += 1), agents.findToken(hash)) };
  const other = await hubBench({ deps: { agents: counting } });
  for (const authorization of ['', 'Bearer', 'Bearer ', 'Basic YTpi', 'bearer', `Bearer ${'x'.repeat(1_025)}`, 'Bearer a b']) {
    const got = await other.send('/api/tasks', { token: null, headers: { authorization } });
    t.strictSame(
      [...(refusals(got) as unknown[]), got.headers.get('www-authenticate')],
      [401, 'unauthorized', 'Bearer realm="agentcom"'],
      authorization.slice(0, 20),
    );
  }
  t.equal(looks, 0);
  await other.close();
});

t.test('an unavailable database does not count as a wrong token', async (t) => {
  const away = () => Promise.reject(new AgentcomError('AC_STORE_UNAVAILABLE', 'gone'));
  const other = await hubBench({ deps: { agents: { ...bench.storage.agents, findToken: away, takeEnrolSecret: away } } });
  for (let n = 0; n < 30; n += 1) {
    const got = await other.send('/api/tasks', { token: 'viewer', from: '9.9.9.9' });
    t.strictSame(refusals(got), [503, 'storage_unavailable']);
  }
  const enrol = await other.send('/api/onboard/register', { json: { agent_id: 'x', secret: 'y' }, token: null, from: '9.9.9.9' });
  t.strictSame(refusals(enrol), [503, 'storage_unavailable']);
  t.equal((await other.send('/api/schemas', { from: '9.9.9.9' })).status, 200, 'the admin token of the config needs no database');
  await other.close();
});

t.test('a token revoked during its lookup is not cached', async (t) => {
  const { agents } = bench.storage;
  const id = `tok-${'1'.repeat(32)}`;
  await agents.addToken(aToken({ id, role: 'viewer', agentId: null, hash: hashOf('slow') }));
  const underWay = gate();
  const onItsWay = gate();
  let looks = 0;
  const findToken: HttpApiDeps['agents']['findToken'] = async (hash) => {
    const record = await agents.findToken(hash);
    looks += 1;
    if (looks > 1) return record;
    underWay.open();
    await onItsWay.opened;
    return record;
  };
  const other = await hubBench({ deps: { agents: { ...agents, findToken } } });
  const first = other.send('/api/schemas', { token: 'slow' });
  await underWay.opened;
  t.equal((await other.send(`/admin/tokens/${id}`, { method: 'DELETE' })).status, 200);
  onItsWay.open();
  t.equal((await first).status, 200, 'the request from before the revocation');
  t.equal((await other.send('/api/schemas', { token: 'slow' })).status, 401, 'the next request looks it up again');
  await other.close();
});
