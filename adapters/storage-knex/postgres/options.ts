/** The options of Postgres as storage, and how they are validated. */
import { Type, type Static } from 'typebox';
import type { ConfigProblem } from '../../../core/config/config.ts';
import { notAnObject } from '../../../core/config/options-object.ts';
import { schemaProblems } from '../../../core/config/schema-problems.ts';

const MS_MAX = 2_147_483_647;
const PORT_MAX = 65_535;

const milliseconds = (leastMs: number) =>
  Type.Optional(Type.Integer({ minimum: leastMs, maximum: MS_MAX, description: `whole milliseconds from ${leastMs} to ${MS_MAX}` }));

/** The schema of the options of `postgres()`, with the wording of their errors. */
export const POSTGRES_SCHEMA = Type.Object({
  /** `postgres://user:password@host:5432/database`, with `?sslmode=…` and the like if needed. Never printed with its password. */
  url: Type.String({
    pattern: '^postgres(ql)?://[^\\s\\u0000]+$',
    description: 'an address such as postgres://user:password@host:5432/database',
    writeOnly: true,
  }),
  /** The schema of its tables, created if missing. Two stores in one database need different schemas. Default `agentcom`. */
  schema: Type.Optional(
    Type.String({
      pattern: '^(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}$',
      description: 'a name of lowercase letters, digits and _ that is not one of the server (pg_…, information_schema)',
    }),
  ),
  /** Connections of this hub, one of them for writing. Default 8. */
  poolMax: Type.Optional(Type.Integer({ minimum: 2, maximum: 1_000, description: 'a whole number from 2 to 1000' })),
  /** How long to wait for a connection. Default 5,000. */
  connectWithinMs: milliseconds(1),
  /** How long a statement of a commit may take before the server stops it. Default 15,000. */
  statementTimeoutMs: milliseconds(1),
  /** How long a statement of a read may take. Default 5,000. */
  readTimeoutMs: milliseconds(1),
  /** How long a statement waits for the locks of others; no longer than a statement may take. Default 5,000. */
  lockTimeoutMs: milliseconds(1),
  /** How long a transaction may be idle before the server ends it and releases its locks. Default 5,000. */
  idleInTransactionMs: milliseconds(1),
});

/** Options of `postgres()`. Times are milliseconds; what is left out has the default that docs/configuration.md names. */
export type PostgresOptions = { readonly [Key in keyof Static<typeof POSTGRES_SCHEMA>]: Static<typeof POSTGRES_SCHEMA>[Key] | (Key extends 'url' ? never : undefined) }; // prettier-ignore

/** Every option, set. */
export type PostgresSettings = { readonly [Key in keyof PostgresOptions]-?: Exclude<PostgresOptions[Key], undefined> };

const DEFAULTS = {
  schema: 'agentcom',
  poolMax: 8,
  connectWithinMs: 5_000,
  statementTimeoutMs: 15_000,
  readTimeoutMs: 5_000,
  lockTimeoutMs: 5_000,
  idleInTransactionMs: 5_000,
} satisfies Omit<PostgresSettings, 'url'>;

/** The options with the defaults filled in. */
export function settingsOf(options: PostgresOptions): PostgresSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...(Object.fromEntries(given) as PostgresOptions) } as PostgresSettings;
}

/** Every mistake in options that come from a config. */
export function problemsOf(options: unknown): readonly ConfigProblem[] {
  const given = options ?? {};
  const [problem] = notAnObject(given);
  if (problem !== undefined) return [problem];
  const problems = schemaProblems(POSTGRES_SCHEMA, given, '');
  if (problems.length > 0) return problems;
  const settings = settingsOf(given as PostgresOptions);
  if (!isReadable(settings.url)) return [{ path: 'url', message: 'expected an address such as postgres://user:password@host:5432/database, found one that cannot be read' }]; // prettier-ignore
  if (settings.lockTimeoutMs > settings.statementTimeoutMs)
    return [{ path: 'lockTimeoutMs', message: `expected at most statementTimeoutMs (${settings.statementTimeoutMs}), found ${settings.lockTimeoutMs}` }]; // prettier-ignore
  return [];
}

/** Whether the name of the database can be decoded, and a port in the query is one: the package pg never ends with one that is not. */
function isReadable(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { pathname, searchParams } = new URL(address);
  const port = searchParams.get('port') ?? '';
  if (port !== '' && !(/^\d+$/.test(port) && Number(port) <= PORT_MAX)) return false;
  try {
    decodeURIComponent(pathname);
    return true;
  } catch {
    return false;
  }
}

/** The server and database as they are shown to people: without user, password and whatever else the address has. */
export function placeOf({ url, schema }: Pick<PostgresSettings, 'url' | 'schema'>): string {
  const { host, pathname, searchParams } = new URL(url);
  const server = host === '' ? (searchParams.get('host') ?? 'this machine') : host;
  return `database "${decodeURIComponent(pathname.slice(1))}" (schema ${schema}) on ${server}`;
}

/** The address as it is shown to people. */
export function shownUrl(url: unknown): unknown {
  if (typeof url !== 'string' || !URL.canParse(url)) return '(hidden)';
  const shown = new URL(url);
  if (shown.password !== '') shown.password = 'hidden';
  shown.search = '';
  return shown.href;
}
