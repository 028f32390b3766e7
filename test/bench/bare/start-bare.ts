/** Starts the bare servers, and checks their store once they have ended. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { checkBarePostgresStore, dropBarePostgresStore, type BarePostgresPlace } from './bare-postgres-store.ts';
import { checkBareSqliteStore } from './bare-sqlite-store.ts';

export interface StartedBare {
  readonly pids: readonly number[];
  readonly ports: readonly number[];
  readonly durability: string;
  /** Ends the servers and reads what they stored: `checkBareSqliteStore` or `checkBarePostgresStore`. */
  check(): Promise<void>;
}

/** A server's settings, as JSON. */
export type BarePlace = { readonly file: string } | BarePostgresPlace;

/** What a server reports once it listens. */
export interface BareListening {
  readonly port: number;
  /** What its connection read back. */
  readonly durability: string;
}

interface Server extends BareListening {
  readonly pid: number;
  end(): Promise<void>;
}

const FULL = 'synchronous=2';
const ALL_ON = 'synchronous_commit=on fsync=on full_page_writes=on';

/** One server with SQLite in its own folder. `profileDir`: where its CPU profile goes when it ends; null for none. */
export async function startBare(t: TestEnd, tree: BuiltTree, profileDir: string | null): Promise<StartedBare> {
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-bare-'));
  t.teardown(async () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'bare.db');
  const server = await startServer(t, tree, { file }, profileDir);
  return started([server], FULL, () => checkBareSqliteStore(file));
}

let schemas = 0;

/** This many servers on one Postgres, in their own schema. */
export async function startBarePostgres(
  t: TestEnd,
  tree: BuiltTree,
  { url, hubs }: { readonly url: string; readonly hubs: number },
  profileDir: string | null,
): Promise<StartedBare> {
  const store = { url, schema: `bare_${process.pid}_${(schemas += 1)}` };
  t.teardown(() => dropBarePostgresStore(store));
  const places = Array.from({ length: hubs }, (_, hub): BarePostgresPlace => ({ ...store, hub, isShared: hubs > 1 }));
  const servers = await Promise.all(places.map((place) => startServer(t, tree, place, profileDir)));
  return started(servers, ALL_ON, () => checkBarePostgresStore(store));
}

function started(servers: readonly Server[], wanted: string, checkStore: () => Promise<void>): StartedBare {
  for (const { durability } of servers)
    if (durability !== wanted) throw new Error(`the yardstick's connection says ${durability}, expected ${wanted}`);
  return {
    pids: servers.map(({ pid }) => pid),
    ports: servers.map(({ port }) => port),
    durability: wanted,
    async check() {
      for (const server of servers) await server.end();
      await checkStore();
    },
  };
}

/** The server that only answers heartbeats. */
export async function startBareHeartbeats(
  t: TestEnd,
  tree: BuiltTree,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly pid: number; readonly port: number }> {
  const { pid, told: port } = await startProgram<number>(t, tree.compiled('test/bench/bare/bare-heartbeats.ts'), { env });
  return { pid, port };
}

async function startServer(t: TestEnd, tree: BuiltTree, place: BarePlace, profileDir: string | null): Promise<Server> {
  const { child, pid, exited, told } = await startProgram<BareListening>(t, tree.compiled('test/bench/bare/bare-server.ts'), {
    args: [JSON.stringify(place)],
    execArgv: profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
  });
  return {
    ...told,
    pid,
    async end() {
      child.disconnect();
      const [code] = await exited;
      if (code !== 0) throw new Error(`the yardstick's server ended with ${String(code)}`);
    },
  };
}

type Exited = [code: number | null, signal: NodeJS.Signals | null];

/** Resolves with the first message of the program, which it sends once it listens. */
async function startProgram<Told>(
  t: TestEnd,
  file: string,
  {
    args = [],
    execArgv = [],
    env = {},
  }: { readonly args?: readonly string[]; readonly execArgv?: string[]; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<{ readonly child: ChildProcess; readonly pid: number; readonly exited: Promise<Exited>; readonly told: Told }> {
  const child = fork(file, args, { execArgv, env: { ...process.env, ...env } });
  const exited = once(child, 'exit') as Promise<Exited>;
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const first = await Promise.race([
    once(child, 'message').then(([told]) => ({ told: told as Told })),
    exited.then(([code, signal]) => ({ end: code ?? signal })),
  ]);
  if ('end' in first) throw new Error(`the yardstick's server did not start: it ended with ${String(first.end)}`);
  return { child, pid: child.pid ?? 0, exited, told: first.told };
}
