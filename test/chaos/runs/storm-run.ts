/** Ten thousand idle sidecars whose hub is killed and restarted: what `npm run storm` does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../product/twins/ids-seeded/seeded-random.ts';
import type { HubTiming } from '../../../core/config/times.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { cpuMsOf, eachSecond, readLag, sampleOf } from '../rig/gauges.ts';
import { enrolMany, inStore } from '../rig/tasks/filled-store.ts';
import { listening, needFiles, startLight } from '../rig/light-process.ts';
import { readStored } from '../rig/stored.ts';
import { makeChaosWorld, type ChaosWorld } from '../rig/chaos-world.ts';

export interface StormOptions {
  readonly tree: BuiltTree;
  /** By its name in `agentcom/transport`. Default: `ws`. */
  readonly transport?: string | undefined;
  readonly seed: string;
  readonly sidecars: number;
  /** Sidecars that have an accepted task when the hub dies, and still have it when silence counts again. */
  readonly holders: number;
  /** How often the hub is killed. */
  readonly kills: number;
  /** The quiet period is waited for at the end. */
  readonly hubTiming: HubTiming;
  readonly onProgress?: (identified: number, note: string) => void;
}

/** One kill of the hub, times in milliseconds. */
export interface Storm {
  /** From the kill until the hub listened again. */
  readonly downMs: number;
  /** From then until all sidecars were identified; null: not within the limit. */
  readonly allIdentifiedMs: number | null;
  readonly rssMaxBytes: number;
  /** CPU time of the hub and of all sidecars together in that time. */
  readonly hubCpuMs: number;
  readonly sidecarsCpuMs: number;
  /** How late the hub's event loop was from its start until a second after all were identified: 99 of 100 turns, and the worst. */
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
}

export interface StormOutcome {
  readonly storms: readonly Storm[];
  /** Tasks that sidecars held at the kills, and what became of them. */
  readonly held: number;
  readonly completed: number;
  readonly reclaims: number;
  readonly surprises: readonly string[];
}

const ALL_WITHIN_MS = 120_000;
const ENDED_WITHIN_MS = 60_000;
/** Between two kills, at random. */
const CALM_MS = { least: 500, most: 2_500 };
const MIB = 2 ** 20;

export async function stormRun(t: TestEnd, options: StormOptions): Promise<StormOutcome> {
  const { sidecars, holders, onProgress } = options;
  needFiles(sidecars);
  const random = seededRandom(options.seed);
  const world = await makeChaosWorld(t, { tree: options.tree, transport: options.transport, hubTiming: options.hubTiming });
  const enrolled = await inStore(world, (engine) =>
    enrolMany(
      engine,
      Array.from({ length: sidecars }, (_, n) => `light-${n + 1}` as AgentId),
    ),
  );
  let hub = world.startHub();
  if ((await hub.ready) === null) throw new Error(`the hub did not start; its log is ${world.logOf('hub')}`);
  const light = startLight(t, world, options.tree, { sidecars: enrolled });
  let rssBytes = 0;
  const stopLooking = eachSecond(() => {
    rssBytes = Math.max(rssBytes, sampleOf(hub.pid)?.rssBytes ?? 0);
    onProgress?.(light.now(), `identified, hub ${Math.round(rssBytes / MIB)} MiB`);
  });
  t.teardown(() => Promise.resolve(stopLooking()));
  const surprises: string[] = [];
  if ((await light.reaches(sidecars)) === null) surprises.push(`at first only ${light.now()} of ${sidecars} were identified`);

  const held = await assignTasks(world, holders);
  const storms: Storm[] = [];
  for (let kill = 1; kill <= options.kills; kill += 1) {
    await sleep(CALM_MS.least + (random() % (CALM_MS.most - CALM_MS.least)));
    rssBytes = 0;
    const killedMs = Date.now();
    await hub.kill('SIGKILL');
    await light.reaches(0);
    hub = world.startHub();
    const listeningMs = await listening(world.hubPort);
    const cpuBefore = { hub: cpuMsOf(hub.pid), light: cpuMsOf(light.program.pid) };
    const all = await light.reaches(sidecars);
    const [hubCpuMs, sidecarsCpuMs] = [cpuMsOf(hub.pid) - cpuBefore.hub, cpuMsOf(light.program.pid) - cpuBefore.light];
    const lag = readLag(world.lagFile).filter(({ atMs }) => atMs >= listeningMs && atMs <= (all ?? Infinity) + 1_000);
    storms.push({
      downMs: listeningMs - killedMs,
      allIdentifiedMs: all === null ? null : all - listeningMs,
      hubCpuMs,
      sidecarsCpuMs,
      rssMaxBytes: Math.max(rssBytes, sampleOf(hub.pid)?.rssBytes ?? 0),
      lagP99Ms: lag.at(-1)?.p99SinceStartMs ?? 0,
      lagMaxMs: Math.max(0, ...lag.map(({ maxMs }) => maxMs)),
    });
    if (all === null) surprises.push(`after kill ${kill} only ${light.now()} of ${sidecars} were identified`);
  }
  // Silence counts again after this, and a sidecar not seen to return would lose its task to a sweep.
  const { quietAfterStartMs, reconnectGraceMs, sweepMs } = options.hubTiming;
  await sleep(Math.max(quietAfterStartMs, reconnectGraceMs) + 2 * sweepMs);
  process.kill(light.program.pid, 'SIGUSR2');
  const completed = await untilCompleted(world, held.length);
  stopLooking();
  const { agents = {} } = (await world.api.tasks.stats()) as { readonly agents?: Readonly<Record<string, number>> };
  if (agents['offline'] !== 0) surprises.push(`the hub considers ${agents['offline']} agents offline`);
  await light.program.kill('SIGKILL');
  const end = await hub.kill('SIGTERM');
  if (end !== 0) surprises.push(`the hub ended its SIGTERM with ${end}`);
  const { events } = await readStored(world.database);
  return {
    storms,
    held: held.length,
    completed,
    reclaims: events.filter(({ event }) => event === 'reclaimed' || event === 'lost').length,
    surprises,
  };
}

/** Tasks that last until they are released, each accepted by its sidecar. */
async function assignTasks(world: ChaosWorld, count: number): Promise<readonly string[]> {
  const bodies = Array.from({ length: count }, (_, n) => ({ description: `storm-${n} hold`, needed_capabilities: ['code'] }));
  const { task_ids: ids } = await world.api.tasks.submitMany(bodies);
  const accepted = new Set<string>();
  for await (const { event, data } of world.api.events({ lastEventId: '0', signal: AbortSignal.timeout(ALL_WITHIN_MS) })) {
    if (event === 'accepted') accepted.add(String(data['task_id']));
    if (accepted.size === count) break;
  }
  return ids;
}

/** How many tasks are completed, when all are or it takes too long. */
async function untilCompleted(world: ChaosWorld, count: number): Promise<number> {
  const untilMs = performance.now() + ENDED_WITHIN_MS;
  for (;;) {
    const completed = Number((await world.api.tasks.stats())['completed']);
    if (completed === count || performance.now() > untilMs) return completed;
    await sleep(1_000);
  }
}
