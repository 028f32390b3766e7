/** A hub with a million stored tasks is killed and restarted, and then one of its machines dies: what `npm run recovery` does. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../product/twins/ids-seeded/seeded-random.ts';
import type { HubClient } from '../../../apps/client/index.ts';
import { rulesOf } from '../../../core/application/hub/batch/hub-context.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { HUB_TIMING, type HubTiming } from '../../../core/config/times.ts';
import type { Status } from '../../../core/domain/task/task.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { inStore } from '../rig/tasks/filled-store.ts';
import { fillTasks } from '../rig/tasks/filled-tasks.ts';
import { bytesOf, cpuMsOf, sampleOf } from '../rig/gauges.ts';
import { isAlive } from '../rig/chaos-ledger.ts';
import type { Program } from '../rig/chaos-program.ts';
import { mayPass } from '../rig/observed.ts';
import { CHAOS_HUB_TIMING, makeChaosWorld, type ChaosWorld } from '../rig/chaos-world.ts';

export interface RecoveryOptions {
  readonly tree: BuiltTree;
  readonly seed: string;
  /** Stored before the hub is first started. */
  readonly tasks: number;
  readonly kills: number;
  readonly hubTiming?: Partial<HubTiming> | undefined;
  readonly onProgress?: (done: number, note: string) => void;
}

/** One death of the hub, in milliseconds from the kill on. */
export interface Recovery {
  /** Until the first submit sent after the kill was answered. */
  readonly submitMs: number;
  /** Until the program, which was started at once, had loaded its code, and how long its parts took after that. */
  readonly loadedMs: number;
  readonly partsMs: Readonly<Record<string, number>>;
  /** CPU time of the started program for all of that. */
  readonly cpuMs: number;
  readonly walMiB: number;
}

export interface RecoveryOutcome {
  readonly stored: Readonly<Partial<Record<Status, number>>>;
  readonly databaseMiB: number;
  readonly fillSeconds: number;
  readonly recoveries: readonly Recovery[];
  /** From the start of the hub until the task of a machine that died with it ran elsewhere, including the quiet period. */
  readonly elsewhereAfterStartMs: number;
  /** The same for a machine that died long after. */
  readonly elsewhereMs: number;
  /** Submits that were answered, and how many of them are stored. */
  readonly answered: number;
  readonly found: number;
  readonly readsMs: Readonly<Record<string, number>>;
  readonly rssMaxMiB: number;
  readonly surprises: readonly string[];
  /** The store's file, closed, until the test ends. */
  readonly database: string;
}

/** Machines that may run the one task; each has exactly one slot for it. */
const MACHINES = ['machine-1', 'machine-2', 'machine-3'];
const SUBMIT_EACH_MS = 20;
const LOOK_MS = 10;
const WITHIN_MS = 120_000;
/** Between two kills, at random. */
const CALM_MS = { least: 1_000, most: 3_000 };
const MIB = 2 ** 20;

export async function recoveryRun(t: TestEnd, options: RecoveryOptions): Promise<RecoveryOutcome> {
  const random = seededRandom(options.seed);
  const timing: HubTiming = { ...HUB_TIMING, ...CHAOS_HUB_TIMING, ...options.hubTiming };
  const world = await makeChaosWorld(t, { tree: options.tree, hubTiming: timing });
  const surprises: string[] = [];
  const fillingMs = performance.now();
  const stored = await inStore(world, (engine) =>
    fillTasks(engine, { count: options.tasks, rules: rulesOf(timing, HUB_LIMITS), onSaved: (n) => options.onProgress?.(n, 'stored') }),
  );
  const fillSeconds = Math.round((performance.now() - fillingMs) / 1_000);
  const databaseMiB = Math.round(bytesOf(world.database) / MIB);

  let startedMs = 0;
  const start = (): Program => {
    startedMs = Date.now();
    return world.startHub({ env: { AGENTCOM_LOG_LEVEL: 'debug' } });
  };
  let hub = start();
  if ((await hub.ready) === null) throw new Error(`the hub did not start; its log is ${world.logOf('hub')}`);
  for (const agentId of MACHINES) await world.enrol({ agentId, slots: 1, capabilities: ['spare'] });
  const machines = new Map(MACHINES.map((agentId) => [agentId, world.startSidecar(agentId)]));
  for (const [agentId, machine] of machines) {
    if ((await machine.ready) === null) throw new Error(`${agentId} did not start; its log is ${world.logOf(agentId)}`);
  }
  const { task_id: taskId } = await world.api.tasks.submit({ description: 'spare ok 3600', needed_capabilities: ['spare'] });
  let run = await runOf(world, taskId, []);

  const submits = steadySubmits(world.api);
  const recoveries: Recovery[] = [];
  let rssMax = 0;
  const died: string[] = [];
  for (let kill = 1; kill <= options.kills; kill += 1) {
    await sleep(CALM_MS.least + (random() % (CALM_MS.most - CALM_MS.least)));
    rssMax = Math.max(rssMax, sampleOf(hub.pid)?.rssBytes ?? 0);
    const walMiB = Math.round((bytesOf(`${world.database}-wal`) / MIB) * 10) / 10;
    const logged = bytesOf(world.logOf('hub'));
    const killedMs = Date.now();
    const ended = hub.kill('SIGKILL');
    // At the last kill a machine dies with the hub: only time tells the next hub.
    if (kill === options.kills) died.push(await endMachine(world, machines, run.agent));
    await ended;
    hub = start();
    const submitMs = (await submits.firstAfter(killedMs)) - killedMs;
    recoveries.push({
      submitMs,
      cpuMs: cpuMsOf(hub.pid),
      walMiB,
      ...startOf(readFileSync(world.logOf('hub'), 'utf8').slice(logged), killedMs),
    });
    options.onProgress?.(kill, `recovered, submit after ${submitMs} ms`);
  }
  run = await runOf(world, taskId, died);
  const elsewhereAfterStartMs = Date.now() - startedMs;
  options.onProgress?.(options.kills, `the task runs elsewhere ${elsewhereAfterStartMs} ms after the hub's start`);

  const diedMs = Date.now();
  died.push(await endMachine(world, machines, run.agent));
  run = await runOf(world, taskId, died);
  const elsewhereMs = Date.now() - diedMs;
  options.onProgress?.(options.kills, `and ${elsewhereMs} ms after its machine died`);

  await submits.stop();
  const found = await countFound(world.api, submits.answered);
  rssMax = Math.max(rssMax, sampleOf(hub.pid)?.rssBytes ?? 0);
  const readsMs = await timeReads(world.api, taskId);
  await Promise.all([...machines.values()].map((machine) => machine.kill('SIGKILL')));
  const end = await hub.kill('SIGTERM');
  if (end !== 0) surprises.push(`the hub ended its SIGTERM with ${end}`);
  return {
    stored,
    databaseMiB,
    fillSeconds,
    recoveries,
    elsewhereAfterStartMs,
    elsewhereMs,
    answered: submits.answered.length,
    found,
    readsMs,
    rssMaxMiB: Math.round(rssMax / MIB),
    surprises,
    database: world.database,
  };
}

/** Waits until the task runs on a machine that has not died. */
async function runOf(world: ChaosWorld, task: string, died: readonly string[]): Promise<{ readonly agent: string }> {
  const untilMs = performance.now() + WITHIN_MS;
  while (performance.now() < untilMs) {
    const line = world.ledger.living().find((one) => one.task === task && !died.includes(one.agent));
    if (line !== undefined) return line;
    await sleep(LOOK_MS);
  }
  const { history, waiting_for: waitingFor } = await world.api.tasks.get(task);
  const events = history.map(({ event }) => event).join(' ');
  throw new Error(`${task} runs nowhere within ${WITHIN_MS} ms: ${events}; ${waitingFor?.message ?? ''}`);
}

/** A machine dies: its sidecar and the agents on it, at once and for good. Returns its name. */
async function endMachine(world: ChaosWorld, machines: ReadonlyMap<string, Program>, agentId: string): Promise<string> {
  const ended = machines.get(agentId)?.kill('SIGKILL');
  for (const line of world.ledger.living()) {
    if (line.agent === agentId && isAlive(line)) process.kill(-line.pid, 'SIGKILL');
  }
  await ended;
  return agentId;
}

interface SteadySubmits {
  /** The ids of the tasks whose submits were answered. */
  readonly answered: readonly string[];
  /** When the first submit sent after this time was answered. */
  firstAfter(sentMs: number): Promise<number>;
  stop(): Promise<void>;
}

/** One submit after the other, until one is answered; a refused connection is not an answer. */
function steadySubmits(api: HubClient): SteadySubmits {
  const answered: string[] = [];
  const stopping = new AbortController();
  let last = { sentMs: 0, answeredMs: 0 };
  let failure: unknown = null;
  const submit = async (): Promise<void> => {
    const sentMs = Date.now();
    try {
      const { task_id: id } = await api.tasks.submit({ description: 'meanwhile', needed_capabilities: ['archive-1'] });
      answered.push(id);
      last = { sentMs, answeredMs: Date.now() };
    } catch (thrown) {
      if (!mayPass(thrown)) throw thrown;
    }
  };
  const submitting = (async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await submit();
      await sleep(SUBMIT_EACH_MS);
    }
  })().catch((thrown: unknown) => (failure = thrown));
  return {
    answered,
    async firstAfter(sentMs) {
      const untilMs = performance.now() + WITHIN_MS;
      while (last.sentMs < sentMs) {
        if (failure !== null) throw failure as Error;
        if (performance.now() > untilMs) throw new Error(`no submit was answered within ${WITHIN_MS} ms`);
        await sleep(1);
      }
      return last.answeredMs;
    },
    async stop() {
      stopping.abort();
      await submitting;
      if (failure !== null) throw failure as Error;
    },
  };
}

/** How long the parts of a start took, from the hub's log. */
function startOf(log: string, killedMs: number): Pick<Recovery, 'loadedMs' | 'partsMs'> {
  const lines = log.split('\n').filter((line) => line.includes('"service started"'));
  const parts = lines.map((line) => JSON.parse(line) as { readonly time: number; readonly service: string; readonly tookMs: number });
  const [first] = parts;
  return {
    loadedMs: first === undefined ? 0 : Math.round(first.time - first.tookMs - killedMs),
    partsMs: Object.fromEntries(parts.map(({ service, tookMs }) => [service, Math.round(tookMs)])),
  };
}

async function countFound(api: HubClient, ids: readonly string[]): Promise<number> {
  let found = 0;
  for (const id of ids) if ((await api.tasks.get(id)).id === id) found += 1;
  return found;
}

/** Queries that users send to a store of this size, each once. */
async function timeReads(api: HubClient, taskId: string): Promise<Readonly<Record<string, number>>> {
  const reads: Readonly<Record<string, () => Promise<unknown>>> = {
    'the newest tasks': () => api.tasks.list(),
    'by status': () => api.tasks.list({ status: 'completed' }),
    'by status and priority, without a match': () => api.tasks.list({ status: 'assigned', priority: 'urgent' }),
    'by status and agent, without a match': () => api.tasks.list({ status: 'dead_letter', assigned_to: 'past-1' }),
    'by priority and agent, without a match': () => api.tasks.list({ priority: 'urgent', assigned_to: 'past-2' }),
    'one task': () => api.tasks.get(taskId),
    stats: () => api.tasks.stats(),
  };
  const times: Record<string, number> = {};
  for (const [name, read] of Object.entries(reads)) {
    const sinceMs = performance.now();
    await read();
    times[name] = Math.round(performance.now() - sinceMs);
  }
  return times;
}
