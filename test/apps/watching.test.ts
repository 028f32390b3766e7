/** Watching a whole hub over real sockets: agents' events, and a reader that was disconnected. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import t from 'tap';
import { hubClient, type StreamEvent } from '../../apps/client/index.ts';
import type { Output } from '../../apps/cli/output/output.ts';
import { whyNotes } from '../../apps/cli/why-notes.ts';
import { run } from './cli/cli-world.ts';
import { runningHub, type RunningHub } from './running-hub.ts';

t.setTimeout(120_000);

/** Reads until `isLast`, and ends the stream. */
async function read(events: AsyncGenerator<StreamEvent, void>, isLast: (event: StreamEvent, count: number) => boolean) {
  const seen: StreamEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (isLast(event, seen.length)) break;
  }
  return seen;
}

t.test('R21: agents connecting, pausing, draining, resuming and leaving are events, so no polling is needed', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const viewerToken = await hub.token('viewer');
  const requested: string[] = [];
  const note = (message: unknown): void => {
    const { request } = message as { readonly request: ClientRequest };
    if (String(request.getHeader('authorization')).endsWith(viewerToken)) requested.push(request.path);
  };
  subscribe('http.client.request.start', note);
  t.teardown(() => unsubscribe('http.client.request.start', note));
  const viewer = hubClient({ url: hub.url, token: viewerToken });
  const watching = viewer.events({ about: 'agents', lastEventId: '0' });
  const next = async (): Promise<readonly [string, unknown]> => {
    const { value } = (await watching.next()) as { readonly value: StreamEvent };
    const { task_id: taskId, agent_id: agentId, details } = value.data;
    t.strictSame([taskId, agentId, typeof value.id], [undefined, 'a1', 'string']);
    return [value.event, details];
  };

  const agent = await hub.agent('a1', { slots: 2 });
  t.match(await next(), ['agent_connected', { hub_id: String, slots: 2 }]);
  agent.send({ type: 'runner_checks', ok: false, failed: [{ check: 'program', message: 'There is no "claude".' }], passed: [] });
  t.match(await next(), ['agent_paused', { cause: 'checks', reason: 'program: There is no "claude".', until: null }]);
  agent.send({ type: 'runner_checks', ok: true, failed: [], passed: [] });
  t.match(await next(), ['agent_resumed', undefined]);
  await hub.api.agents.drain('a1');
  t.match(await next(), ['agent_draining', { by: 'operator', until: null }]);
  await hub.api.agents.resume('a1');
  t.match(await next(), ['agent_resumed', undefined]);
  await hub.api.tasks.submit({ description: 'this watcher receives no task events' });
  agent.leave();
  t.match(await next(), ['agent_disconnected', { disconnected_at: Number }]);
  t.strictSame(requested, ['/api/events?about=agents']);
  await watching.return();

  const submitter = hubClient({ url: hub.url, token: await hub.token('submitter') });
  await t.rejects(submitter.events({ about: 'agents' }).next(), { code: 'AC_API', message: /403/ }, 'a submitter cannot see agents');
});

t.test('a waiting client gets the reason a task waits when it changes with its agents, with few requests', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const lines: string[] = [];
  let wake = (): void => undefined;
  const line = (text: string): void => {
    lines.push(text);
    wake();
  };
  const printed = async (words: RegExp): Promise<void> => {
    while (!words.test(lines.at(-1) ?? '')) await new Promise<void>((resolve) => (wake = resolve));
  };
  const { task_id: taskId } = await hub.api.tasks.submit({ description: 'x', needed_capabilities: ['gpu'] });
  let requestCount = 0;
  const get: typeof hub.api.tasks.get = (...of) => ((requestCount += 1), hub.api.tasks.get(...of));
  const why = whyNotes(
    { line, data: () => undefined, note: line } as unknown as Output,
    { ...hub.api, tasks: { ...hub.api.tasks, get } },
    taskId,
  );
  t.teardown(() => why.stop());
  why.noted('eligible');
  await printed(/^waiting: No agent/);
  await hub.agent('a1', { capabilities: ['code'] });
  await printed(/^waiting: .*gpu/);
  const gpu = await hub.agent('a2', { capabilities: ['gpu'] });
  await gpu.frame('task_assign');
  await hub.api.agents.drain('a2');
  gpu.send({ type: 'task_rejected', task_id: taskId, generation: 1, reason: 'draining' });
  await printed(/^waiting: .*drain/);
  gpu.leave();
  await printed(/^waiting: .*(away|not connected|offline)/);
  t.ok(requestCount <= 8, `${requestCount} questions`);
});

t.test('R21: a reader that missed 10,000 events resumes over a socket without gaps or repeats while more arrive', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const submit = (count: number): Promise<unknown> => hub.api.tasks.submitMany(Array.from({ length: count }, () => ({ description: 'x' })));
  await submit(5);
  const before = await read(hub.api.events({ lastEventId: '0' }), (_, count) => count === 7);
  for (let sent = 0; sent < 5_000; sent += 500) await submit(500);
  const resumed = hub.api.events({ lastEventId: before.at(-1)?.id ?? '' });
  const LAST = 2 * (5 + 5_000 + 500);
  const more = (async () => {
    for (let sent = 0; sent < 500; sent += 50) await submit(50);
  })();
  const after = await read(resumed, ({ id }) => Number(id) >= LAST);
  await more;
  const ids = [...before, ...after].map(({ id }) => Number(id));
  t.equal(ids.length, LAST);
  t.ok(
    ids.every((id, place) => id === place + 1),
    'each once, in order',
  );
});

/** Runs a command against this hub, and returns what it prints. */
const commandsOf =
  ({ url, adminToken }: RunningHub) =>
  async (...argv: readonly string[]): Promise<string> =>
    (await run(argv, { env: { AGENTCOM_API_URL: url, AGENTCOM_ADMIN_TOKEN: adminToken } })).out;

t.test('R19: a cancelled task says that its agent may still be running, until the agent has confirmed the stop', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const agentcom = commandsOf(hub);
  const running = async (agentId: string) => {
    const agent = await hub.agent(agentId);
    const { task_id: id } = await hub.api.tasks.submit({ description: 'x', assign_to: agentId });
    await agent.frame('task_assign');
    agent.send({ type: 'task_accepted', task_id: id, generation: 1 });
    await agent.frame('task_ack');
    return { agent, id };
  };

  const away = await running('a1');
  away.agent.leave();
  while ((await hub.api.agents.get('a1')).connected) await new Promise((resolve) => setTimeout(resolve, 20));
  const outcome = 'a1 is offline, so its agent may still be running';
  t.equal(await agentcom('cancel', away.id), `${away.id} is cancelled; ${outcome}\n`);
  for (const command of ['why', 'watch', 'show'] as const) t.match(await agentcom(command, away.id), outcome, command);
  t.match(await agentcom('agents'), /a1 +offline .*waits for 1 run to stop\n/);

  const here = await running('a2');
  t.match(await agentcom('cancel', here.id), `${here.id} is cancelled; a2 has yet to confirm that its agent has stopped\n`);
  here.agent.send({ type: 'task_cancel_ack', task_id: here.id, generation: 1, outcome: 'killed' });
  for await (const { event } of hub.api.events({ taskId: here.id, lastEventId: '0' })) if (event === 'stop_confirmed') break;
  t.match(await agentcom('why', here.id), /was cancelled after \S+\n$/);

  const { task_id: queued } = await hub.api.tasks.submit({ description: 'never assigned', needed_capabilities: ['none'] });
  t.equal(await agentcom('cancel', queued), `${queued} is cancelled\n`);
});

t.test('a history says in words why a task was reclaimed, and of a start only that it was one', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const agentcom = commandsOf(hub);
  const agent = await hub.agent('a1', { process_id: 'process-1', volatile: true });
  const { task_id: id } = await hub.api.tasks.submit({ description: 'x', max_retries: 0 });
  await agent.frame('task_assign');
  agent.send({ type: 'task_accepted', task_id: id, generation: 1 });
  agent.send({ type: 'wake_result', task_id: id, generation: 1, status: 'success', attempt: 1 });
  for await (const { event } of hub.api.events({ taskId: id, lastEventId: '0' })) if (event === 'woken') break;
  agent.leave();
  await hub.agent('a1', { process_id: 'process-2', volatile: true });
  const why = 'its sidecar or worker no longer had the task when it connected again, as after a restart';
  t.match(await hub.api.tasks.wait(id), { status: 'dead_letter', last_error: why });
  const shown = await agentcom('show', id);
  t.match(shown, new RegExp(` woken +a1 g1 +attempt=1\\n.* lost +a1 g1 +${why}\\n`));
  t.match(shown, `last error    ${why}\n`);
  t.notMatch(shown, /not_held|success/);
});
