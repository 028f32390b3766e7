/** Signing in to the dashboard: what the cookie is, what it grants, to whom and for how long. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { SESSION_MS, sessionCookies } from '../../../adapters/http/session/session-cookies.ts';
import { HOST, hashOf, hubBench, type Answered, type HubBench, type Sending } from './hub-bench.ts';

const SECRET = 'the session secret of the tests';
/** What the dashboard's script sends over plain HTTP to a non-loopback name: no Sec-Fetch-Site. */
const OWN = { origin: `http://${HOST}`, 'x-agentcom-dashboard': '1' };

const signIn = (bench: HubBench, token: string, headers: Readonly<Record<string, string>> = OWN): Promise<Answered> =>
  bench.send('/api/session', { token: null, json: { token }, headers });

const cookieOf = (answered: Answered): string => (answered.headers.get('set-cookie') ?? '').split(';')[0] ?? '';

/** Sends with the cookie alone, as a browser does. */
const asBrowser = (bench: HubBench, path: string, cookie: string, how: Sending = {}): Promise<Answered> =>
  bench.send(path, { ...how, token: null, headers: { ...OWN, cookie, ...how.headers } });

t.test('R7: a token is exchanged for a cookie that is HttpOnly, SameSite=Strict and does not contain the token', async (t) => {
  const bench = await hubBench();
  const got = await signIn(bench, bench.tokens.operator);
  t.match(got, { status: 200, json: { id: 'tok-operator', role: 'operator' } });
  const cookie = got.headers.get('set-cookie') ?? '';
  t.match(cookie, /^agentcom_[0-9a-f]{8}=[\w-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
  t.notOk(cookie.includes(bench.tokens.operator) || cookie.includes(hashOf(bench.tokens.operator)), 'neither the token nor its digest');
  const secure = await signIn(bench, bench.tokens.operator, {
    'x-agentcom-dashboard': '1',
    'sec-fetch-site': 'same-origin',
    origin: `http://${HOST}`,
  });
  t.equal(secure.status, 200);
  t.match((await asBrowser(bench, '/api/whoami', cookieOf(got))).json, { id: 'tok-operator', role: 'operator' });
  t.match((await asBrowser(bench, '/api/tasks/stats', cookieOf(got))).status, 200);
  t.equal((await asBrowser(bench, '/admin/tokens', cookieOf(got))).json['error'], 'forbidden', 'the session has the role of the token');
  const admin = cookieOf(await signIn(bench, bench.tokens.admin));
  t.match((await asBrowser(bench, '/api/whoami', admin)).json, { id: 'admin', role: 'admin' }, 'the admin token of the config');
  const ended = await asBrowser(bench, '/api/session', admin, { method: 'DELETE' });
  t.match(ended.headers.get('set-cookie'), /^agentcom_[0-9a-f]{8}=; Max-Age=0; /, 'signing out removes it');
  await bench.close();
});

t.test('behind HTTPS the cookie is Secure', async (t) => {
  const bench = await hubBench({ deps: { isAllowedOrigin: () => true } });
  const got = await signIn(bench, bench.tokens.viewer, { origin: 'https://hub.test:4000', 'x-agentcom-dashboard': '1' });
  t.match(got.headers.get('set-cookie'), /; SameSite=Strict; Secure$/);
  await bench.close();
});

t.test('R7: wrong tokens are refused and count as guesses, and agents cannot sign in', async (t) => {
  const bench = await hubBench();
  t.match(await signIn(bench, bench.tokens.agent), { status: 403, json: { error: 'forbidden' } });
  for (const token of ['', 'with space', 'ü', 'x'.repeat(1_025)]) t.equal((await signIn(bench, token)).json['error'], 'validation_failed');
  const statuses: number[] = [];
  for (let count = 0; count < 25; count += 1) statuses.push((await signIn(bench, `wrong-${count}`)).status);
  t.strictSame([statuses.filter((status) => status === 401).length, statuses.at(-1)], [20, 429]);
  t.equal((await signIn(bench, 'wrong')).headers.get('set-cookie'), null);
  t.equal((await signIn(bench, bench.tokens.admin)).status, 200, 'the admin token of the config is compared without a lookup');
  await bench.close();
});

t.test('R7: a session ends when its token is revoked, when it expires, and when the key of the hub changes', async (t) => {
  const bench = await hubBench();
  const { json: made } = await bench.send('/admin/tokens', { json: { name: 'eve', role: 'viewer' } });
  const viewer = cookieOf(await signIn(bench, String(made['token'])));
  const operator = cookieOf(await signIn(bench, bench.tokens.operator));
  t.equal((await asBrowser(bench, '/api/agents', viewer)).status, 200);
  await bench.send(`/admin/tokens/${String(made['id'])}`, { method: 'DELETE' });
  t.match(await asBrowser(bench, '/api/agents', viewer), { status: 401, json: { error: 'unauthorized' } }, 'at once');
  bench.clock.advance(SESSION_MS - 1_000);
  t.equal((await asBrowser(bench, '/api/agents', operator)).status, 200, 'until it expires');
  bench.clock.advance(2_000);
  t.equal((await asBrowser(bench, '/api/agents', operator)).status, 401);
  const other = sessionCookies('another hub');
  const forged = other.seal({ tokenHash: hashOf(bench.tokens.admin), expiresAtMs: Number.MAX_SAFE_INTEGER });
  const { name } = sessionCookies(SECRET);
  t.not(other.name, name, 'two hubs on one host do not overwrite each other');
  for (const value of [forged, '', 'x', randomBytes(68).toString('base64url'), forged.slice(0, -1)]) {
    t.equal((await asBrowser(bench, '/api/agents', `${name}=${value}`)).status, 401, value);
  }
  await bench.close();
});

t.test('the session cookie is found among others, and a planted cookie does not hide it', (t) => {
  const cookies = sessionCookies(SECRET);
  const value = cookies.seal({ tokenHash: hashOf('x'), expiresAtMs: 1_000 });
  const ours = `${cookies.name}=${value}`;
  for (const header of [ours, `a=b; ${ours}`, `${cookies.name}=planted; ${ours}; c=d`, `${ours};a=b`]) {
    t.strictSame(cookies.open(header, 999), { tokenHash: hashOf('x'), expiresAtMs: 1_000 }, header);
  }
  const tooLong = `a=${'x'.repeat(20_000)}; ${ours}`;
  const tooMany = `${`${cookies.name}=x; `.repeat(4)}${ours}`;
  for (const header of [undefined, '', 'a=b', `x${ours}`, tooLong, tooMany]) t.equal(cookies.open(header, 999), null);
  t.equal(cookies.open(ours, 1_000), null, 'not after it expires');
  t.end();
});

t.test('R7: a session cookie works from the dashboard only, not from any other page, even on another port', async (t) => {
  const bench = await hubBench({ deps: { isAllowedOrigin: () => true } });
  const cookie = cookieOf(await signIn(bench, bench.tokens.operator));
  const task = { description: 'x' };
  const send = (headers: Readonly<Record<string, string>>, how: Sending = { json: task }): Promise<Answered> =>
    bench.send('/api/tasks', { ...how, token: null, headers: { cookie, ...headers } });
  const bare = { 'x-agentcom-dashboard': '1' };
  t.equal((await send(OWN)).status, 201);
  t.equal(
    (await send({ ...bare, 'sec-fetch-site': 'same-origin', origin: 'https://behind.a.proxy' })).status,
    201,
    'a browser that vouches for it',
  );
  const refused: readonly (readonly [string, Readonly<Record<string, string>>, Sending?])[] = [
    ['no Origin', bare],
    ['another port', { ...bare, origin: 'http://hub.test:3000' }],
    ['another site', { ...bare, origin: 'http://evil.test' }],
    ['an opaque origin', { ...bare, origin: 'null' }],
    ['a browser that reports same-site', { ...OWN, 'sec-fetch-site': 'same-site' }],
    ['a browser that reports cross-site', { ...OWN, 'sec-fetch-site': 'cross-site' }],
    ['a typed address', { ...OWN, 'sec-fetch-site': 'none' }],
    ['without the dashboard header', { origin: `http://${HOST}` }],
    ['a form', OWN, { method: 'POST', body: 'description=x', headers: {} }],
    ['a read by a page of another port', { 'sec-fetch-site': 'same-site' }, {}],
  ];
  for (const [what, headers, how] of refused) {
    t.match(await send(headers, how), { status: 403, json: { error: 'forbidden_origin' } }, what);
  }
  const posted = bench.commands.filter(({ kind }) => kind === 'submit').length;
  t.equal(posted, 2, 'nothing else reached the queue');
  t.equal((await send({}, {})).status, 200, 'a read does not need the dashboard header');
  t.equal(
    (await signIn(bench, bench.tokens.admin, { origin: 'http://evil.test', 'x-agentcom-dashboard': '1' })).status,
    403,
    'another site cannot sign in either',
  );
  await bench.close();
});
