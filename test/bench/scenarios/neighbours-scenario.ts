/**
 * What one odd submitter, one curious viewer and one noisy agent cost all others: honest submits and identifies next
 * to each, and alone.
 */
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { rulesOf } from '../../../core/application/hub/batch/hub-context.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import { inStore } from '../../chaos/rig/tasks/filled-store.ts';
import { fillTasks } from '../../chaos/rig/tasks/filled-tasks.ts';
import { recordTimes, type Spread } from '../load/spread.ts';
import { DEFAULT_PAIR, isDefault, withHub, type Bench, type Scenario } from '../rig/bench-rig.ts';
import type { BenchHub } from '../rig/bench-hub.ts';

/** Past tasks, and the amount of work that neighbours make. */
const FULL = { tasks: 300_000, requirements: 10_000, dependents: 40_000, forMs: 8_000 };
const QUICK = { tasks: 20_000, requirements: 2_000, dependents: 4_000, forMs: 2_000 };
const BULK = 2_000;
const SLOW_BODIES = 260;
const LISTS_AT_ONCE = 24;
const FLOODS_AT_ONCE = 50;
/**
 * How much of the flood may be unsent: the hub reads no faster than it allows one agent, and a backlog in this process
 * would slow down what is measured.
 */
const FLOOD_UNSENT_BYTES_MAX = 1_048_576;
const HONEST_EACH_MS = 20;
/** For the hub that removes: everything ended is expired at once, and its quiet period after the start is short. */
const REMOVAL_TIMING = {
  ...{ endedKeptMs: 1, sweepMs: 1_000, quietAfterStartMs: 0 },
  ...{ heartbeatMs: 1_000, pongWaitMs: 1_000, reconnectMaxMs: 1_000, graceMarginMs: 0, reconnectGraceMs: 3_000 },
};
const REMOVAL_BEGINS_WITHIN_MS = 30_000;

interface Neighbour {
  readonly name: string;
  /** Begins; returns how to end it. */
  begin(): Promise<() => void | Promise<void>>;
}

export const neighbours: Scenario = {
  names: ['neighbours'],
  async run(bench) {
    if (!bench.pairs.some(isDefault)) return bench.say('neighbours: measured on sqlite and ws only');
    const size = bench.isQuick ? QUICK : FULL;
    await withHub(bench, DEFAULT_PAIR, (hub) => beside(bench, hub, size), {
      limits: {},
      prepare: (world) =>
        inStore(world, async (engine) => void (await fillTasks(engine, { count: size.tasks, rules: rulesOf(HUB_TIMING, HUB_LIMITS) }))),
    });
  },
};

async function beside(bench: Bench, hub: BenchHub, size: typeof FULL): Promise<void> {
  const tokenOf = async (role: 'submitter' | 'viewer'): Promise<string> =>
    (await hub.api.tokens.create({ name: `odd ${role}`, role })).token ?? '';
  const [odd, viewer, [noisy]] = [await tokenOf('submitter'), await tokenOf('viewer'), await hub.newSidecars(1, 1)];
  await honest(hub, size.forMs / 4);
  const alone = await honest(hub, size.forMs);
  for (const one of [
    requirements(hub, odd, size.requirements),
    dependents(hub, odd, size.dependents),
    slowBodies(hub, odd),
    lists(hub, viewer),
    floods(hub, noisy ?? { agentId: '', token: '' }),
  ]) {
    const end = await one.begin();
    const seen = await honest(hub, size.forMs);
    await end();
    tellBeside(bench, one.name, seen, alone);
  }
  await removal(bench, hub, size, alone);
}

type Seen = Awaited<ReturnType<typeof honest>>;

function tellBeside(bench: Bench, name: string, seen: Seen, alone: Seen): void {
  for (const what of ['submit', 'identify'] as const) {
    const times = seen[what];
    const [p50, p99] = [times.p50Ms / alone[what].p50Ms, times.p99Ms / alone[what].p99Ms];
    const refused = seen.refused === 0 ? '' : `; ${seen.refused} refused`;
    const note = `p50 ${times.p50Ms.toFixed(1)} ms, alone ${alone[what].p50Ms.toFixed(1)}; p99 × ${p99.toFixed(1)}${refused}`;
    bench.tell({ scenario: 'neighbours', what: `${what} beside ${name}`, unit: '×', n: times.count, runs: [p50], times, note, ...DEFAULT_PAIR }); // prettier-ignore
  }
}

/** Everything ended is expired: how fast it is removed, and what that costs the others. */
async function removal(bench: Bench, hub: BenchHub, size: typeof FULL, alone: Seen): Promise<void> {
  await hub.restart(REMOVAL_TIMING);
  const completed = async (): Promise<number> => Number((await hub.api.tasks.stats())['completed']);
  const atStart = await completed();
  const lastMs = performance.now() + REMOVAL_BEGINS_WITHIN_MS;
  while ((await completed()) === atStart && performance.now() < lastMs) await new Promise((resolve) => setTimeout(resolve, HONEST_EACH_MS));
  const [before, fromMs] = [await completed(), performance.now()];
  const seen = await honest(hub, size.forMs);
  const left = await completed();
  const perSecond = ((before - left) * 1_000) / (performance.now() - fromMs);
  const note = `${before} had ended, ${left} are left`;
  bench.tell({
    scenario: 'neighbours',
    what: 'ended tasks removed',
    unit: '/s',
    n: before - left,
    runs: [perSecond],
    note,
    ...DEFAULT_PAIR,
  });
  tellBeside(bench, 'their removal', seen, alone);
}

/** Honest submits and identifies, alternating, for this long. */
async function honest(
  hub: BenchHub,
  forMs: number,
): Promise<{ readonly submit: Spread; readonly identify: Spread; readonly refused: number }> {
  const [submit, identify] = [recordTimes(), recordTimes()];
  const [sidecar] = await hub.newSidecars(1, 1);
  const untilMs = performance.now() + forMs;
  let refused = 0;
  while (performance.now() < untilMs) {
    const fromMs = performance.now();
    if ((await post(hub, hub.adminToken, '/api/tasks', '{"description":"honest","needed_capabilities":["nobody-has-it"]}')) !== 201)
      refused += 1;
    submit.record(performance.now() - fromMs);
    if (sidecar !== undefined) identify.record(await identified(hub, sidecar));
    await new Promise((resolve) => setTimeout(resolve, HONEST_EACH_MS));
  }
  return { submit: submit.spread(), identify: identify.spread(), refused };
}

async function post(hub: BenchHub, token: string, path: string, body: string, type = 'application/json'): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': type };
  const response = await fetch(`http://127.0.0.1:${hub.port}${path}`, { method: 'POST', headers, body });
  await response.arrayBuffer();
  return response.status;
}

const open = (hub: BenchHub, { agentId, token }: { readonly agentId: string; readonly token: string }): WebSocket => {
  const socket = new WebSocket(`ws://127.0.0.1:${hub.port}/ws`);
  const frame = {
    type: 'identify',
    agent_id: agentId,
    token,
    protocol_version: 2,
    instance_id: 'instance-of-the-bench',
    held: [],
    slots: 1,
  };
  return socket.on('open', () => socket.send(JSON.stringify(frame)));
};

/** How long it takes from the connection to `identified`, in milliseconds. */
async function identified(hub: BenchHub, sidecar: { readonly agentId: string; readonly token: string }): Promise<number> {
  const fromMs = performance.now();
  const socket = open(hub, sidecar);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', (code) => reject(new Error(`a sidecar was closed with ${code}`)));
    socket.on('message', (data: Buffer) => {
      const { type } = JSON.parse(data.toString()) as { readonly type: string };
      if (type === 'identified') resolve();
      else if (type === 'error') reject(new Error(`a sidecar was refused: ${data.toString()}`));
    });
  });
  const tookMs = performance.now() - fromMs;
  socket.removeAllListeners('close').terminate();
  return tookMs;
}

/** Tasks that each need a different capability. */
const requirements = (hub: BenchHub, token: string, count: number): Neighbour => ({
  name: `${count} requirements of one submitter`,
  async begin() {
    await bulk(hub, token, count, (n) => ({ description: 'odd', needed_capabilities: [`odd-${n}`] }));
    return () => undefined;
  },
});

/** Tasks that depend on one, which is completed when the measurement begins. */
const dependents = (hub: BenchHub, token: string, count: number): Neighbour => ({
  name: `${count} dependents of one task`,
  async begin() {
    const [worker] = await hub.newSidecars(1, 1);
    if (worker === undefined) throw new Error('there is no worker');
    const { task_id: first } = await hub.api.tasks.submit({ description: 'first', assign_to: worker.agentId });
    await bulk(hub, token, count, () => ({ description: 'odd', depends_on: [first] }));
    const socket = open(hub, worker);
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as { readonly type: string; readonly task_id?: string; readonly generation?: number };
      if (frame.type !== 'task_assign') return;
      const { task_id, generation } = frame;
      socket.send(JSON.stringify({ type: 'task_accepted', task_id, generation }));
      socket.send(JSON.stringify({ type: 'task_complete', task_id, generation, result: 'done' }));
    });
    return () => socket.terminate();
  },
});

async function bulk(hub: BenchHub, token: string, count: number, bodyOf: (n: number) => object): Promise<void> {
  for (let from = 0; from < count; from += BULK) {
    const lines = Array.from({ length: Math.min(BULK, count - from) }, (_, n) => JSON.stringify(bodyOf(from + n)));
    const status = await post(hub, token, '/api/tasks/bulk', `${lines.join('\n')}\n`, 'application/x-ndjson');
    // The hub's limit on one submitter's waiting tasks is an answer, too.
    if (status === 429) return;
    if (status !== 201) throw new Error(`a bulk submit was answered with ${status}`);
  }
}

const slowBodies = (hub: BenchHub, token: string): Neighbour => ({
  name: `${SLOW_BODIES} slow bodies of one submitter`,
  begin: async () => {
    const head = `POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1:${hub.port}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 262144\r\n\r\n{`;
    const sockets = await Promise.all(
      Array.from({ length: SLOW_BODIES }, () => {
        const socket = connect(hub.port, '127.0.0.1');
        socket.on('error', () => undefined).resume();
        return new Promise<Socket>((resolve) => socket.write(head, () => resolve(socket)));
      }),
    );
    return () => sockets.forEach((socket) => socket.destroy());
  },
});

const lists = (hub: BenchHub, token: string): Neighbour => ({
  name: `${LISTS_AT_ONCE} lists at once of one viewer`,
  begin: async () => {
    let isOver = false;
    const url = `http://127.0.0.1:${hub.port}/api/tasks?assigned_to=nobody&priority=normal`;
    const askOn = async (): Promise<void> => {
      while (!isOver) await (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).arrayBuffer();
    };
    const asking = Array.from({ length: LISTS_AT_ONCE }, askOn);
    return async () => {
      isOver = true;
      await Promise.all(asking);
    };
  },
});

const floods = (hub: BenchHub, agent: { readonly agentId: string; readonly token: string }): Neighbour => ({
  name: 'one agent that floods messages and status',
  begin: async () => {
    const socket = open(hub, agent);
    socket.on('error', () => undefined);
    const frames = [JSON.stringify({ type: 'message', payload: 'x'.repeat(60_000) }), JSON.stringify({ type: 'status', status: 'busy' })];
    const timer = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return;
      for (let n = 0; n < FLOODS_AT_ONCE && socket.bufferedAmount < FLOOD_UNSENT_BYTES_MAX; n += 1) socket.send(frames[n % 2] ?? '');
    }, HONEST_EACH_MS);
    return () => {
      clearInterval(timer);
      socket.terminate();
    };
  },
});
