/** Ten thousand idle sidecars whose hub is killed and started again: what `npm run storm` does. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../adapters/ids-seeded/seeded-random.ts';
import type { HubTiming } from '../../core/config/times.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import type { TestEnd } from '../apps/world.ts';
import type { BuiltTree } from '../rig/built-tree.ts';
import { cpuMsOf, eachSecond, readLag, sampleOf } from './rig/gauges.ts';
import { enrolMany, inStore } from './rig/filled-store.ts';
import { startProgram, type Program } from './rig/program.ts';
import { readStored } from './rig/stored.ts';
import { makeChaosWorld, type ChaosWorld } from './rig/world.ts';
import type { LightSetting } from './soak/light-sidecars.ts';

export interface StormOptions {
  readonly tree: BuiltTree;
  readonly seed: string;
  readonly sidecars: number;
  /** Sidecars that have an accepted task in their hands when the hub dies, and still when silence counts again. */
  readonly holders: number;
  /** How often the hub is killed. */
  readonly kills: number;
  /** The quiet time is waited for at the end. */
  readonly hubTiming: HubTiming;
  readonly onProgress?: (identified: number, note: string) => void;
}

/** One kill of the hub, times in milliseconds. */
export interface Storm {
  /** From the kill until the hub listened again. */
  readonly downMs: number;
  /** From then until all sidecars were identified; null: not within the time. */
  readonly allIdentifiedMs: number | null;
  readonly rssMaxBytes: number;
  /** Processor time of the hub and of all sidecars together in that time. */
  readonly hubCpuMs: number;
  readonly sidecarsCpuMs: number;
  /** How late the hub's loop was from its start until a second after all were identified: 99 of 100 turns, and the worst. */
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
}

export interface StormOutcome {
  readonly storms: readonly Storm[];
  /** Tasks that were in the hands of sidecars at the kills, and what became of them. */
  readonly held: number;
  readonly completed: number;
  readonly reclaims: number;
  readonly surprises: readonly string[];
}

/** Loopback addresses to call from. */
const SOURCES = 8;
/** The other files of the process with the sockets. */
const OTHER_FILES = 500;
const LOOK_MS = 20;
const ALL_WITHIN_MS = 120_000;
const ENDED_WITHIN_MS = 60_000;
/** Between two kills, at random. */
const CALM_MS = { least: 500, most: 2_500 };
const MIB = 2 ** 20;

export async function stormRun(t: TestEnd, options: StormOptions): Promise<StormOutcome> {
  const { sidecars, holders, onProgress } = options;
  needFiles(sidecars + OTHER_FILES);
  const random = seededRandom(options.seed);
  const world = await makeChaosWorld(t, { tree: options.tree, hubTiming: options.hubTiming });
  const enrolled = await inStore(world, (engine) =>
    enrolMany(
      engine,
      Array.from({ length: sidecars }, (_, n) => `light-${n + 1}` as AgentId),
    ),
  );
  let hub = world.startHub();
  if ((await hub.ready) === null) throw new Error(`the hub did not start; its log is ${world.logOf('hub')}`);
  const light = startLight(t, world, options.tree, enrolled);
  let rssBytes = 0;
  const stopLooking = eachSecond(() => {
    rssBytes = Math.max(rssBytes, sampleOf(hub.pid)?.rssBytes ?? 0);
    onProgress?.(light.now(), `identified, hub ${Math.round(rssBytes / MIB)} MiB`);
  });
  t.teardown(() => Promise.resolve(stopLooking()));
  const surprises: string[] = [];
  if ((await light.reaches(sidecars)) === null) surprises.push(`at first only ${light.now()} of ${sidecars} were identified`);

  const held = await handOut(world, holders);
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
  // Silence counts again after this, and whoever was not seen to be back would lose its task to a sweep.
  const { quietAfterStartMs, reconnectGraceMs, sweepMs } = options.hubTiming;
  await sleep(Math.max(quietAfterStartMs, reconnectGraceMs) + 2 * sweepMs);
  process.kill(light.program.pid, 'SIGUSR2');
  const completed = await untilCompleted(world, held.length);
  stopLooking();
  const { agents = {} } = (await world.api.stats()) as { readonly agents?: Readonly<Record<string, number>> };
  if (agents['offline'] !== 0) surprises.push(`the hub takes ${agents['offline']} agents for offline`);
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

/** Node takes as many files as the system lets it have; fails with what to say to the shell when those are too few. */
function needFiles(wanted: number): void {
  const found = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity);
  if (found < wanted) throw new Error(`${wanted} open files are needed, the system allows ${found}; run: ulimit -n ${wanted}`);
}

interface Light {
  readonly program: Program;
  /** How many are identified. */
  now(): number;
  /** Waits until so many are; answers when that was, milliseconds since 1970, null when it did not come to that in time. */
  reaches(count: number): Promise<number | null>;
}

/** All sidecars in one process, which leaves the other core to the hub. */
function startLight(t: TestEnd, world: ChaosWorld, tree: BuiltTree, sidecars: LightSetting['sidecars']): Light {
  const countFile = join(world.dir, 'light-count');
  const settingFile = join(world.dir, 'light.json');
  const setting: LightSetting = { ports: [world.hubPort], sidecars, sources: SOURCES, countFile };
  writeFileSync(countFile, '');
  writeFileSync(settingFile, JSON.stringify(setting), { mode: 0o600 });
  const args = [tree.compiled('test/chaos/soak/light-sidecars.ts'), settingFile];
  const program = startProgram({ args, cwd: world.dir, logFile: world.logOf('light'), env: { AGENTCOM_LOG_LEVEL: 'warn' } });
  t.teardown(async () => void (await program.kill('SIGKILL')));
  const last = (): readonly [number, number] => {
    const [atMs = 0, identified = 0] = (readFileSync(countFile, 'utf8').trimEnd().split('\n').at(-1) ?? '').split(' ').map(Number);
    return [atMs, identified];
  };
  return {
    program,
    now: () => last()[1],
    async reaches(count) {
      const untilMs = performance.now() + ALL_WITHIN_MS;
      for (;;) {
        const [atMs, identified] = last();
        if (identified === count) return atMs;
        if (performance.now() > untilMs) return null;
        await sleep(LOOK_MS);
      }
    },
  };
}

/** Tasks that last until they are released, each accepted by its sidecar. */
async function handOut(world: ChaosWorld, count: number): Promise<readonly string[]> {
  const bodies = Array.from({ length: count }, (_, n) => ({ description: `storm-${n} hold`, needed_capabilities: ['code'] }));
  const { task_ids: ids } = await world.api.bulk(bodies);
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
    const completed = Number((await world.api.stats())['completed']);
    if (completed === count || performance.now() > untilMs) return completed;
    await sleep(1_000);
  }
}

/** When something takes connections at the port, milliseconds since 1970. */
async function listening(port: number): Promise<number> {
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isOpen) return Date.now();
    await sleep(LOOK_MS);
  }
}
