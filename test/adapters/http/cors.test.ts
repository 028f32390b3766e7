/** Pages of other origins: which may call the API, and with which headers. */
import t from 'tap';
import { HOST, hubBench, type HubBench } from './hub-bench.ts';

const PAGE = 'https://ops.example';
const OWN = `http://${HOST}`;

let bench: HubBench;
t.beforeEach(async () => {
  bench = await hubBench({ deps: { pageOrigins: [PAGE, 'http://localhost:5173'] } });
});
t.afterEach(() => bench.close());

const preflight = (origin: string, path = '/api/tasks') =>
  bench.send(path, { method: 'OPTIONS', token: null, headers: { origin, 'access-control-request-method': 'POST' } });

t.test('a preflight from an allowed origin needs no token, and allows no cookies', async (t) => {
  const { status, headers, text } = await preflight(PAGE);
  t.strictSame([status, text], [204, '']);
  t.equal(headers.get('access-control-allow-origin'), PAGE);
  t.equal(headers.get('access-control-allow-methods'), 'GET, POST, DELETE');
  t.match(headers.get('access-control-allow-headers'), /^authorization, content-type, idempotency-key, last-event-id, /);
  t.notMatch(headers.get('access-control-allow-headers'), /dashboard|\*/, "not the header of the hub's own pages");
  t.equal(headers.get('access-control-allow-credentials'), null);
  t.equal(headers.get('vary'), 'origin');
  t.strictSame(bench.commands, []);
});

t.test('requests from an allowed origin are answered normally and readable by that page', async (t) => {
  const headers = { origin: PAGE };
  const made = await bench.send('/api/tasks', { json: { description: 'x' }, headers });
  t.equal(made.status, 201);
  t.equal(made.headers.get('access-control-allow-origin'), PAGE);
  t.equal(made.headers.get('cross-origin-resource-policy'), 'cross-origin');
  t.equal(made.headers.get('access-control-expose-headers'), 'retry-after');
  const events = await bench.open('/api/events', { headers: { ...headers, 'last-event-id': '0' } });
  t.equal(events.headers.get('access-control-allow-origin'), PAGE, 'streams too');
  await events.body?.cancel();
  for (const [path, token, status] of [
    ['/api/tasks', 'wrong', 401],
    ['/api/nothing', 'admin', 404],
    ['/api/tasks/task-none', 'admin', 404],
  ] as const) {
    const refused = await bench.send(path, { token, headers });
    t.strictSame([refused.status, refused.headers.get('access-control-allow-origin')], [status, PAGE], 'so that the page can say why');
  }
});

t.test('R7: other origins get no CORS headers, and session cookies do not work from an allowed origin', async (t) => {
  for (const origin of ['https://evil.example', 'https://ops.example.evil', 'https://ops.example:444', 'http://ops.example', 'null']) {
    const requested = await preflight(origin);
    t.strictSame([requested.status, requested.headers.get('access-control-allow-origin')], [403, null], origin);
    const sent = await bench.send('/api/tasks', { json: { description: 'x' }, headers: { origin } });
    t.strictSame([sent.status, sent.headers.get('access-control-allow-origin')], [403, null], origin);
  }
  const own = await preflight(OWN);
  t.strictSame([own.status, own.headers.get('access-control-allow-origin')], [405, null], 'a name of the hub is not an allowed origin');
  const plain = await bench.send('/api/tasks', { method: 'OPTIONS', headers: { origin: PAGE } });
  t.equal(plain.status, 405, 'OPTIONS that is not a preflight');

  const page = { origin: OWN, 'x-agentcom-dashboard': '1', 'sec-fetch-site': 'same-origin' };
  const signedIn = await bench.send('/api/session', { token: null, json: { token: bench.tokens.operator }, headers: page });
  const cookie = /^[^;]+/.exec(signedIn.headers.get('set-cookie') ?? '')?.[0] ?? '';
  t.equal((await bench.send('/api/tasks', { token: null, json: { description: 'x' }, headers: { ...page, cookie } })).status, 201);
  const foreign = { origin: PAGE, cookie, 'x-agentcom-dashboard': '1', 'sec-fetch-site': 'cross-site' };
  const refused = await bench.send('/api/tasks', { token: null, json: { description: 'x' }, headers: foreign });
  t.match(refused, { status: 403, json: { error: 'forbidden_origin' } });
  const read = await bench.send('/api/tasks', { token: null, headers: { ...foreign, origin: PAGE } });
  t.equal(read.status, 403);
});

t.test('without allowed origins nothing changes', async (t) => {
  const bare = await hubBench();
  const got = await bare.send('/api/tasks', { json: { description: 'x' }, headers: { origin: OWN } });
  t.strictSame([got.status, got.headers.get('access-control-allow-origin'), got.headers.get('vary')], [201, null, null]);
  t.equal(got.headers.get('cross-origin-resource-policy'), 'same-origin');
  await bare.close();
});
