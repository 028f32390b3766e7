/**
 * A Postgres server for a test file: its own in a temporary folder, or the one that AGENTCOM_TEST_DATABASE_URL names.
 * Stores in it are separated by schema.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { embeddedPostgres, embeddedPostgresUrl } from '../../../apps/quickstart/embedded-postgres.ts';

export interface PostgresServer {
  /** Names a database with a user who has all rights in it. */
  readonly url: string;
  /** Starts and stops it; null for an external server. */
  readonly power: PostgresPower | null;
  /** Queries it as another program would, on a separate connection. */
  ask(sql: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Polls until the `answer` to the question is true: something that the server does in its own time. */
  until(question: string): Promise<void>;
  /** A connection of another program that stays until its `end`. */
  session(): Promise<Pick<PostgresServer, 'ask' | 'end'>>;
  /** Ends it and removes its folder. */
  end(): Promise<void>;
}

export interface PostgresPower {
  start(): Promise<void>;
  /** Ends all connections and stops. */
  stop(): Promise<void>;
  /** Stops as in a crash: without a checkpoint. */
  crash(): Promise<void>;
}

/** `flags`: settings of our own server, such as `-c fsync=off`. */
export async function postgresServer(flags: readonly string[] = FAST): Promise<PostgresServer> {
  const given = process.env['AGENTCOM_TEST_DATABASE_URL'];
  return given === undefined || given === '' ? ownServer(flags) : { ...programs(given), power: null, end: async () => undefined };
}

/** Nothing here survives the machine, and the tests kill processes, not the machine. */
const FAST = ['-c', 'fsync=off'];
const PASSWORD = 'p@ss/word:for tests';
const ROOT = path.resolve(import.meta.dirname, '../../..');
/** Emptied now and then by the process that compiles the tests. */
const CACHE = path.join(ROOT, '.built');

async function ownServer(flags: readonly string[]): Promise<PostgresServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'agentcom-postgres-'));
  // A root user's server runs as another user, who must have access to its data.
  await chmod(folder, 0o755);
  const data = path.join(folder, 'data');
  const port = await freePort();
  const lines: string[] = [];
  const server = await embeddedPostgres({ dataDir: data, port, password: PASSWORD, flags, say: (text) => lines.push(text) });
  let isRunning = false;
  const power: PostgresPower = {
    async start() {
      try {
        await server.start();
      } catch (thrown) {
        throw new Error(`Postgres did not start: ${lines.slice(-5).join('')}`, { cause: thrown });
      }
      isRunning = true;
    },
    async stop() {
      if (isRunning) await server.stop();
      isRunning = false;
    },
    async crash() {
      const pid = Number((await readFile(path.join(data, 'postmaster.pid'), 'utf8')).split('\n')[0]);
      process.kill(pid, 'SIGQUIT');
      while (isAlive(pid)) await new Promise(setImmediate);
      isRunning = false;
    },
  };
  try {
    await newData(data, () => server.initialise());
    await power.start();
  } catch (thrown) {
    await rm(folder, { recursive: true, force: true });
    throw thrown;
  }
  const url = embeddedPostgresUrl({ port, password: PASSWORD });
  return {
    ...programs(url),
    power,
    async end() {
      await power.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The data of a server that never ran, copied from what the first such test made: making it takes longer than most tests. */
async function newData(data: string, initialise: () => Promise<void>): Promise<void> {
  // It is owned by a user other than root, and stays so.
  const copy = (from: string, to: string): Promise<unknown> => promisify(execFile)('cp', ['-a', from, to]);
  if (process.platform === 'win32') return initialise();
  const packages = await readFile(path.join(ROOT, 'package-lock.json'));
  const kept = path.join(CACHE, `postgres-${createHash('sha256').update(packages).digest('hex').slice(0, 12)}`);
  if (existsSync(kept)) return void (await copy(kept, data));
  await initialise();
  await mkdir(CACHE, { recursive: true });
  const making = await mkdtemp(path.join(CACHE, 'making-'));
  await copy(data, path.join(making, 'data'));
  try {
    await rename(path.join(making, 'data'), kept);
  } catch (thrown) {
    // Another process has made it meanwhile.
    if (!existsSync(kept)) throw thrown;
  }
  await rm(making, { recursive: true, force: true });
}

/** Other programs in the database. */
export function programs(url: string): Pick<PostgresServer, 'url' | 'ask' | 'until' | 'session'> {
  const session: PostgresServer['session'] = async () => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return {
      ask: async (sql, values) => (await client.query<Record<string, unknown>>(sql, values === undefined ? undefined : [...values])).rows,
      end: () => client.end(),
    };
  };
  const ask: PostgresServer['ask'] = async (sql, values) => {
    const program = await session();
    try {
      return await program.ask(sql, values);
    } finally {
      await program.end();
    }
  };
  const until: PostgresServer['until'] = async (question) => {
    while ((await ask(question))[0]?.['answer'] !== true) await new Promise(setImmediate);
  };
  return { url, ask, until, session };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return port;
}
