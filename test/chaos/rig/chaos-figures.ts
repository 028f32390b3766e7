/** Which machine a figure was measured on, how it is printed, and where it is stored: `docs/results/<name>.json`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem, type } from 'node:os';
import { join, resolve } from 'node:path';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { refuseValue, scriptOptions } from '../../rig/script-options.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly agentcom: string;
}

export function thisMachine(): Machine {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string };
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    agentcom: version,
  };
}

export const say = (line = ''): void => void process.stdout.write(`${line}\n`);

export function printMachine(machine: Machine, store = 'SQLite, synchronous=FULL'): void {
  const { processor, cores, memoryGiB, system, node, agentcom } = machine;
  say(`${cores} × ${processor}, ${memoryGiB} GiB, ${system}; node ${node}, agentcom ${agentcom}; ${store}`);
}

/**
 * Stores what was measured, with the machine, the command line and the date; a run that is smaller than its figure requires, or of something
 * else, is not stored. `script`: the script in package.json, if it is not named after the figure. `into`: a folder other than `docs`.
 */
export function writeFigures(
  name: string,
  isFull: boolean,
  figures: Readonly<Record<string, unknown>>,
  script = name.replace('-', ':'),
  into = join(ROOT, 'docs'),
): void {
  if (!isFull) return say('not stored: the figure takes a run with the default options, or with larger numbers');
  const folder = join(into, 'results');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.json`);
  const command = `npm run ${script} -- ${process.argv.slice(2).join(' ')}`.replace(/ -- $/, '');
  writeFileSync(file, linedJson({ figure: name, command, date: new Date().toISOString(), machine: thisMachine(), ...figures }));
  say(`written to ${file}`);
}

/** JSON with one line per member, and one per item of a member that is a list of objects: short, and a diff shows what changed. */
export function linedJson(value: Readonly<Record<string, unknown>>): string {
  const listOf = (items: readonly unknown[]): string => `[\n${items.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const lines = members.map(([name, member]) => {
    const isList = Array.isArray(member) && typeof member[0] === 'object';
    return `  ${JSON.stringify(name)}: ${isList ? listOf(member) : JSON.stringify(member)}`;
  });
  return `{\n${lines.join(',\n')}\n}\n`;
}

/**
 * The numbers and texts on the command line, or their defaults, and `--seed`. Ends the process if an option is unknown, or not a number from 0
 * on where one is wanted.
 */
export function readOptions<Name extends string, Text extends string = never>(
  defaults: Readonly<Record<Name, number>>,
  texts = {} as Readonly<Record<Text, string>>,
): Record<Name, number> & Record<Text | 'seed', string> {
  const names = Object.keys(defaults) as Name[];
  const given = Object.entries<number | string>({ ...defaults, ...texts });
  const options = Object.fromEntries(given.map(([name, value]) => [name, { type: 'string' as const, default: String(value) }]));
  const values: Readonly<Record<string, string | undefined>> = scriptOptions({ ...options, seed: { type: 'string' } });
  const numbers = names.map((name) => {
    const given = values[name];
    const number = Number(given);
    if (given === undefined || !Number.isFinite(number) || number < 0) refuseValue(name, String(given), 'a number from 0');
    return [name, number];
  });
  const read = { ...values, ...Object.fromEntries(numbers), seed: values['seed'] ?? String(Date.now()) };
  return read as Record<Name, number> & Record<Text | 'seed', string>;
}

/** Runs `work`, and then the teardowns that it registered, newest first, whichever of these fail. */
export async function withEnds<T>(work: (end: { teardown(fn: () => Promise<void>): void }) => Promise<T>): Promise<T> {
  const ends: (() => Promise<void>)[] = [];
  const failures: unknown[] = [];
  const attempt = async <R>(step: () => Promise<R>): Promise<R | undefined> => {
    try {
      return await step();
    } catch (thrown) {
      failures.push(thrown);
      return undefined;
    }
  };
  const answer = await attempt(() => work({ teardown: (end) => ends.unshift(end) }));
  for (const end of ends) await attempt(end);
  if (failures.length > 1) throw new AggregateError(failures, failures.map(messageOf).join('; '));
  if (failures.length === 1) throw failures[0];
  return answer as T;
}

/** The value at this share of the sorted list, rounded to one decimal; 0 if the list is empty. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
  return value === undefined ? 0 : Math.round(value * 10) / 10;
}
