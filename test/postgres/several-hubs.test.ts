/** Two whole hubs on a real Postgres, in this process, on machines whose clocks and notifications the test controls. */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import 'reflect-metadata';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { systemIds } from '../../adapters/ids-system/system-ids.ts';
import { wsLink } from '../../adapters/link-ws/ws-link.ts';
import { renewPostgres } from '../../adapters/storage-knex/move/postgres-restored.ts';
import { settingsOf } from '../../adapters/storage-knex/postgres/options.ts';
import { postgres } from '../../adapters/storage-knex/postgres.ts';
import { ws } from '../../adapters/transports.ts';
import { hubContainer } from '../../apps/hub/main.ts';
import { hubServices } from '../../apps/hub/services.ts';
import { Lifecycle } from '../../apps/lifecycle.ts';
import { TOKENS } from '../../apps/container-tokens.ts';
import type { TaskQueue } from '../../core/application/hub/queue/task-queue.ts';
import { resolveConfig } from '../../core/config/resolve.ts';
import { HUB_TIMING, type HubTiming } from '../../core/config/times.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { Task } from '../../core/domain/task/task.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { Storage } from '../../core/ports/storage.ts';
import { emptySchema } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { aToken } from '../product/contracts/fixtures.ts';
import { aDraft, type AnyFrame } from '../core/hub/hub-rig.ts';
import { temporaryFolder } from '../apps/pages/newcomer.ts';

const server = await postgresServer();
t.teardown(() => server.end());
const ids = systemIds({ clock: systemClock() });
const HOUR_MS = 3_600_000;
const AN_AGENT = 'a1' as AgentId;
/** What a busy machine may add to a time. */
const SLACK_MS = 5_000;
/** Only a notification or a poll finds anything. */
const NO_SWEEPS: Partial<HubTiming> = { sweepMs: HOUR_MS };

interface Hub {
  readonly port: number;
  readonly queue: TaskQueue;
  readonly storage: Storage;
  stop(): Promise<unknown>;
}

interface HubSetting {
  readonly schema: string;
  readonly timing?: Partial<HubTiming>;
  /** How far the clock of its machine is off. */
  readonly offsetMs?: number;
  /** Whether no notification of another hub arrives. */
  readonly isDeaf?: boolean;
}

async function startHub(t: Test, { schema, timing = {}, offsetMs = 0, isDeaf = false }: HubSetting): Promise<Hub> {
  const folder = await temporaryFolder(t);
  const storage = postgres({ url: server.url, schema });
  const config = { hub: { listen: { port: 0 }, storage, transport: ws(), dataDir: folder, timing } };
  const answer = resolveConfig(config, { baseDir: folder, absolute: (path) => resolve(folder, path) });
  if (answer.kind !== 'resolved' || answer.config.hub === undefined) throw new Error(JSON.stringify(answer));
  const { hub } = answer.config;
  await mkdir(hub.dataDir, { recursive: true, mode: 0o700 });
  const container = hubContainer(hub, silentLog);
  const machine = systemClock();
  container.rebind(TOKENS.Clock).toConstantValue({
    nowMs: () => machine.nowMs() + offsetMs,
    monotonicMs: () => machine.monotonicMs(),
    after: (delayMs, fire) => machine.after(delayMs, fire),
  });
  const made = await container.getAsync(TOKENS.Storage);
  const notifier = isDeaf ? { ...made.notifier, listen: () => made.notifier.listen(() => undefined) } : made.notifier;
  container.rebind(TOKENS.Storage).toConstantValue({ ...made, notifier });
  const lifecycle = new Lifecycle({ clock: machine, log: silentLog });
  t.teardown(() => lifecycle.stop());
  await lifecycle.start(await hubServices(container));
  const { port, queue } = await container.getAsync(TOKENS.Hub);
  return { port, queue, storage: made, stop: () => lifecycle.stop() };
}

/** An agent that sends only what the test sends for it. */
async function agentAt(t: Test, hub: Hub) {
  const token = 'a-token-of-an-agent';
  await hub.storage.agents.addToken(aToken({ agentId: AN_AGENT, hash: systemDigest().sha256(token) }));
  const frames: AnyFrame[] = [];
  let wake = (): void => undefined;
  const link = wsLink({ log: silentLog }).connect(
    { url: `ws://127.0.0.1:${hub.port}/ws`, frameBytesMax: 1 << 20 },
    {
      onOpen: () => void link.send(JSON.stringify({ type: 'identify', agent_id: AN_AGENT, token, protocol_version: 2, instance_id: 'machine-1', held: [] })), // prettier-ignore
      onFrame(text) {
        frames.push(JSON.parse(text) as AnyFrame);
        wake();
      },
      onTaken: () => undefined,
      onGone: () => undefined,
    },
  );
  t.teardown(() => link.destroy());
  const frame = async (type: string): Promise<AnyFrame> => {
    for (;;) {
      const found = frames.find((one) => one.type === type);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  await frame('identified');
  return { frame, send: (message: Readonly<Record<string, unknown>>) => link.send(JSON.stringify(message)) };
}

const submitted = async (hub: Hub): Promise<TaskId> => {
  const drafts = [aDraft(ids.task())];
  const answer = await hub.queue.do({ kind: 'submit', drafts, submittedBy: 'tok-1', idempotency: null });
  if (answer.kind !== 'submitted') throw new Error(answer.kind);
  return answer.tasks[0]?.id as TaskId;
};

t.test('R16: a task submitted to one hub runs on an agent of the other as soon as its notification arrives', async (t) => {
  // Found by a poll, it would come after minutes.
  const timing = { ...NO_SWEEPS, pollMs: HOUR_MS, hubLeaseMs: 3 * HOUR_MS };
  const schema = emptySchema(t, server);
  const [one, two] = [await startHub(t, { schema, timing }), await startHub(t, { schema, timing })];
  const agent = await agentAt(t, two);
  const id = await submitted(one);
  t.match(await agent.frame('task_assign'), { task_id: id, generation: 1 });
});

t.test('R1 J1: a key that names a task is used once, whichever hub and token it comes from', async (t) => {
  const schema = emptySchema(t, server);
  const hubs = [await startHub(t, { schema }), await startHub(t, { schema })];
  for (let n = 0; n < 20; n += 1) {
    const key = ids.task();
    const submits = hubs.flatMap(({ queue }) =>
      ['tok-1', 'tok-2', 'tok-1'].map((submittedBy) =>
        queue.do({ kind: 'submit', drafts: [aDraft(ids.task())], submittedBy, idempotency: { key, name: key, digest: null } }),
      ),
    );
    const answers = await Promise.all(submits);
    const found = answers.map((answer) => ('tasks' in answer ? `${answer.kind} ${answer.tasks[0]?.id}` : answer.kind));
    const counted = (kind: string): number => found.filter((one) => one.startsWith(kind)).length;
    const repeats = counted('submitted') === 1 ? found.length - 1 - counted('idempotency_mismatch') : -1;
    t.ok([1, 3].includes(repeats), found.join(', '));
    t.ok(found.every((one) => one === 'idempotency_mismatch' || one.endsWith(key)));
  }
  t.equal((await hubs[0]?.storage.tasks.stats())?.statuses.queued, 20);
});

t.test('R16: when no notification arrives, a task waits no longer than the next poll', async (t) => {
  const pollMs = 2_000;
  const timing = { ...NO_SWEEPS, pollMs };
  const schema = emptySchema(t, server);
  const [one, two] = [await startHub(t, { schema, timing }), await startHub(t, { schema, timing, isDeaf: true })];
  const agent = await agentAt(t, two);
  const beganMs = performance.now();
  const id = await submitted(one);
  t.match(await agent.frame('task_assign'), { task_id: id, generation: 1 });
  const tookMs = performance.now() - beganMs;
  t.ok(tookMs < pollMs + SLACK_MS, `it took ${Math.round(tookMs)} ms`);
  t.equal(agent.send({ type: 'task_accepted', task_id: id, generation: 1 }), true);
  t.equal((await agent.frame('task_ack'))['status'], 'accepted');
  await one.queue.do({ kind: 'cancel', taskId: id, by: 'tok-1' });
  t.match(await agent.frame('task_cancelled'), { task_id: id, generation: 1 }, 'and so does a cancel');
});

t.test('a hub that was stopped does not count as running: its store can be restored at once', async (t) => {
  const schema = emptySchema(t, server);
  const [one, two] = [await startHub(t, { schema }), await startHub(t, { schema })];
  await one.stop();
  const restore = () => renewPostgres(settingsOf({ url: server.url, schema }), systemClock());
  await t.rejects(restore(), { code: 'AC_STORAGE_LOCKED' }, 'the other hub runs');
  await two.stop();
  t.match(await restore(), { kept: null, tasks: 0 });
});

t.test('hub clocks an hour apart change no lease decision', async (t) => {
  const schema = emptySchema(t, server);
  const [one, two] = [await startHub(t, { schema, offsetMs: HOUR_MS }), await startHub(t, { schema, offsetMs: -HOUR_MS })];
  const agent = await agentAt(t, two);
  const id = await submitted(one);
  await agent.frame('task_assign');
  const task = async (): Promise<Task> => (await one.storage.tasks.peek([id]))[0] as Task;
  const isFromNow = async (leaseMs: number, what: string): Promise<void> => {
    const offMs = ((await task()).deadlineAtMs ?? 0) - Date.now() - leaseMs;
    t.ok(Math.abs(offMs) < SLACK_MS, `${what} ends ${offMs} ms off`);
  };
  await isFromNow(HUB_TIMING.acceptMs, 'the time to accept');
  agent.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await agent.frame('task_ack');
  await isFromNow(HUB_TIMING.leaseMs, 'the lease');
  for (const hub of [one, two, one]) t.match(await hub.queue.do({ kind: 'sweep' }), { hadDuty: true });
  t.match(await task(), { status: 'assigned', generation: 1 }, 'it is not reclaimed');
  t.match((await one.storage.agents.getAgent(AN_AGENT))?.agent, { connected: true }, 'nor is the other hub considered dead');
  const leases = await server.ask(`SELECT lease_until::float8 AS until FROM ${schema}.hubs`);
  t.equal(leases.length, 2);
  for (const { until } of leases) t.ok(Math.abs((until as number) - Date.now() - HUB_TIMING.hubLeaseMs) < HUB_TIMING.pollMs + SLACK_MS);
});
