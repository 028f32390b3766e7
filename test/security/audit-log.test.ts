/** Which HTTP API actions are in the audit log: who did what from where, nothing secret, and nothing about the contents of tasks. */
import t from 'tap';
import { breakAt } from '../../core/domain/audit/audit-chain.ts';
import { AUDIT_START } from '../../core/domain/audit/audit-entry.ts';
import { REFUSED_LOGINS_MS } from '../../adapters/http/refused-logins.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { A_MOMENT_MS, aTask, aTaskId, anAgent, anAgentId, changes, inserting } from '../product/contracts/fixtures.ts';
import { ADMIN_TOKEN, HOST, hubBench, type Answered, type HubBench } from '../adapters/http/hub-bench.ts';

const OWN_PAGE = { origin: `http://${HOST}`, 'x-agentcom-dashboard': '1', 'content-type': 'application/json' };

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench();
});
t.afterEach(() => bench.close());

const send = (method: string, path: string, token: string | null, json?: unknown): Promise<Answered> =>
  bench.send(path, { method, token, ...(json === undefined ? {} : { json }), from: '192.0.2.7' });
const recorded = async () => (await bench.storage.audit.read({ after: 0, limit: 1_000 })).entries;
/** `act object outcome by role from address`. */
const linesOf = async (): Promise<readonly string[]> =>
  (await recorded()).map(({ act, object, outcome, actor, address }) => [act, object, outcome, actor.id, actor.role, address].join(' '));

t.test('every administrative act is recorded with its actor, address and object', async (t) => {
  await bench.commit(changes({ agents: [anAgent({ connected: false }), anAgent({ id: anAgentId('a2'), connected: false })] }));
  await bench.commit(inserting(aTask(), aTask({ id: aTaskId(2), status: 'dead_letter', deadReason: 'retries_spent' })));
  const made = (await send('POST', '/admin/tokens', 'admin', { name: 'ci', role: 'viewer' })).json;
  await send('DELETE', `/admin/tokens/${String(made['id'])}`, 'admin');
  await send('DELETE', '/admin/tokens/a1', 'admin');
  for (const act of ['drain', 'resume', 'takeover', 'check']) await send('POST', `/api/agents/a2/${act}`, 'operator', {});
  await send('POST', `/api/tasks/${aTaskId(1)}/cancel`, 'operator', {});
  await send('POST', `/api/tasks/${aTaskId(2)}/retry`, 'operator', {});
  t.equal((await send('DELETE', '/api/agents/a1', 'admin')).status, 200);
  t.strictSame(await linesOf(), [
    `token.create ${String(made['id'])} done admin admin 192.0.2.7`,
    `token.revoke ${String(made['id'])} done admin admin 192.0.2.7`,
    'token.revoke tok-agent done admin admin 192.0.2.7',
    'agent.drain a2 done tok-operator operator 192.0.2.7',
    'agent.resume a2 done tok-operator operator 192.0.2.7',
    'agent.takeover a2 done tok-operator operator 192.0.2.7',
    `task.cancel ${aTaskId(1)} done tok-operator operator 192.0.2.7`,
    `task.retry ${aTaskId(2)} done tok-operator operator 192.0.2.7`,
    'agent.remove a1 done admin admin 192.0.2.7',
  ]);
  t.match(await recorded(), { 0: { atMs: A_MOMENT_MS, actor: { name: 'admin' }, details: { name: 'ci', role: 'viewer' } } });
});

t.test('an enrollment code is recorded when it is created and when it is used, without the code itself', async (t) => {
  const { json: made } = await send('POST', '/admin/enrol-secrets', 'admin', {});
  const secret = String(made['secret']);
  const hint = systemDigest().sha256(secret).slice(0, 16);
  const joined = await send('POST', '/api/onboard/register', null, { agent_id: 'new-1', secret });
  t.equal(joined.status, 201);
  t.strictSame((await linesOf()).slice(0, 2), [
    `enrol_secret.create ${hint} done admin admin 192.0.2.7`,
    `enrol_secret.use ${hint} done  none 192.0.2.7`,
  ]);
  t.match((await recorded())[2], { act: 'token.create', details: { agent_id: 'new-1' } });
  const text = JSON.stringify(await recorded());
  for (const word of [secret, String(joined.json['token']), ADMIN_TOKEN]) t.notOk(text.includes(word), 'nothing secret');
});

t.test("refusals, reads and acts that a task's history already has are not recorded", async (t) => {
  await bench.commit(inserting(aTask({ submittedBy: 'tok-submitter' })));
  await send('POST', '/api/tasks', 'submitter', { description: 'x' });
  await send('POST', `/api/tasks/${aTaskId(1)}/cancel`, 'submitter', {});
  await send('POST', `/api/tasks/${aTaskId(1)}/cancel`, 'viewer', {});
  await send('POST', `/api/tasks/${aTaskId(1)}/retry`, 'operator', {});
  await send('POST', `/api/tasks/${aTaskId(9)}/cancel`, 'operator', {});
  await send('POST', '/api/agents/nobody/drain', 'operator', {});
  await send('DELETE', '/api/agents/nobody', 'admin');
  await send('DELETE', '/admin/tokens/nobody', 'admin');
  await send('GET', '/admin/tokens', 'admin');
  t.strictSame(await linesOf(), []);
});

t.test('signing in and out is recorded, at a limited rate', async (t) => {
  const signIn = (): Promise<Answered> =>
    bench.send('/api/session', { token: null, json: { token: bench.tokens.viewer }, headers: OWN_PAGE, from: '192.0.2.7' });
  const cookie = ((await signIn()).headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const signOut = (headers: Readonly<Record<string, string>>): Promise<Answered> =>
    bench.send('/api/session', { method: 'DELETE', token: null, headers: { ...OWN_PAGE, ...headers }, from: '192.0.2.7' });
  await signOut({ cookie });
  await signOut({});
  t.strictSame(await linesOf(), [
    'session.open tok-viewer done tok-viewer viewer 192.0.2.7',
    'session.end tok-viewer done tok-viewer viewer 192.0.2.7',
  ]);
  const statuses: number[] = [];
  for (let n = 0; n < 70; n += 1) statuses.push((await signIn()).status);
  t.equal(statuses.at(-1), 429);
  t.equal((await signOut({ cookie })).status, 200, 'signing out always works');
  t.ok((await recorded()).length <= 60, 'and no token can fill the log');
});

t.test('wrong tokens are counted and recorded as one entry', async (t) => {
  for (let n = 0; n < 3; n += 1) await bench.send('/api/tasks', { token: `wrong-${n}`, from: '192.0.2.8' });
  await bench.send('/api/tasks', { token: 'wrong', from: '192.0.2.9' });
  await bench.send('/api/tasks', { token: null, from: '192.0.2.9' });
  t.strictSame(await linesOf(), []);
  bench.clock.advance(REFUSED_LOGINS_MS);
  await new Promise(setImmediate);
  const [entry, ...more] = await recorded();
  t.match(entry, {
    act: 'session.refuse',
    outcome: 'refused',
    actor: { id: null, role: 'none' },
    details: { count: 4, from: A_MOMENT_MS, addresses: '192.0.2.8 192.0.2.9' },
  });
  t.strictSame(more, []);
  bench.clock.advance(2 * REFUSED_LOGINS_MS);
  await new Promise(setImmediate);
  t.equal((await recorded()).length, 1, 'no more since then');
});

t.test('an act that cannot be recorded is not done', async (t) => {
  const broken = await hubBench();
  await broken.storage.close();
  t.equal((await broken.send('/admin/tokens', { json: { name: 'x', role: 'viewer' } })).status, 503);
  const page = { token: null, json: { token: ADMIN_TOKEN }, headers: OWN_PAGE };
  const signedIn = await broken.send('/api/session', page);
  t.strictSame([signedIn.status, signedIn.headers.get('set-cookie')], [503, null]);
  const cookie = ((await bench.send('/api/session', page)).headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const signedOut = await broken.send('/api/session', { method: 'DELETE', token: null, headers: { ...OWN_PAGE, cookie } });
  t.match([signedOut.status, signedOut.headers.get('set-cookie')], [200, /Max-Age=0/], 'but signing out still succeeds');
  await broken.close();
});

t.test('admins read it in pages, as JSON and as JSON lines', async (t) => {
  for (let n = 0; n < 5; n += 1) await send('POST', '/admin/tokens', 'admin', { name: `n${n}`, role: 'viewer' });
  const first = (await bench.send('/admin/audit?limit=2')).json as { entries: { seq: number }[]; next_after: number; head: object };
  t.match(first, { entries: [{ seq: 1 }, { seq: 2 }], next_after: 2, anchor: AUDIT_START, head: { seq: 5 } });
  const last = await bench.send('/admin/audit?after=4');
  t.match(last.json, { entries: [{ seq: 5, actor: { role: 'admin' } }], next_after: null });
  const lines = await bench.send('/admin/audit?format=ndjson');
  t.equal(lines.headers.get('content-type'), 'application/x-ndjson; charset=utf-8');
  const entries = lines.text.trimEnd().split('\n').map((line) => JSON.parse(line) as never); // prettier-ignore
  t.equal(entries.length, 5);
  for (const { at, ...entry } of entries as ({ at: number } & Awaited<ReturnType<typeof recorded>>[number])[])
    t.equal(breakAt(null, { ...entry, atMs: at }, systemDigest().sha256), null, 'each entry can be verified as it is');
  t.equal((await bench.send('/admin/audit?after=5&format=ndjson')).text, '');
  for (const query of ['after=x', 'limit=0', 'limit=100000', 'format=csv', 'more=1'])
    t.equal((await bench.send(`/admin/audit?${query}`)).json['error'], 'validation_failed', query);
});
