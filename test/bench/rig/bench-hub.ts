/** A measured hub: the compiled program under plain node, in its own folder, with the default times and limits. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { HubClient } from '../../../apps/client/index.ts';
import type { HubLimits } from '../../../core/config/limits.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import type { PostgresServer } from '../../adapters/storage-places/postgres-server.ts';
import { requireCombination } from '../../apps/adapters-under-test.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import { cpuMsOf, eachSecond, endedChildrenCpuMs, sampleOf } from '../../chaos/rig/gauges.ts';
import { statOf } from '../../chaos/rig/chaos-ledger.ts';
import type { Program } from '../../chaos/rig/chaos-program.ts';
import { makeChaosWorld, type ChaosWorld } from '../../chaos/rig/chaos-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import type { Pair } from './result.ts';

export interface BenchHub {
  readonly pair: Pair;
  readonly world: ChaosWorld;
  /** Of the first hub, and of all. */
  readonly port: number;
  readonly ports: readonly number[];
  readonly api: HubClient;
  readonly adminToken: string;
  /** What its writing connection read back, such as `synchronous=2`. */
  readonly durability: string;
  /** Of its process. */
  pid(): number;
  /** CPU time of its process so far, in milliseconds. */
  cpuMs(): number;
  /** What `work` cost the hub and, if it has one, its database server. */
  measured<T>(work: () => Promise<T>): Promise<Cost & { readonly value: T }>;
  /** Tokens for sidecars that no earlier run used. */
  newSidecars(
    count: number,
    slots: number,
  ): Promise<readonly { readonly agentId: string; readonly token: string; readonly slots: number }[]>;
  /** Stops it as an operator does and restarts it, with these overrides of its times. */
  restart(timing?: Readonly<Record<string, number>>): Promise<void>;
  /** Kills it with -9 while `work` runs, restarts it at once, and returns when, in milliseconds since 1970. */
  killed<T>(work: () => Promise<T>): Promise<{ readonly first: T; readonly startedAtMs: number }>;
  /**
   * Stops it as an operator does and has the store checked as by `agentcom doctor --fsck`; fails if anything is found.
   * Returns what was checked.
   */
  close(): Promise<string>;
}

/** CPU time in milliseconds, and the largest memory that was seen; of all hubs together. */
export interface Cost {
  readonly hubCpuMs: number;
  /** Null for SQLite, which is in the hub. */
  readonly databaseCpuMs: number | null;
  readonly hubMiB: number;
}

export interface BenchHubOptions {
  readonly tree: BuiltTree;
  readonly pair: Pair;
  readonly postgres: PostgresServer | null;
  /** On one Postgres; default 1. What is done to a hub is done to the first. */
  readonly hubs?: number | undefined;
  /** Where each thread's CPU profile goes when it ends; null for none. */
  readonly profileDir: string | null;
  /** Whether the program has a file for each source, by which profiles are read. Default: whether it leaves profiles. */
  readonly isInParts?: boolean;
  /** Default: no limit on the requests and frames of the few clients and sidecars of a bench. */
  readonly limits?: Partial<HubLimits> | undefined;
  /** More arguments of node. */
  readonly nodeArgs?: readonly string[] | undefined;
  /** More variables of its environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Called before the hub is first started. */
  readonly prepare?: ((world: ChaosWorld) => Promise<void>) | undefined;
}

const MIB = 2 ** 20;
/** Four sidecars that do nothing with their tasks send more than any that works, and one client reads without a pause. */
export const UNBOUNDED: Partial<HubLimits> = { requestsPerSecond: 0, readMsPerSecond: 0, agentFramesPerSecond: 0, agentBytesPerSecond: 0 };
let schemas = 0;

export async function startBenchHub(
  t: TestEnd,
  {
    tree,
    pair,
    postgres,
    hubs = 1,
    profileDir,
    isInParts = profileDir !== null,
    nodeArgs: more = [],
    env: always = {},
    prepare,
    limits = UNBOUNDED,
  }: BenchHubOptions,
): Promise<BenchHub> {
  const schema = `bench_${process.pid}_${(schemas += 1)}`;
  const world = await makeChaosWorld(t, {
    // The config of a measured program is compiled, as in production.
    tree: { ...tree, bin: isInParts ? tree.binInParts : tree.bin, installIn: () => undefined },
    hubTiming: HUB_TIMING,
    limits,
    transport: pair.transport,
    ...(postgres === null ? {} : { postgres: { options: { url: postgres.url, schema }, hubs } }),
  });
  await prepare?.(world);
  const nodeArgs = [...more, ...(profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`])];
  // The chaos runs' own event loop gauge is left out: it would be measured too.
  const start = (env: Readonly<Record<string, string>> = {}, nth = 0): Program =>
    world.startHub({ nodeArgs, hub: nth, env: { NODE_OPTIONS: '', ...always, ...env } });
  let hub = start();
  const others = Array.from({ length: hubs - 1 }, (_, n) => start({}, n + 1));
  const all = (): readonly Program[] => [hub, ...others];
  t.teardown(async () => void (await Promise.all(all().map((one) => one.kill('SIGKILL')))));
  const ready = async (): Promise<void> => {
    if ((await Promise.all(all().map((one) => one.ready))).includes(null))
      throw new Error(`the hub did not start:\n${readFileSync(world.logOf('hub'), 'utf8').slice(-2_000)}`);
  };
  const stop = async (): Promise<void> => {
    const end = await hub.kill('SIGTERM');
    if (end !== 0) throw new Error(`the hub ended its SIGTERM with ${end}:\n${readFileSync(world.logOf('hub'), 'utf8').slice(-2_000)}`);
  };
  await ready();
  requireCombination(await world.api.health(), pair);
  const server = postgres === null ? null : await postmasterOf(postgres);
  let enrolled = 0;

  return {
    pair,
    world,
    port: world.hubPort,
    ports: world.hubPorts,
    api: world.api,
    adminToken: world.adminToken,
    durability: postgres === null ? synchronousIn(readFileSync(world.logOf('hub'), 'utf8')) : await durabilityOf(postgres),
    pid: () => hub.pid,
    cpuMs: () => cpuMsOf(hub.pid),
    async measured(work) {
      let rssBytes = 0;
      const cpuMs = (): number => sum(all().map(({ pid }) => cpuMsOf(pid)));
      const look = (): void => void (rssBytes = Math.max(rssBytes, sum(all().map(({ pid }) => sampleOf(pid)?.rssBytes ?? 0))));
      const stop = eachSecond(look);
      const before = { hub: cpuMs(), database: server === null ? null : treeCpuMs(server) };
      try {
        const value = await work();
        look();
        return {
          value,
          hubCpuMs: cpuMs() - before.hub,
          databaseCpuMs: server === null || before.database === null ? null : treeCpuMs(server) - before.database,
          hubMiB: rssBytes / MIB,
        };
      } finally {
        stop();
      }
    },
    async newSidecars(count, slots) {
      const names = Array.from({ length: count }, () => `bench-${(enrolled += 1)}`);
      const tokens = await Promise.all(names.map((agentId) => world.api.tokens.create({ agent_id: agentId, max_slots: slots })));
      return names.map((agentId, n) => ({ agentId, token: tokens[n]?.token ?? '', slots }));
    },
    async restart(timing = {}) {
      await stop();
      hub = start({ HUB_TIMING: JSON.stringify(timing) });
      await ready();
    },
    async killed(work) {
      await hub.kill('SIGKILL');
      const working = work();
      const startedAtMs = performance.timeOrigin + performance.now();
      hub = start();
      const first = await working;
      await ready();
      return { first, startedAtMs };
    },
    async close() {
      await stop();
      await Promise.all(others.map((one) => one.kill('SIGTERM')));
      return checkStore(tree, world.configOf('hub'));
    },
  };
}

/** The command that people use, on a stopped hub. */
async function checkStore(tree: BuiltTree, config: string): Promise<string> {
  const args = [tree.bin, 'doctor', '--fsck', '--json', '--config', config];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 * MIB }).catch((thrown: unknown) => {
    throw new Error(`agentcom doctor --fsck: ${String((thrown as { readonly stdout?: string }).stdout ?? thrown).slice(0, 2_000)}`);
  });
  const { ok, examined } = JSON.parse(stdout) as { readonly ok: boolean; readonly examined: readonly { readonly seen: string }[] };
  if (!ok) throw new Error(`agentcom doctor --fsck: ${stdout.slice(0, 2_000)}`);
  return examined.map(({ seen }) => seen).join(', ');
}

/** What the hub logged about its own connection; fails unless it is FULL. */
function synchronousIn(log: string): string {
  const line = log.split('\n').findLast((one) => one.includes('"database opened"'));
  const { synchronous } = JSON.parse(line ?? '{}') as { readonly synchronous?: unknown };
  if (synchronous !== 2) throw new Error(`the hub's connection says synchronous = ${String(synchronous)}, expected 2 (FULL)`);
  return `synchronous=${synchronous}`;
}

/** What Postgres reports about its durability; fails unless all of it is on. */
export async function durabilityOf(postgres: PostgresServer): Promise<string> {
  const settings: string[] = [];
  for (const name of ['synchronous_commit', 'fsync', 'full_page_writes']) {
    const value = String((await postgres.ask(`SHOW ${name}`))[0]?.[name]);
    if (value !== 'on') throw new Error(`Postgres says ${name} = ${value}, expected on`);
    settings.push(`${name}=${value}`);
  }
  return settings.join(' ');
}

/** The server process whose children serve the connections. */
export async function postmasterOf(postgres: PostgresServer): Promise<number> {
  const session = await postgres.session();
  try {
    const [row] = await session.ask('SELECT pg_backend_pid() AS pid');
    return parentOf(Number(row?.['pid']));
  } finally {
    await session.end();
  }
}

const parentOf = (pid: number): number => Number(statOf(pid)?.[1] ?? 0);

/** Of a process and its children, including those that have ended. Milliseconds. */
export const treeCpuMs = (parent: number): number => {
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && (pid === parent || parentOf(pid) === parent));
  return sum(pids.map(cpuMsOf)) + endedChildrenCpuMs(parent);
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
