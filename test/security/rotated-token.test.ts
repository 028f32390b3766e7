/** Rotating a token: the new one has the rights of the old one and no more, both work during the overlap, and each is rotated once. */
import t from 'tap';
import { OVERLAP_MS_DEFAULT, OVERLAP_MS_MAX } from '../../core/protocol/http-bodies.ts';
import { A_MOMENT_MS } from '../product/contracts/fixtures.ts';
import { hubBench, type Answered, type HubBench } from '../adapters/http/hub-bench.ts';
import { hubRig, settle } from '../core/hub/hub-rig.ts';

const HOUR_MS = 3_600_000;
const UNKNOWN = `tok-${'0'.repeat(32)}`;

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

type Json = Readonly<Record<string, unknown>>;
const create = async (body: unknown): Promise<Json> => (await bench.send('/admin/tokens', { json: body })).json;
const rotate = (id: unknown, json: unknown = {}): Promise<Answered> => bench.send(`/admin/tokens/${String(id)}/rotate`, { json });
const statusOf = async (token: unknown): Promise<number> => (await bench.send('/api/schemas', { token: String(token) })).status;

t.test('the new token has the rights and lifetime of the old one, is shown once, and both work during the overlap', async (t) => {
  const old = await create({ agent_id: 'gpu-1', capabilities: ['gpu'], max_slots: 4, expires_in_ms: 5 * HOUR_MS });
  bench.clock.advance(HOUR_MS);
  const nowMs = A_MOMENT_MS + HOUR_MS;
  const { status, json: made } = await rotate(old['id'], { overlap_ms: 60_000 });
  t.equal(status, 201);
  t.match(made, { name: 'gpu-1', role: 'agent', agent_id: 'gpu-1', capabilities: ['gpu'], max_slots: 4, replaced_by: null });
  t.match(made, { created_at: nowMs, expires_at: nowMs + 5 * HOUR_MS });
  t.match(made['rotated'], { id: old['id'], expires_at: nowMs + 60_000, replaced_by: made['id'] });
  t.notSame(made['token'], old['token']);
  const list = await bench.send('/admin/tokens');
  for (const text of [list.text, JSON.stringify(bench.log.lines)]) t.notOk(text.includes(String(made['token'])));
  t.strictSame([await statusOf(old['token']), await statusOf(made['token'])], [200, 200]);
  t.strictSame(bench.revoked, [old['id']], 'sockets get the new expiry');
  bench.clock.advance(60_000);
  t.strictSame([await statusOf(old['token']), await statusOf(made['token'])], [401, 200]);
});

t.test('the overlap is an hour by default, none with 0, limited, and never outlasts the old token', async (t) => {
  const [usual, atOnce, short] = [
    await create({ name: 'a', role: 'viewer' }),
    await create({ name: 'b', role: 'viewer' }),
    await create({ name: 'c', role: 'viewer', expires_in_ms: 1_000 }),
  ];
  t.equal(await statusOf(atOnce['token']), 200);
  t.match((await rotate(usual['id'])).json, { expires_at: null, rotated: { expires_at: A_MOMENT_MS + OVERLAP_MS_DEFAULT } });
  t.match((await rotate(atOnce['id'], { overlap_ms: 0 })).json, { rotated: { expires_at: A_MOMENT_MS } });
  t.equal(await statusOf(atOnce['token']), 401);
  t.match((await rotate(short['id'])).json, { expires_at: A_MOMENT_MS + 1_000, rotated: { expires_at: A_MOMENT_MS + 1_000 } });
  for (const overlap of [-1, 1.5, OVERLAP_MS_MAX + 1, '1h']) {
    const { status, json } = await rotate(usual['id'], { overlap_ms: overlap });
    t.match([status, json['error']], [400, 'validation_failed'], String(overlap));
  }
});

t.test('a rotated token of a submitter is the same submitter: it has its tasks and idempotency keys', async (t) => {
  const first = await create({ name: 'ci', role: 'submitter' });
  const other = await create({ name: 'other', role: 'submitter' });
  const submit = async (token: unknown) =>
    (await bench.send('/api/tasks', { json: { description: 'x' }, token: String(token), headers: { 'idempotency-key': 'k' } })).json[
      'task_id'
    ];
  const task = await submit(first['token']);
  const second = (await rotate(first['id'])).json;
  const third = (await rotate(second['id'])).json;
  t.strictSame(
    [first, second, third, other].map((token) => token['submits_as']),
    [first['id'], first['id'], first['id'], other['id']],
  );
  for (const { token } of [second, third]) {
    const get = async (path: string) => (await bench.send(path, { token: String(token) })).json;
    t.equal(await submit(token), task, 'the same key is the same task');
    t.match(await get(`/api/tasks/${String(task)}`), { submitted_by: first['id'] });
    const { id, submits_as: submitsAs } = await get('/api/whoami');
    t.equal(submitsAs, first['id']);
    for (const filter of ['', `?submitted_by=${String(id)}`, `?submitted_by=${String(submitsAs)}`])
      t.match(await get(`/api/tasks${filter}`), { tasks: [{ id: task }] }, filter);
    t.match(await get(`/api/tasks?submitted_by=${String(other['id'])}`), { tasks: [] });
  }
  const seenBy = async ({ token }: Json) => (await bench.send(`/api/tasks/${String(task)}`, { token: String(token) })).status;
  t.equal(await seenBy(other), 404);
  t.not(await submit(other['token']), task);
  await bench.send(`/admin/tokens/${String(third['id'])}`, { method: 'DELETE' });
  const again = await create({ name: 'ci2', role: 'submitter' });
  t.equal(await seenBy(again), 404, 'a new token is another submitter');
  t.equal((await bench.send(`/api/tasks/${String(task)}/cancel`, { method: 'POST', token: String(second['token']) })).status, 200);
});

t.test('a token that cannot be rotated is refused, with a hint what to do instead', async (t) => {
  const [revoked, expired, rotated] = [
    await create({ name: 'a', role: 'viewer' }),
    await create({ agent_id: 'b1', expires_in_ms: 1_000 }),
    await create({ name: 'c', role: 'viewer' }),
  ];
  await bench.send(`/admin/tokens/${String(revoked['id'])}`, { method: 'DELETE' });
  bench.clock.advance(1_000);
  const successor = (await rotate(rotated['id'])).json['id'];
  const before = (await bench.storage.agents.listTokens({ limit: 100 })).length;
  for (const [id, status, error, message] of [
    [revoked['id'], 409, 'invalid_state', /was revoked.*POST \/admin\/tokens\.$/],
    [expired['id'], 409, 'invalid_state', /has expired.*POST \/admin\/tokens with agent_id b1\.$/],
    [rotated['id'], 409, 'invalid_state', new RegExp(`${String(successor)} replaces it. Rotate that one`)],
    [UNKNOWN, 404, 'unknown_token', /agentcom tokens list/],
    ['admin', 404, 'unknown_token', /agentcom tokens list/],
    ['b1', 404, 'unknown_token', /agentcom tokens list/],
  ] as const) {
    const refused = await rotate(id);
    t.match([refused.status, refused.json['error'], refused.json['message']], [status, error, message], String(id));
  }
  t.equal((await bench.storage.agents.listTokens({ limit: 100 })).length, before, 'and no token is created');
});

t.test('only an admin rotates tokens: other roles cannot rotate even their own', async (t) => {
  const { id } = await create({ name: 'boss', role: 'admin' });
  for (const role of ['operator', 'viewer', 'submitter', 'agent'] as const) {
    for (const target of [id, `tok-${role}`]) {
      const refused = await bench.send(`/admin/tokens/${String(target)}/rotate`, { json: {}, token: role });
      t.match([refused.status, refused.json['error']], [403, 'forbidden'], `${role}: ${String(target)}`);
    }
  }
  t.equal((await bench.storage.audit.read({ after: 1, limit: 10 })).entries.length, 0);
});

t.test('a rotation is recorded with the id of the replacement, and without either token', async (t) => {
  const old = await create({ name: 'ci', role: 'viewer' });
  const { json: made } = await rotate(old['id'], { overlap_ms: 7 });
  const { entries } = await bench.storage.audit.read({ after: 1, limit: 10 });
  t.match(entries, [
    { act: 'token.rotate', object: old['id'], actor: { id: 'admin' }, details: { role: 'viewer', replaced_by: made['id'], overlap_ms: 7 } },
  ]);
  for (const secret of [old['token'], made['token']]) t.notOk(JSON.stringify(entries).includes(String(secret)));
});

t.test('R7: the sockets of a rotated token are closed when it expires, or at once if it already has', async (t) => {
  const rig = await hubRig();
  const [atOnce, later] = [await rig.peer('a1'), await rig.peer('a2')];
  await atOnce.identify();
  await later.identify();
  const tokens = await rig.storage.agents.listTokens({ limit: 10 });
  const end = async (agentId: string, overlapMs: number): Promise<void> => {
    const token = tokens.find((one) => one.agentId === agentId);
    const nowMs = rig.clock.nowMs();
    if (token === undefined) throw new Error(agentId);
    const successor = { ...token, id: `${token.id}-new`, hash: token.hash.replace(/./g, 'f'), createdAtMs: nowMs };
    const rotated = await rig.storage.agents.rotateToken(token.id, successor, nowMs + overlapMs);
    rig.sessions.endTokens(rotated === undefined ? [] : [rotated]);
    await settle(rig.clock);
  };
  await end('a1', 0);
  t.equal(atOnce.closed(), 1008);
  await end('a2', 60_000);
  t.equal(later.closed(), null);
  for (let second = 0; second < 90 && later.closed() === null; second += 5) {
    await later.send({ type: 'ping' });
    rig.clock.advance(5_000);
    await settle(rig.clock);
  }
  t.equal(later.closed(), 1008);
  await rig.stop();
});
