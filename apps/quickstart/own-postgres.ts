/**
 * The quickstart's Postgres server: a separate program, like the hub, so that Ctrl-C in a terminal, which goes to the whole process
 * group, does not stop the database while the hub is still stopping agents.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { POSTGRES_COMMAND } from './child-programs.ts';
import { embeddedPostgres, embeddedPostgresUrl, requireEmbeddedPostgres } from './embedded-postgres.ts';

const PLACE = 'AGENTCOM_QUICKSTART_POSTGRES';

interface PostgresPlace {
  readonly dataDir: string;
  readonly port: number;
  readonly password: string;
}

export interface OwnPostgres {
  readonly url: string;
  /** Passes the program the folder and port to run on. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether its data stays in the quickstart's folder. */
  readonly isKept: boolean;
  /** Removes what does not stay, once the program has ended. */
  clear(): Promise<void>;
}

/** Chooses where it will run; starts nothing. Fails with `AC_PACKAGE_MISSING` if it could not run. */
export async function ownPostgres(folder: string, port: number): Promise<OwnPostgres> {
  requireEmbeddedPostgres();
  // Postgres refuses to run as root. The user that it then runs as may not have access to the folder of root.
  const elsewhere = process.getuid?.() === 0 ? await mkdtemp(join(tmpdir(), 'agentcom-quickstart-')) : null;
  if (elsewhere !== null) await chmod(elsewhere, 0o711);
  const place: PostgresPlace = { dataDir: join(elsewhere ?? folder, 'postgres'), port, password: randomBytes(16).toString('hex') };
  return {
    url: embeddedPostgresUrl(place),
    env: { [PLACE]: JSON.stringify(place) },
    isKept: elsewhere === null,
    clear: async () => (elsewhere === null ? undefined : rm(elsewhere, { recursive: true, force: true })),
  };
}

/** The program: prints on standard output that it is ready, and runs until SIGTERM, on which the package stops it. */
export async function runOwnPostgres(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const place = environment[PLACE];
  if (place === undefined)
    throw new AgentcomError('AC_USAGE', `agentcom ${POSTGRES_COMMAND} is started by \`agentcom quickstart --storage postgres\`. Run that.`);
  const server = await embeddedPostgres({ ...(JSON.parse(place) as PostgresPlace), say: (text) => process.stderr.write(`${text.trimEnd()}\n`) }); // prettier-ignore
  await server.initialise();
  await server.start();
  process.stdout.write(`agentcom ${POSTGRES_COMMAND} ready\n`);
}
