/**
 * Who may call which route: each role, and each invalid token, on each row of the route table, on one's own tasks and
 * on those of others.
 */
import t from 'tap';
import { ROUTES, rolesOf, type Reach, type Route, type RouteName } from '../../adapters/http/routes.ts';
import { ROLES, type Role } from '../../core/ports/agent-store.ts';
import type { TaskId } from '../../core/domain/ids.ts';
import { BENCH_AGENT, HOST, hashOf, hubBench, type Answered, type HubBench, type Sending } from '../adapters/http/hub-bench.ts';
import {
  A_MOMENT_MS,
  aTask,
  aTaskId,
  aToken,
  anAgent,
  anAgentId,
  anAssignedTask,
  changes,
  inserting,
} from '../product/contracts/fixtures.ts';

/** One task of the submitter, assigned to the agent of the bench; and one unrelated to both. */
const MINE = aTaskId(1);
const OTHERS = aTaskId(2);
const OTHER_AGENT = 'a2';
/** What the dashboard's own page sends, and a page of another origin. */
const OWN_PAGE = { origin: `http://${HOST}`, 'x-agentcom-dashboard': '1', 'content-type': 'application/json' };
const OTHER_PAGE = { 'sec-fetch-site': 'cross-site', 'content-type': 'application/json' };

/** A request that its route answers: these need only a token. `task`: the one that it names, if any. */
interface Aim {
  readonly path: string;
  readonly json?: unknown;
  readonly lines?: string;
  /** It lists tasks: a role limited to its own tasks sees no others. */
  readonly lists?: true;
}

/** A new route must be added there: without a request it does not compile. */
const AIMS: Readonly<Record<RouteName, (task: TaskId) => Aim>> = {
  submit: () => ({ path: '/api/tasks', json: { description: 'x' } }),
  submitBatch: () => ({ path: '/api/tasks/batch', lines: '{"description":"x"}\n' }),
  submitBulk: () => ({ path: '/api/tasks/bulk', lines: '{"description":"x"}\n' }),
  listTasks: () => ({ path: '/api/tasks', lists: true }),
  listDeadLetter: () => ({ path: '/api/tasks/dead-letter', lists: true }),
  taskStats: () => ({ path: '/api/tasks/stats' }),
  getTask: (task) => ({ path: `/api/tasks/${task}` }),
  taskEvents: (task) => ({ path: `/api/tasks/${task}/events` }),
  keptResult: (task) => ({ path: `/api/tasks/${task}/results/1` }),
  taskOutput: (task) => ({ path: `/api/tasks/${task}/output` }),
  waitForOutput: (task) => ({ path: `/api/tasks/${task}/output/wait?wait_ms=0` }),
  retryTask: (task) => ({ path: `/api/tasks/${task}/retry`, json: {} }),
  cancelTask: (task) => ({ path: `/api/tasks/${task}/cancel`, json: {} }),
  adoptResult: (task) => ({ path: `/api/tasks/${task}/adopt`, json: { generation: 1 } }),
  pushTask: () => ({ path: '/api/admin/push-task', json: { agent_id: OTHER_AGENT, description: 'x' } }),
  listAgents: () => ({ path: '/api/agents' }),
  getAgent: () => ({ path: `/api/agents/${OTHER_AGENT}` }),
  drainAgent: () => ({ path: `/api/agents/${OTHER_AGENT}/drain`, json: {} }),
  resumeAgent: () => ({ path: `/api/agents/${OTHER_AGENT}/resume`, json: {} }),
  checkAgent: () => ({ path: `/api/agents/${OTHER_AGENT}/check`, json: {} }),
  takeoverAgent: () => ({ path: `/api/agents/${OTHER_AGENT}/takeover`, json: {} }),
  removeAgent: () => ({ path: `/api/agents/${OTHER_AGENT}` }),
  register: () => ({ path: '/api/onboard/register', json: { agent_id: 'b1', secret: 'none' } }),
  addEnrolSecret: () => ({ path: '/admin/enrol-secrets', json: {} }),
  addToken: () => ({ path: '/admin/tokens', json: { agent_id: 'b2' } }),
  listTokens: () => ({ path: '/admin/tokens' }),
  listAudit: () => ({ path: '/admin/audit' }),
  rotateToken: () => ({ path: '/admin/tokens/tok-nobody/rotate', json: {} }),
  revokeTokens: () => ({ path: '/admin/tokens/tok-nobody' }),
  openSession: () => ({ path: '/api/session', json: { token: 'viewer-token' } }),
  endSession: () => ({ path: '/api/session' }),
  streamEvents: (task) => ({ path: `/api/events?task_id=${task}` }),
  whoAmI: () => ({ path: '/api/whoami' }),
  schemas: () => ({ path: '/api/schemas' }),
  openApi: () => ({ path: '/api/openapi.json' }),
  docsPage: () => ({ path: '/api/docs' }),
  metrics: () => ({ path: '/metrics' }),
  health: () => ({ path: '/health' }),
  ready: () => ({ path: '/ready' }),
};

/** `unknown`: the task does not exist, as far as the caller can tell. */
type Verdict = 'allowed' | '401' | '403' | 'other page' | 'unknown';
const VERDICTS: Readonly<Record<string, Verdict>> = {
  '401 unauthorized': '401',
  '403 forbidden': '403',
  '403 forbidden_origin': 'other page',
  '404 unknown_task': 'unknown',
};

interface Got extends Answered {
  readonly verdict: Verdict;
}

async function ask(bench: HubBench, route: Route, aim: Aim, { token = null, headers = {}, ...how }: Sending): Promise<Got> {
  const ndjson = aim.lines === undefined ? {} : { 'content-type': 'application/x-ndjson' };
  const body = aim.lines === undefined ? { json: aim.json } : { body: aim.lines };
  const sending = { ...how, ...body, token, method: route.method, headers: { ...headers, ...ndjson } };
  const response = await bench.open(aim.path, sending);
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
  if (isStream) await response.body?.cancel();
  const text = isStream ? '' : await response.text();
  const json = (text.startsWith('{') ? JSON.parse(text) : {}) as Readonly<Record<string, unknown>>;
  const { status } = response;
  return { status, headers: response.headers, text, json, verdict: VERDICTS[`${status} ${String(json['error'])}`] ?? 'allowed' };
}

/** A hub with the two tasks, and tokens that are no longer valid. */
async function benchOfRights(): Promise<HubBench> {
  const bench = await hubBench();
  await bench.commit(changes({ agents: [anAgent(), anAgent({ id: anAgentId(OTHER_AGENT) })] }));
  await bench.commit(inserting(anAssignedTask(BENCH_AGENT, { id: MINE, submittedBy: 'tok-submitter' })));
  await bench.commit(inserting(anAssignedTask(anAgentId(OTHER_AGENT), { id: OTHERS, submittedBy: 'tok-other' })));
  const over = { role: 'admin', agentId: null } as const;
  await bench.storage.agents.addToken(aToken({ ...over, id: 'tok-late', name: 'late', hash: hashOf('late'), expiresAtMs: A_MOMENT_MS }));
  await bench.storage.agents.addToken(aToken({ ...over, id: 'tok-out', name: 'out', hash: hashOf('out') }));
  await bench.storage.agents.revokeTokens({ id: 'tok-out' }, A_MOMENT_MS);
  return bench;
}

/** What the row says that a role gets. */
function expected(route: Route, role: Role): { readonly mine: Verdict; readonly others: Verdict } {
  if (route.roles === 'open') return { mine: 'allowed', others: 'allowed' };
  const reach: Reach | undefined = route.roles[role];
  if (reach === undefined) return { mine: '403', others: '403' };
  return { mine: 'allowed', others: reach === 'own' ? 'unknown' : 'allowed' };
}

/** The session of a token, as the browser keeps it. */
async function cookieOf(bench: HubBench, token: string): Promise<string> {
  const got = await bench.send('/api/session', { token: null, json: { token }, headers: OWN_PAGE });
  return (got.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
}

t.test('R7: every route allows each role exactly what its row states', async (t) => {
  for (const route of ROUTES as readonly (Route & { readonly name: RouteName })[]) {
    const bench = await benchOfRights();
    const aim = AIMS[route.name];
    const page = route.ownPage === true ? OWN_PAGE : {};
    const name = `${route.method} ${route.path}`;
    const isOpen = route.roles === 'open';

    for (const [what, token] of [
      ['no token', null],
      ['a wrong token', 'wrong'],
      ['an expired token', 'late'],
      ['a revoked token', 'out'],
    ] as const) {
      const { verdict } = await ask(bench, route, aim(MINE), { token, headers: page });
      t.equal(verdict, isOpen ? 'allowed' : '401', `${name}: ${what}`);
    }
    for (const role of ROLES) {
      const { mine, others } = expected(route, role);
      const got = await ask(bench, route, aim(MINE), { token: role, headers: page });
      t.equal(got.verdict, mine, `${name}: ${role}, ${got.status} ${got.text.slice(0, 200)}`);
      t.not(got.status, 500, `${name}: ${role}`);
      const isTasks = aim(MINE).path !== aim(OTHERS).path;
      if (isTasks) t.equal((await ask(bench, route, aim(OTHERS), { token: role })).verdict, others, `${name}: ${role}, another's task`);
      if (aim(MINE).lists === true && others === 'unknown') t.notOk(got.text.includes(OTHERS), `${name}: ${role} is shown no other task`);

      if (role === 'agent') continue;
      const cookie = await cookieOf(bench, bench.tokens[role]);
      t.not(cookie, '');
      const inDashboard = await ask(bench, route, aim(MINE), { headers: { ...OWN_PAGE, cookie } });
      // The page sends JSON only: with anything else, another page could pretend to be it.
      t.equal(
        inDashboard.verdict,
        route.body === 'lines' ? 'other page' : mine,
        `${name}: the session of a ${role}, ${inDashboard.status}`,
      );
      const elsewhere = await ask(bench, route, aim(MINE), { headers: { ...OTHER_PAGE, cookie } });
      t.equal(elsewhere.verdict, isOpen && route.ownPage !== true ? 'allowed' : 'other page', `${name}: from a page of another origin`);
      if (route.method === 'GET') continue;
      const bare = await ask(bench, route, aim(MINE), { headers: { cookie, 'content-type': 'application/json' } });
      t.equal(
        bare.verdict,
        isOpen && route.ownPage !== true ? 'allowed' : 'other page',
        `${name}: a cookie without what only its page can send`,
      );
    }
    await bench.close();
  }
});

t.test('R7: a list shows a submitter only its own tasks, and other roles all tasks', async (t) => {
  const bench = await benchOfRights();
  for (const role of ROLES.filter((role) => role !== 'agent')) {
    const { text } = await bench.send('/api/tasks', { token: role });
    t.strictSame([text.includes(MINE), text.includes(OTHERS)], [true, role !== 'submitter'], role);
  }
  t.match(await bench.send('/api/events', { token: 'submitter' }), { status: 403 }, 'nor does it follow the events of others');
  await bench.close();
});

t.test('R7: why a task waits names only tasks that the caller may see', async (t) => {
  const bench = await benchOfRights();
  const waits = aTaskId(3);
  const terms = { submittedBy: 'tok-submitter', requirement: { capabilities: [], assignTo: anAgentId(OTHER_AGENT) } };
  await bench.commit(inserting(aTask({ id: waits, ...terms })));
  for (const [role, isNamed] of [
    ['submitter', false],
    ['viewer', true],
  ] as const) {
    const { text, json } = await bench.send(`/api/tasks/${waits}`, { token: role });
    t.match(json['waiting_for'], { kind: 'slots_taken', message: /has 1 of 1 slots in use/ }, role);
    t.equal(text.includes(OTHERS), isNamed, `${role}: the task of another submitter`);
  }
  await bench.close();
});

t.test('a route without roles does not compile and is not served', async (t) => {
  // @ts-expect-error the roles are missing
  const planted: Route = { name: 'planted', method: 'GET', path: '/planted', body: 'none' };
  const isDeclared = ({ roles }: Route): boolean =>
    roles === 'open' || (rolesOf({ roles }).length > 0 && Object.values(roles).every((reach) => reach === 'all' || reach === 'own'));
  t.throws(() => isDeclared(planted));
  for (const route of ROUTES) {
    t.ok(isDeclared(route), route.name);
    if ((route.roles as object | string) !== 'open') t.ok('admin' in (route.roles as object), `${route.name}: an admin may do everything`);
  }
});
