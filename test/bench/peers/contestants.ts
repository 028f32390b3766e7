/**
 * The queues that are measured, and the yardstick, each with the settings that its documentation recommends for
 * throughput, and the server that it needs.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postgresServer } from '../../adapters/storage-places/postgres-server.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { startBare, startBarePostgres } from '../bare/start-bare.ts';
import { durabilityOf, postmasterOf, startBenchHub } from '../rig/bench-hub.ts';
import { redisVersion, startRedis } from './redis-server.ts';

export interface Contestant {
  readonly name: string;
  readonly isOurs: boolean;
  /** In `queues`. The modules of peers are not TypeScript: the compiler would need the packages installed. */
  readonly module: string;
  readonly store: 'sqlite' | 'postgres' | 'redis';
  readonly settings: Readonly<Record<string, unknown>>;
  /** How it works on tasks, described. */
  readonly worker: string;
  /** Packages whose versions affect its speed; AgentCom's are listed with the machine. */
  readonly packages: readonly string[];
  /** Its submit blocks, so that there is never more than one in flight. */
  readonly isSynchronous?: true;
  /** The first version of Node on which it runs, if that is not AgentCom's. */
  readonly nodeMin?: number;
  /** Not a queue to use: the minimum that does the hub's job, to show what the machine and JavaScript allow. Never the best peer. */
  readonly isYardstick?: true;
  /** For a yardstick on Postgres: this many servers on one store. Default 1. */
  readonly hubs?: number;
}

const SLOTS = 100;
const ours = { isOurs: true, module: 'agentcom-queue.ts', packages: [] } as const;
const yardstick = { isOurs: false, isYardstick: true, module: 'bare-queue.ts', store: 'sqlite', packages: [] } as const;
const yardstickOnPostgres = { ...yardstick, store: 'postgres' } as const;
const BARE = `a yardstick, not a queue to use: one node:http and ws server, SQLite through the sqlite3 package on its thread, one commit for all that arrived during the last; ${SLOTS} slots, a handler that returns at once`;
const WORKER = `agentcom/worker, ${SLOTS} slots, a handler that returns at once`;

export const CONTESTANTS: readonly Contestant[] = [
  { ...ours, name: 'agentcom', store: 'sqlite', settings: { slots: SLOTS, inSteps: false }, worker: WORKER },
  {
    ...ours,
    name: 'agentcom-steps',
    store: 'sqlite',
    settings: { slots: SLOTS, inSteps: true },
    worker: `a client that only speaks the protocol, ${SLOTS} slots, completes when the acceptance is acknowledged`,
  },
  { ...ours, name: 'agentcom-postgres', store: 'postgres', settings: { slots: SLOTS, inSteps: false }, worker: WORKER },
  {
    name: 'bullmq',
    isOurs: false,
    module: 'bullmq-queue.mjs',
    store: 'redis',
    settings: { concurrency: 100 },
    worker: 'concurrency 100; completed jobs are kept',
    packages: ['bullmq', 'ioredis'],
  },
  {
    name: 'pg-boss',
    isOurs: false,
    module: 'pg-boss-queue.mjs',
    store: 'postgres',
    settings: { pool: 20, loops: 4, batchSize: 1_000, pollingIntervalSeconds: 0.5 },
    worker: '4 loops of work(), batches of 1,000, polling each 0.5 s (its minimum), pool of 20; completed jobs are kept',
    packages: ['pg-boss', 'pg'],
  },
  {
    name: 'graphile-worker',
    isOurs: false,
    module: 'graphile-queue.mjs',
    store: 'postgres',
    settings: { pool: 26, concurrentJobs: 24, localQueueSize: 500 },
    worker: '24 jobs at once, local queue of 500, completions in batches, pool of 26; completed jobs are deleted',
    packages: ['graphile-worker', 'pg'],
  },
  {
    name: 'plainjob',
    isOurs: false,
    module: 'plainjob-queue.mjs',
    store: 'sqlite',
    settings: { pollMs: 10 },
    worker: 'one job at a time, polling each 10 ms (default 1,000); in the worker process itself; completed jobs are kept',
    packages: ['plainjob', 'better-sqlite3'],
    isSynchronous: true,
    nodeMin: 22,
  },
  { ...yardstick, name: 'bare', settings: { slots: SLOTS, inSteps: false }, worker: BARE },
  {
    ...yardstick,
    name: 'bare-steps',
    settings: { slots: SLOTS, inSteps: true },
    worker: 'as bare, but completes when the acceptance is acknowledged',
  },
  {
    ...yardstickOnPostgres,
    name: 'bare-postgres',
    settings: { slots: SLOTS, inSteps: false },
    worker: 'as bare, on Postgres through one connection of the pg package, one statement for all that arrived during the last',
  },
  {
    ...yardstickOnPostgres,
    name: 'bare-postgres-3',
    hubs: 3,
    settings: { slots: SLOTS, inSteps: false },
    worker: 'as bare-postgres, three servers on one Postgres: submits take turns, slots are divided, what waits is claimed in blocks',
  },
  // These two correspond to one hub and three in `scenarios/lifecycle-scenario.ts`.
  {
    ...yardstickOnPostgres,
    name: 'bare-postgres-steps',
    settings: { slots: 64, inSteps: true, isSingly: true },
    worker: '64 slots, completes when the acceptance is acknowledged; each submit is a request of its own',
  },
  {
    ...yardstickOnPostgres,
    name: 'bare-postgres-3-steps',
    hubs: 3,
    settings: { slots: 66, inSteps: true, isSingly: true },
    worker: 'as bare-postgres-steps, three servers on one Postgres, 66 slots',
  },
];

/** What the submitter and the worker of a contestant connect to. */
export interface Store {
  /** Of its servers, without their children; none for a queue that has the store in its own processes. */
  readonly pids: readonly number[];
  readonly settings: Readonly<Record<string, unknown>>;
  /** What the store itself reported. */
  readonly durability: string;
  /** Such as `Redis 7.0.15`. */
  readonly version: string;
  /** Stops it and checks what it stored, if there is a program for that; fails if anything is wrong. */
  check(): Promise<void>;
}

/** Besides the defaults: the settings of its own server. Every commit is synced. */
const POSTGRES_FLAGS = ['shared_buffers=256MB', 'max_wal_size=2GB'];

/** A new one, which is removed with its data when `t` ends. */
export async function startStore(
  t: TestEnd,
  { store, isOurs, isYardstick, hubs = 1 }: Contestant,
  tree: BuiltTree,
  hubProfileDir: string | null,
): Promise<Store> {
  const check = async (): Promise<void> => undefined;
  if (store === 'redis') {
    const { pid, port, durability } = await startRedis(t);
    return { pids: [pid], settings: { port }, durability, version: `Redis ${redisVersion()}`, check };
  }
  if (isYardstick && store === 'sqlite') {
    const { pids, ports, durability, check } = await startBare(t, tree, hubProfileDir);
    return { pids, settings: { ports }, durability, version: 'SQLite', check };
  }
  const postgres = store === 'postgres' ? await postgresServer(POSTGRES_FLAGS.flatMap((flag) => ['-c', flag])) : null;
  t.teardown(async () => postgres?.end());
  const servers = postgres === null ? [] : [await postmasterOf(postgres)];
  const version = postgres === null ? 'SQLite' : `Postgres ${String((await postgres.ask('SHOW server_version'))[0]?.['server_version'])}`;
  if (isOurs) {
    const hub = await startBenchHub(t, { tree, pair: { storage: store, transport: 'ws' }, postgres, profileDir: hubProfileDir });
    const { port, adminToken: token, durability } = hub;
    const stop = async (): Promise<void> => void (await hub.close());
    return { pids: [hub.pid(), ...servers], settings: { port, token }, durability, version, check: stop };
  }
  if (isYardstick && postgres !== null) {
    const { pids, ports, durability, check } = await startBarePostgres(t, tree, { url: postgres.url, hubs }, hubProfileDir);
    return { pids: [...pids, ...servers], settings: { ports }, durability, version, check };
  }
  if (postgres !== null)
    return { pids: servers, settings: { url: postgres.url }, durability: await durabilityOf(postgres), version, check };
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-peer-'));
  t.teardown(async () => rmSync(folder, { recursive: true, force: true }));
  return { pids: [], settings: { file: join(folder, 'queue.db') }, durability: 'synchronous=2', version, check };
}

/** Of an installed package of the peers. */
export function peerVersion(name: string): string {
  const manifest = join(import.meta.dirname, 'node_modules', name, 'package.json');
  return `${name} ${(JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string }).version}`;
}
