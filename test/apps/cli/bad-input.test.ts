/**
 * Every kind of bad input for a running hub and sidecar: each gets its documented answer, is one line in the log, and
 * loses nothing. A task that runs throughout completes at the end, and a new one runs through.
 */
import { ok } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { BAD_FRAMES, BAD_REQUESTS, BAD_STARTS, type BadRequest } from './bad-input-table.ts';
import { BAD_PROGRAMS, CONFIG_IMPORTS, type BadProgram } from './bad-programs.ts';
import { any, fill } from '../version1/frame-template.ts';
import { programEnd, type ProgramEnd } from '../process/program-end.ts';
import { v1Client, type Frame, type V1Client } from '../version1/version1-client.ts';
import { uws, ws } from '../../../adapters/transports.ts';
import type { TransportChoice } from '../../../core/config/config.ts';
import { adaptersAsked } from '../adapters-under-test.ts';
import { makeWorld } from '../app-world.ts';

const CHOICES: Readonly<Record<string, () => TransportChoice>> = { ws, uws };

/** How long the log may take to be read to its end once its program was told to stop, in milliseconds. */
const LOG_WITHIN_MS = 10_000;

const world = await makeWorld(t, {
  // Peers that are silent for the length of the test are not probed.
  hubTiming: { heartbeatMs: 300_000, reconnectGraceMs: 400_000, leaseMs: 300_000 },
  hubExtra: 'limits: { identifyMs: 1_500 }',
  hubListen: "trustedProxies: ['127.0.0.1']",
});
const { api, dir, port } = world;
const hub = await world.startHub();
const good = await world.startSidecar('good', { capabilities: ['good'] });

type Fields = Readonly<Record<string, unknown>>;
/** What the hub's log must contain in the end: lines with these fields, this many, and no other warning. */
const expected: { readonly of: string; readonly fields: Fields; readonly lines: number }[] = [];
const logged = (of: string, fields: Fields, lines = 1): void => void expected.push({ of, fields, lines });

let sockets = 0;
/** A socket from its own address. It speaks the version that its identify names. */
async function connect(agentId: string): Promise<V1Client & { readonly address: string }> {
  sockets += 1;
  const address = `203.0.113.${sockets}`;
  const token = (await api.tokens.create({ agent_id: agentId })).token ?? '';
  return { ...(await v1Client({ port, agentId, token, address })), address };
}
const identify = ({ agentId, token }: V1Client): Frame => ({
  type: 'identify',
  agent_id: agentId,
  token,
  protocol_version: 2,
  instance_id: `machine of ${agentId}`,
  capabilities: [agentId],
  held: [],
});
async function identified(agentId: string): Promise<V1Client> {
  const client = await connect(agentId);
  client.send(identify(client));
  ok((await client.next()).type === 'identified');
  return client;
}

const holder = await identified('holder');
const wrong = await identified('wrong');
const { task_id: held } = await api.tasks.submit({ description: 'held all the time', needed_capabilities: ['holder'] });
ok((await holder.next()).type === 'task_assign');
holder.send({ type: 'task_accepted', task_id: held, generation: 1 });
ok((await holder.next()).type === 'task_ack');

const badPrograms = BAD_PROGRAMS.filter(({ storage }) => storage === undefined || storage === adaptersAsked().storage);
const ends = endAll(badPrograms);

t.test('frames of agents', async (t) => {
  for (const { from, given, wanted, logged: line } of BAD_FRAMES) {
    const client = from === 'wrong' ? wrong : holder;
    const name = `${from}: ${typeof given === 'string' ? given : JSON.stringify(given).slice(0, 120)}`;
    client.send(fill(given, { held }) as Frame);
    t.strictSame(await client.next(), fill(wanted, { held }), name);
    logged(name, line);
  }
  t.match(await api.tasks.get(held), { status: 'assigned', assigned_to: 'holder', generation: 1, retry_count: 0, result: null });
  t.strictSame(await world.history(held), ['submitted', 'eligible', 'assigned', 'accepted'], 'it was not affected');
});

t.test('connections before identify', async (t) => {
  await Promise.all(
    BAD_STARTS.map(async ({ name, given, wanted, closed, logged: line }, index) => {
      const client = await connect(`starts-${index}`);
      const values = { agent: client.agentId, token: client.token, address: client.address };
      for (const frame of given) client.send(fill(frame, values) as Frame);
      for (const want of wanted) t.strictSame(await client.next(), want, name);
      if (closed !== undefined) t.equal(await client.closed, closed, `${name}: closed`);
      else {
        client.send(identify(client));
        t.match(await client.next(), { type: 'identified' }, `${name}: it may still identify`);
      }
      logged(name, fill(line, values) as Fields);
    }),
  );
  logged(
    'ten frames of an unknown peer are one line, here and below',
    { msg: 'a frame is not valid', kind: 'invalid_json', agent_id: undefined },
    2,
  );
});

t.test('ten invalid frames block their sender for a while: the address before identify, the agent after; no other', async (t) => {
  const noisy = await identified('noisy');
  for (let n = 0; n < 10; n += 1) noisy.send('no frame');
  t.equal(await noisy.closed, 1008);
  logged('each frame of the agent', { msg: 'a frame is not valid', kind: 'invalid_json', agent_id: 'noisy' }, 10);
  logged('and its end', { msg: 'a connection was closed', code: 1008, because: 'too many invalid frames', agent_id: 'noisy' });
  const back = await connect('noisy');
  back.send(identify(back));
  const answer = await back.next();
  const waitMs = any('up to 30 s', (value) => Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= 30_000);
  t.strictSame(answer, fill({ type: 'error', error: 'rate_limited', retry_after_ms: waitMs }, {}, answer));
  logged('it is told to wait', { msg: 'an identify was refused', error: 'rate_limited', address: back.address });
  t.equal(await back.closed, 1008);
  logged('and closed', { msg: 'a connection was closed', because: 'identify within the time', address: back.address });
  const heldOff = await v1Client({ port, agentId: 'noisy', token: '', address: '203.0.113.200' });
  for (let n = 0; n < 10; n += 1) heldOff.send('no frame');
  t.equal(await heldOff.closed, 1008);
  t.equal(await (await v1Client({ port, agentId: 'noisy', token: '', address: '203.0.113.200' })).closed, 1008, 'the address is blocked');
  const address = '203.0.113.200';
  logged('it was closed', { msg: 'a connection was closed', because: 'too many invalid frames', agent_id: null, address });
  logged('and is refused', { msg: 'a connection was refused', code: 1008, because: 'blocked after invalid frames', address });
  await identified('quiet');
});

t.test('frames that the transport refuses', async (t) => {
  const large = await identified('large');
  large.send({ type: 'status', status: 'x'.repeat(1_048_576) });
  const { tooLargeCode } = CHOICES[adaptersAsked().transport]?.().capabilities ?? {};
  t.equal(await large.closed, tooLargeCode);
  logged('a frame over the limit', { msg: 'a connection was closed', code: 1009, because: 'a frame over the limit', agent_id: 'large' });
  const binary = await identified('binary');
  binary.send(Buffer.from('{"type":"ping"}'));
  t.equal(await binary.closed, 1003);
  logged('a binary frame', { msg: 'a connection was closed', code: 1003, because: 'a binary frame', agent_id: 'binary' });
});

t.test('requests', async (t) => {
  for (const bad of BAD_REQUESTS) {
    const { status, body } = await send(bad);
    t.equal(status, bad.status, bad.name);
    t.strictSame(body, fill(bad.wanted, {}, body), bad.name);
    logged(bad.name, bad.logged);
  }
  t.strictSame(
    (await api.tasks.list()).tasks.map((task) => task.id),
    [held],
    'none of them created a task',
  );
});

t.test('sockets with a foreign Origin or Host', async (t) => {
  for (const foreign of [{ origin: 'https://example.org' }, { host: 'rebound.example.org' }]) {
    const upgrade = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    };
    const clientRequest = request({ port, path: '/ws', headers: { ...upgrade, ...foreign } }).end();
    const [response] = (await once(clientRequest, 'response')) as [IncomingMessage];
    t.equal(response.statusCode, 403);
    t.equal(await text(response), 'foreign origin or host\n');
  }
  logged('both', { msg: 'Refused at the port: foreign origin or host.', origin: 'https://example.org' });
});

t.test('programs that cannot run as configured', async (t) => {
  for (const [index, { name, exitCode, code, says }] of badPrograms.entries()) {
    const end = (await ends)[index] as ProgramEnd;
    t.equal(end.exitCode, exitCode, `${name}: ${end.stderr}`);
    t.equal(end.stdout, '', `${name}: it does not say that it is ready`);
    for (const sentence of [...says, `(${code})`])
      t.equal(end.stderr.split(sentence).length - 1, 1, `${name}: says once "${sentence}" in ${end.stderr}`);
    t.notMatch(end.stderr, /^\s+at .*:\d+:\d+\)?$/m, `${name}: no stack`);
  }
  t.equal(good.process.exitCode, null, 'the first sidecar continues');
});

t.test('a missing wake program: the agent gets no task and reports why, and the sidecar stays up', async (t) => {
  const sidecar = await world.startSidecar('missing', {
    capabilities: ['missing'],
    argv: ['/no/such/program'],
  });
  const { task_id: id } = await api.tasks.submit({ description: 'nobody can', needed_capabilities: ['missing'], max_retries: 0 });
  const why = 'There is no "/no/such/program" ';
  const task = await api.tasks.get(id);
  t.match(task, { status: 'queued', retry_count: 0, waiting_for: { reason: 'agent_paused' } });
  t.ok(task.waiting_for?.message.includes(`is paused until its checks pass (program: ${why}`), JSON.stringify(task.waiting_for));
  const agent = await api.agents.get('missing');
  t.match(agent, { status: 'paused', paused_cause: 'checks', checks: { ok: false, failed: [{ check: 'program' }] } });
  t.ok(agent.checks?.failed[0]?.message.startsWith(why));
  t.strictSame(await world.history(id), ['submitted', 'eligible'], 'not tried in vain');
  await api.tasks.cancel(id);
  t.equal(sidecar.process.exitCode, null);
  t.match(await api.agents.get('missing'), { connected: true });
  const messages = sidecar
    .log()
    .split('\n')
    .filter((line) => /"level":"(warn|error)"/.test(line));
  t.equal(messages.length, 1, `said once: ${messages.join('\n')}`);
  t.match(messages[0], /\/no\/such\/program/);
});

t.test('nothing is lost: the held task completes, and a new task runs through', async (t) => {
  holder.send({ type: 'task_complete', task_id: held, generation: 1, result: 'done' });
  t.strictSame(await holder.next(), { type: 'task_ack', task_id: held, generation: 1, status: 'complete' });
  t.match(await api.tasks.get(held), { status: 'completed', result: 'done', generation: 1, retry_count: 0 });
  const { task_id: id } = await api.tasks.submit({ description: 'afterwards', needed_capabilities: ['good'] });
  world.release(id);
  await world.event(id, ['completed']);
  t.match(await api.tasks.get(id), { status: 'completed', generation: 1, retry_count: 0 });
});

t.test('each problem is logged once, and nothing else is', async (t) => {
  const ended = once(hub.process, 'close');
  hub.process.kill('SIGTERM');
  await ended;
  t.equal(hub.process.exitCode, 0);
  const untilMs = Date.now() + LOG_WITHIN_MS;
  while (!hub.log().includes('"msg":"stopping"') && Date.now() < untilMs) await sleep(20);
  const lines = hub
    .log()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Fields);
  const warnings = new Set(lines.filter((line) => line['level'] === 'warn' || line['level'] === 'error'));
  for (const { of, fields, lines: count } of expected) {
    const found = lines.filter((line) => Object.entries(fields).every(([key, value]) => equal(line[key], value)));
    t.equal(found.length, count, `${of}: ${JSON.stringify(fields)}`);
    for (const line of found) warnings.delete(line);
  }
  t.strictSame([...warnings], [], 'no unexpected warning');
});

const equal = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

async function send({
  method,
  path,
  headers = {},
  body,
}: BadRequest): Promise<{ readonly status: number | undefined; readonly body: unknown }> {
  const clientRequest = request({ port, method, path, headers: { authorization: `Bearer ${world.adminToken}`, ...headers } });
  clientRequest.end(body);
  const [response] = (await once(clientRequest, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: JSON.parse(await text(response)) };
}

/** Runs them two at a time. */
async function endAll(programs: readonly BadProgram[]): Promise<readonly ProgramEnd[]> {
  writeFileSync(join(dir, 'a-file'), '');
  const hubSource = readFileSync(join(dir, 'hub.config.mjs'), 'utf8');
  const done: ProgramEnd[] = [];
  const waiting = [...programs.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, { name, program, config }] = next;
      const made = config({ dir, port, hubSource });
      const file = 'file' in made ? made.file : `${name.replaceAll(' ', '-')}.config.mjs`;
      if ('source' in made) writeFileSync(join(dir, file), `${CONFIG_IMPORTS}${made.source}`);
      done[index] = await programEnd([program, '--config', join(dir, file)], dir);
    }
  };
  await Promise.all([work(), work()]);
  return done;
}
