/**
 * Deployed sidecars speak version 1 and cannot be changed: a plain client that speaks nothing else meets a running
 * hub, and every complete answer is compared with version 1.
 */
import { deepStrictEqual as same, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { A_TIME, fill, known } from './frame-template.ts';
import type { Frame } from './version1-client.ts';
import { ASSIGN, expectFrame, field, identifyFrame, sendAndExpect } from './version1-field.ts';
import { TASK_ROWS, type Row } from './version1-table.ts';
import { FIRST_FRAMES, LATER_FRAMES, MESSAGE_ID, TALK, WITHIN_A_MINUTE } from './version1-words.ts';
import { makeWorld } from '../app-world.ts';

// What is handed back stays where it is, so that no row gets an assignment that it did not ask for.
const world = await makeWorld(t, {
  hubTiming: {
    heartbeatMs: 1_000,
    pongWaitMs: 1_000,
    reconnectGraceMs: 4_000,
    quietAfterStartMs: 0,
    // Longer than a busy machine takes for a row.
    leaseMs: 15_000,
    // A stop is not resent before its row is over.
    stopResendMs: 30_000,
    backoff: { firstMs: 60_000, maxMs: 60_000 },
  },
  hubListen: "trustedProxies: ['127.0.0.1']",
});
const { api } = world;
await world.startHub();
const { prepare, connect, reconnect, free, accepted } = field(world);
/** Just connected: it has not reported yet what it holds. */
const JOINED = {
  type: 'agent_joined',
  agent: { agent_id: known('agent'), name: known('agent'), status: 'idle', capabilities: [known('agent')], connected_at: A_TIME },
};

const nameOf = ({ given, when, maxRetries }: Row): string =>
  `${JSON.stringify(fill(given, {}))} for a task ${when}${maxRetries === undefined ? '' : `, max_retries ${maxRetries}`}`;

async function runRow(row: Row, index: number): Promise<(t: Test) => void> {
  const { client, values, end } = await prepare(row, `row-${index}`);
  const isKnown = row.when !== 'unknown to the hub';
  const before = isKnown ? (await api.tasks.get(values.task)).history.length : 0;
  client.send(fill(row.given, values) as Readonly<Record<string, unknown>>);
  const answers = await client.answers(row.wanted.length);
  const task = isKnown ? await api.tasks.get(values.task) : null;
  await end();
  return (t) => {
    t.strictSame(answers, fill(row.wanted, values, answers), nameOf(row));
    if (row.kept === undefined || task === null) return;
    const events = task.history.slice(before).map(({ event, details = null }) => [event, details]);
    t.strictSame(events, fill(row.kept.events, values, events), `${nameOf(row)}: its history`);
    const fields = Object.fromEntries(Object.keys(row.kept.task ?? {}).map((key) => [key, task[key]]));
    t.strictSame(fields, fill(row.kept.task ?? {}, values, fields), `${nameOf(row)}: the task`);
  };
}

await t.test('two agents exchange messages and learn of each other', async (t) => {
  const [client, other] = [await free('one'), await free('two')];
  const values = { agent: 'one', other: 'two' };
  const joined = await client.toldOf('two');
  t.strictSame(joined, fill(JOINED, { agent: 'two' }, joined));
  for (const { given, wanted, received } of TALK) {
    client.send(fill(given, values) as Frame);
    const answers = await client.answers(wanted.length);
    t.strictSame(answers, fill(wanted, values, answers), JSON.stringify(given));
    if (received === undefined) continue;
    const came = await other.toldOf('one');
    t.strictSame(came, fill(received, values, came), `the other receives ${JSON.stringify(given)}`);
  }
  t.match(await api.agents.get('one'), {
    resources: { cpu_percent: 12.5, ram_used_bytes: 4_096 },
    reported_status: 'restarting: an update',
  });
  await client.cut();
  t.strictSame(await other.toldOf('one'), { type: 'agent_left', agent_id: 'one' });
  await other.cut();
});

/**
 * A dialogue that begins at once, in parallel with all others, and is reported as a separate test. (The test runner's
 * own way to run tests in parallel reports some under the names of others.)
 */
function atOnce(name: string, dialogue: () => Promise<void>): void {
  const ended = dialogue().then(
    () => null,
    (failure: unknown) => failure as Error,
  );
  t.test(name, async (t) => {
    const failure = await ended;
    if (failure !== null) throw failure;
    t.pass('as wanted');
  });
}

/** That these fields of it have these values. */
function has(actual: object, wanted: Readonly<Record<string, unknown>>): void {
  const of = actual as Readonly<Record<string, unknown>>;
  same(Object.fromEntries(Object.keys(wanted).map((key) => [key, of[key]])), wanted);
}

/** Number of rows in parallel: with all at once, a busy machine takes longer for each than the hub allows a silent sidecar. */
const ROWS_AT_ONCE = 12;

async function runRows(): Promise<readonly ((t: Test) => void)[]> {
  const checks: ((t: Test) => void)[] = [];
  const waiting = [...TASK_ROWS.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) checks[next[0]] = await runRow(next[1], next[0]);
  };
  await Promise.all(Array.from({ length: ROWS_AT_ONCE }, work));
  return checks;
}

const rows = runRows();
t.test('every task frame in every state of the task', async (t) => {
  for (const check of await rows) check(t);
});

atOnce('the first frame', async () => {
  await Promise.all(
    FIRST_FRAMES.map(async ({ given, wanted }, index) => {
      const client = await connect(`first-${index}`);
      const values = { agent: client.agentId, other: 'one', token: client.token };
      client.send(fill(given, values) as Frame);
      const answer = await client.next();
      same([answer], fill(wanted, values, [answer]), JSON.stringify(given));
      if (answer.type === 'identified') return client.cut();
      client.send(identifyFrame(client));
      same(
        await client.answers(1),
        [{ type: 'identified', agent_id: client.agentId }],
        `afterwards it may identify: ${JSON.stringify(given)}`,
      );
      return client.cut();
    }),
  );
});

atOnce('invalid frames from an identified agent', async () => {
  const client = await free('wrong');
  for (const { given, wanted } of LATER_FRAMES) {
    client.send(given);
    same(await client.answers(wanted.length), wanted, JSON.stringify(given));
  }
});

atOnce('the whole life of a task', async () => {
  const client = await free('worker');
  const request = {
    description: 'count the files',
    metadata: { ticket: 7, nested: { list: [1, null, 'x'] } },
    repo: 'https://example.org/repo.git',
    branch: 'main',
    file_hints: [{ path: 'src/a.ts', reason: 'it is there' }],
    success_criteria: ['it counts'],
    verification_steps: [{ type: 'command_succeeds', target: 'npm test' }],
  };
  const { task_id: id } = await api.tasks.submit({ ...request, needed_capabilities: ['worker'] });
  await expectFrame(client, { ...ASSIGN, ...request }, { task: id, generation: 1 });
  await sendAndExpect(client, { type: 'task_accepted', task_id: id }, { type: 'task_ack', task_id: id, status: 'accepted' });
  for (const frame of [
    { type: 'wake_result', task_id: id, status: 'success', attempt: 1 },
    { type: 'task_progress', task_id: id, progress: 10 },
  ]) {
    client.send(frame);
    same(await client.answers(0), [], frame.type);
  }
  const result = { status: 'success', output: '3 files', tokens_used: 5 };
  await sendAndExpect(
    client,
    { type: 'task_complete', task_id: id, generation: 1, result },
    { type: 'task_ack', task_id: id, status: 'complete' },
  );
  has(await api.tasks.get(id), { status: 'completed', result, tokens_used: 5, retry_count: 0, generation: 1 });
  same(await world.history(id), ['submitted', 'eligible', 'assigned', 'accepted', 'woken', 'progress', 'completed']);
});

atOnce('a cancelled task: the agent is told to stop, and its next frame frees it', async () => {
  const { client, id } = await accepted('stops');
  const next = await api.tasks.submit({ description: 'the next', needed_capabilities: ['stops'] });
  await api.tasks.cancel(id);
  await expectFrame(client, { type: 'task_cancelled', task_id: id, timestamp: A_TIME });
  has(await api.agents.get('stops'), { pending_stops: 1, status: 'stopping' });
  client.send({ type: 'status', status: 'idle' });
  const frames = await client.answers(2);
  const assign = fill(ASSIGN, { task: next.task_id, generation: 1, description: 'the next' }, frames[1]);
  same(frames, [{ type: 'status_updated', status: 'idle' }, assign]);
  same((await world.history(id)).slice(-3), ['cancelled', 'stop_requested', 'stop_confirmed']);
});

atOnce('an accepted task not mentioned within 5 s of a reconnect is lost and reassigned', async () => {
  const { client, id } = await accepted('forgets');
  const back = await reconnect(client);
  const beforeMs = Date.now();
  await sendAndExpect(back, identifyFrame(back), { type: 'identified', agent_id: 'forgets' });
  await world.event(id, ['lost']);
  ok(Date.now() - beforeMs > 4_500, 'not before its time has passed');
  has(await api.tasks.get(id), { status: 'queued', generation: 2, retry_count: 1 });
});

atOnce('an agent that identifies as idle counts as working for 5 s, and gets a waiting task after that', async () => {
  const client = await connect('waits');
  const { task_id: id } = await api.tasks.submit({ description: 'waits', needed_capabilities: ['waits'] });
  const beforeMs = Date.now();
  await sendAndExpect(client, identifyFrame(client), { type: 'identified', agent_id: 'waits' });
  same((await api.tasks.get(id)).waiting_for?.reason, 'agent_busy');
  await expectFrame(client, ASSIGN, { task: id, generation: 1, description: 'waits' });
  ok(Date.now() - beforeMs > 4_500);
});

atOnce('pings alone renew a lease; without renewal it expires, and the result is late', async () => {
  const [pings, silent] = [await accepted('pings'), await accepted('silent')];
  const pinging = setInterval(() => pings.client.send({ type: 'ping' }), 500);
  await expectFrame(silent.client, { type: 'task_cancelled', task_id: silent.id, timestamp: A_TIME }).finally(() => clearInterval(pinging));
  const reason = (await api.tasks.get(silent.id)).history.find((event) => event.event === 'lost')?.details?.['reason'];
  same(reason, 'lease_expired');
  has(await api.tasks.get(pings.id), { status: 'assigned', generation: 1 });
  const late = { type: 'task_complete', task_id: silent.id, generation: 1, result: 'late' };
  await sendAndExpect(silent.client, late, { type: 'error', error: 'task_complete_failed: stale_generation' });
  const after = (await api.tasks.get(silent.id)).history.slice(-2).map(({ event, details }) => [event, details]);
  same(after, [
    ['stop_confirmed', { outcome: 'reported' }],
    [
      'late_result',
      { result: '"late"', result_bytes: 6, result_sha256: createHash('sha256').update('"late"').digest('hex'), result_kept: true },
    ],
  ]);
  has(await api.tasks.get(silent.id), { status: 'queued', retry_count: 1 });
});

atOnce('a socket that answers no pings is closed, and one that does is not', async () => {
  const deaf = await connect('deaf', { autoPong: false });
  const quiet = await free('quiet');
  await sendAndExpect(deaf, identifyFrame(deaf), { type: 'identified', agent_id: 'deaf' });
  same(await deaf.closed, 1001);
  await sendAndExpect(quiet, { type: 'status', status: 'idle' }, { type: 'status_updated', status: 'idle' });
});

atOnce('the newest connection wins, and a fourth replacement within a minute is refused', async () => {
  const connections = [await free('twice')];
  for (let n = 1; n <= 3; n += 1) connections.push(await free('twice'));
  same(await Promise.all(connections.slice(0, 3).map((client) => client.closed)), [4001, 4001, 4001]);
  const fourth = await connect('twice');
  await sendAndExpect(fourth, identifyFrame(fourth), { type: 'error', error: 'agent_id_in_use' });
  same(await fourth.closed, 4001);
  const { conflict_until: until } = await api.agents.get('twice');
  ok(Number(until) > Date.now() + 200_000 && Number(until) < Date.now() + 301_000, 'shown for the agent');
  const open = connections[3];
  if (open !== undefined) await sendAndExpect(open, { type: 'status', status: 'idle' }, { type: 'status_updated', status: 'idle' });
});

atOnce('frames sent too often: progress is merged, messages are limited, and neither counts as an error', async () => {
  const { client, id } = await accepted('talks');
  for (let progress = 1; progress <= 40; progress += 1) client.send({ type: 'task_progress', task_id: id, progress });
  await world.event(id, ['progress'], undefined, (data) => (data['details'] as { readonly progress?: unknown }).progress === 40);
  const stored = (await api.tasks.get(id)).history.filter((event) => event.event === 'progress').map((event) => event.details);
  same(stored, [{ progress: 1 }, { progress: 40 }]);
  for (let n = 1; n <= 12; n += 1) client.send({ type: 'message', to: 'talks', payload: n });
  const answers = await client.answers(12);
  const limited = { type: 'error', error: 'rate_limited', retry_after_ms: WITHIN_A_MINUTE };
  const wanted = Array.from({ length: 12 }, (_, index) => (index < 10 ? { type: 'message_sent', id: MESSAGE_ID } : limited));
  same(answers, fill(wanted, {}, answers));
});
