/** Addresses of stores, as people write them on a command line. */
import path from 'node:path';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import { problemsOf, settingsOf } from '../postgres/options.ts';
import { requirePackage } from '../require-package.ts';
import { sqliteDriver } from '../sqlite/driver-choice.ts';
import { postgresPlace } from './postgres-place.ts';
import type { Place } from './side.ts';
import { sqlitePlace } from './sqlite-place.ts';

export interface PlacesDeps {
  /** Relative files are resolved against it. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
}

const WANTED = 'sqlite:FILE, postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME, or env:VARIABLE with one of these in it';

/**
 * The place that an address names; nothing is opened. Fails with `AC_USAGE`, which reveals no password, and with `AC_PACKAGE_MISSING`.
 * `option`: where it was given.
 */
export async function placeAt(option: string, address: string, deps: PlacesDeps): Promise<Place> {
  if (address.startsWith('env:')) return placeInVariable(option, address.slice('env:'.length), deps);
  if (address.startsWith('sqlite:')) {
    const file = address.slice('sqlite:'.length);
    if (file === '' || file.includes('\0')) throw wrong(option, 'found no file name after sqlite:');
    await requirePackage('sqlite', 'knex', '3', () => import('knex'));
    return sqlitePlace({ driver: await sqliteDriver(), file: path.resolve(deps.cwd, file), log: deps.log });
  }
  // A `postgres:` before an address that already begins like that is ignored.
  const url = address.replace(/^postgres:(?=postgres(ql)?:)/, '');
  if (!/^postgres(ql)?:/.test(url)) throw wrong(option, 'found neither');
  await requirePackage('postgres', 'pg', '8', () => import('pg'));
  return postgresPlace({ settings: postgresSettings(option, url), clock: deps.clock, log: deps.log });
}

function placeInVariable(option: string, name: string, deps: PlacesDeps): Promise<Place> {
  const address = deps.env[name];
  if (address === undefined || address === '' || address.startsWith('env:'))
    throw wrong(option, `found no address in the variable ${JSON.stringify(name)}`);
  return placeAt(`${option} (${name})`, address, deps);
}

function postgresSettings(option: string, address: string): ReturnType<typeof settingsOf> {
  if (!URL.canParse(address))
    throw wrong(option, 'found an address of Postgres that cannot be read (@, : and / in a password are written %40, %3A and %2F)');
  const url = new URL(address);
  const schema = url.searchParams.get('schema') ?? undefined;
  url.searchParams.delete('schema');
  const options = { url: url.href, schema };
  const [problem] = problemsOf(schema === undefined ? { url: url.href } : options);
  if (problem !== undefined)
    throw wrong(
      option,
      problem.path === 'url' ? 'found an address of Postgres that cannot be read' : `its ${problem.path}: ${problem.message}`,
    );
  return settingsOf(options);
}

const wrong = (option: string, found: string): AgentcomError =>
  new AgentcomError('AC_USAGE', `Cannot read ${option}: expected ${WANTED}; ${found}.`);
