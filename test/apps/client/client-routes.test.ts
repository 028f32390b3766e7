/** Each route of the HTTP API has a method in the client and a command. If one is missing, this file does not compile. */
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { ROUTES, type RouteName } from '../../../adapters/http/routes.ts';
import { agentcomProgram } from '../../../apps/cli/commander-program.ts';
import { hubClient, type HubClient } from '../../../apps/client/index.ts';

/** Added to every request; for a batch of two it is read. */
const ANSWER = JSON.stringify({ answers: [1, 2].map(() => ({ status: 201, body: {} })) });
const ID = 'task-00000000000000aa';

/** For browsers: a program sends its token. */
const FOR_BROWSERS = ['openSession', 'endSession'] as const;
type ForPrograms = Exclude<RouteName, (typeof FOR_BROWSERS)[number]>;

const MADE_BY: Readonly<
  Record<
    ForPrograms,
    { readonly call: (hub: HubClient) => Promise<unknown>; /** Null: for other programs. */ readonly command: string | null }
  >
> = {
  submit: { call: ({ tasks }) => tasks.submit({ description: 'x' }), command: 'submit' },
  submitBatch: {
    call: ({ tasks }) => Promise.all([tasks.submit({ description: 'x' }), tasks.submit({ description: 'y' })]),
    command: null,
  },
  submitBulk: { call: ({ tasks }) => tasks.submitMany([{ description: 'x' }]), command: 'submit --bulk' },
  listTasks: { call: ({ tasks }) => tasks.list(), command: 'list' },
  listDeadLetter: { call: ({ tasks }) => tasks.deadLetters(), command: 'list --status' },
  taskStats: { call: ({ tasks }) => tasks.stats(), command: 'stats' },
  getTask: { call: ({ tasks }) => tasks.get(ID), command: 'show' },
  taskEvents: { call: ({ tasks }) => tasks.events(ID), command: 'show --all' },
  taskOutput: { call: ({ tasks }) => tasks.output(ID), command: 'logs' },
  waitForOutput: { call: ({ tasks }) => tasks.waitForOutput(ID, 0), command: 'logs --follow' },
  keptResult: { call: ({ tasks }) => tasks.keptResult(ID, 1), command: 'show --result' },
  retryTask: { call: ({ tasks }) => tasks.retry(ID), command: 'retry' },
  cancelTask: { call: ({ tasks }) => tasks.cancel(ID), command: 'cancel' },
  adoptResult: { call: ({ tasks }) => tasks.adopt(ID, { generation: 1 }), command: 'adopt --generation' },
  pushTask: { call: ({ tasks }) => tasks.push({ agent_id: 'a', description: 'x' }), command: 'push' },
  listAgents: { call: ({ agents }) => agents.list(), command: 'agents' },
  getAgent: { call: ({ agents }) => agents.get('a'), command: 'agents' },
  drainAgent: { call: ({ agents }) => agents.drain('a'), command: 'drain' },
  resumeAgent: { call: ({ agents }) => agents.resume('a'), command: 'resume' },
  checkAgent: { call: ({ agents }) => agents.check('a'), command: 'doctor --agent' },
  takeoverAgent: { call: ({ agents }) => agents.takeover('a'), command: 'takeover' },
  removeAgent: { call: ({ agents }) => agents.remove('a'), command: 'forget' },
  register: { call: ({ enrolment }) => enrolment.register({ agent_id: 'a', enrol_secret: 's' } as never), command: 'join' },
  addEnrolSecret: { call: ({ enrolment }) => enrolment.createSecret(), command: 'invite' },
  addToken: { call: ({ tokens }) => tokens.create({ agent_id: 'a' }), command: 'tokens create' },
  listTokens: { call: ({ tokens }) => tokens.list(), command: 'tokens list' },
  rotateToken: { call: ({ tokens }) => tokens.rotate('a'), command: 'tokens rotate --overlap' },
  revokeTokens: { call: ({ tokens }) => tokens.revoke('a'), command: 'tokens revoke' },
  listAudit: { call: ({ audit }) => audit.list(), command: 'audit' },
  streamEvents: { call: (hub) => hub.events({ signal: AbortSignal.timeout(200) }).next(), command: 'watch' },
  whoAmI: { call: (hub) => hub.whoami(), command: 'whoami' },
  openApi: { call: (hub) => hub.openApi(), command: null },
  docsPage: { call: (hub) => hub.docsPage(), command: null },
  metrics: { call: (hub) => hub.metrics(), command: null },
  schemas: { call: (hub) => hub.schemas(), command: 'schemas' },
  health: { call: (hub) => hub.health(), command: 'doctor' },
  ready: { call: (hub) => hub.ready(), command: null },
};

const isForPrograms = (name: RouteName): name is ForPrograms => !(FOR_BROWSERS as readonly string[]).includes(name);

t.test('every route is called by its method', async (t) => {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${String(request.method)} ${new URL(request.url ?? '', 'http://x').pathname}`);
    const type = request.url?.startsWith('/api/events') === true ? 'text/event-stream' : 'application/json';
    response.setHeader('content-type', type).end(ANSWER);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const hub = hubClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 'x' });
  for (const { name, method, path } of ROUTES) {
    if (!isForPrograms(name)) continue;
    requests.length = 0;
    await MADE_BY[name].call(hub);
    const pattern = new RegExp(`^${method} ${path.replace(/:\w+/g, '[^/]+')}$`);
    t.match(requests[0], pattern, name);
  }
});

t.test('every route has a command', async (t) => {
  const program = await agentcomProgram(
    [],
    { stdout: process.stdout, stderr: process.stderr, stdin: process.stdin, env: {}, cwd: '/', interrupt: () => AbortSignal.abort() },
    () => undefined,
  );
  for (const [name, { command }] of Object.entries(MADE_BY)) {
    if (command === null) continue;
    const words = command.split(' ');
    const flags = words.filter((word) => word.startsWith('--'));
    let found = program;
    for (const word of words.filter((one) => !one.startsWith('--'))) {
      const next = found.commands.find((each) => each.name() === word);
      t.ok(next !== undefined, `${name}: agentcom ${command}`);
      found = next ?? found;
    }
    for (const flag of flags)
      t.ok(
        found.options.some(({ long }) => long === flag),
        `${name}: ${flag}`,
      );
  }
});
