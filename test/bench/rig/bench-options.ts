/** The command line of the benchmark. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { requireKnown } from '../../apps/adapters-under-test.ts';
import { STORAGES, TRANSPORTS } from '../../../apps/quickstart/config-text.ts';
import { DEFAULT_PAIR, isDefault } from './bench-rig.ts';
import { DOCS } from './page.ts';
import type { Pair } from './result.ts';

export interface BenchOptions {
  readonly scenarios: readonly string[];
  readonly pairs: readonly Pair[];
  readonly isQuick: boolean;
  readonly isLong: boolean;
  readonly isJson: boolean;
  /** Fails if a figure has drifted from its stored ratio. */
  readonly isCheck: boolean;
  /** Stores the ratios of this run. */
  readonly keepsRatios: boolean;
  /** Only regenerates the page from what was stored. */
  readonly isPage: boolean;
  /** Where results, page and pictures are stored, a folder like `docs`; null: nowhere, since the run is smaller than its figures. */
  readonly into: string | null;
  /** Only figures whose name contains this. */
  readonly what: string;
  /** Instead of the sizes of `backlog` and `history`. */
  readonly sizes: readonly number[] | null;
  /** A folder for each program's raw profiles. */
  readonly cpuProf: string | null;
}

/** A quick run skips these unless they are requested. */
const SLOW = ['history', 'agents', 'neighbours', 'removal', 'profile', 'budget', 'allocations'];

/** Fails with a message that says what is wrong with it. `limits` always runs: every figure is related to it. */
export function readBenchOptions(known: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      storage: { type: 'string' },
      transport: { type: 'string' },
      what: { type: 'string', default: '' },
      sizes: { type: 'string' },
      'cpu-prof': { type: 'string' },
      profile: { type: 'boolean', default: false },
      budget: { type: 'boolean', default: false },
      allocations: { type: 'boolean', default: false },
      into: { type: 'string' },
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      'keep-ratios': { type: 'boolean', default: false },
      page: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usageOf(known));
    process.exit(0);
  }
  const parts = (['profile', 'budget', 'allocations'] as const).filter((name) => values[name]);
  const only = parts.length > 0 ? parts : values.only;
  for (const name of only ?? []) requireKnown('--only', name, known);
  if (values.storage !== undefined) requireKnown('--storage', values.storage, Object.keys(STORAGES));
  if (values.transport !== undefined) requireKnown('--transport', values.transport, Object.keys(TRANSPORTS));
  const isPairGiven = values.storage !== undefined || values.transport !== undefined;
  const all = Object.keys(STORAGES).flatMap((storage) => Object.keys(TRANSPORTS).map((transport) => ({ storage, transport })));
  const pairs = all.filter(
    ({ storage, transport }) => storage === (values.storage ?? storage) && transport === (values.transport ?? transport),
  );
  const isFull = !values.quick && only === undefined && values.sizes === undefined && !isPairGiven && values.what === '';
  const isKept = isFull || parts.length > 0 || values.page;
  return {
    scenarios:
      parts.length > 0 ? parts : only === undefined ? known.filter((name) => !values.quick || !SLOW.includes(name)) : ['limits', ...only],
    // A quick run shows whether something is wrong; it has no time for all of them.
    pairs: isPairGiven ? pairs : values.quick ? [DEFAULT_PAIR] : [DEFAULT_PAIR, ...all.filter((pair) => !isDefault(pair))],
    isQuick: values.quick,
    isLong: values.long,
    isJson: values.json,
    isCheck: values.check,
    keepsRatios: values['keep-ratios'],
    isPage: values.page,
    into: values.into === undefined ? (isKept ? DOCS : null) : resolve(values.into),
    what: values.what,
    sizes: values.sizes === undefined ? null : sizesIn(values.sizes),
    cpuProf: values['cpu-prof'] === undefined ? null : resolve(values['cpu-prof']),
  };
}

const usageOf = (known: readonly string[]): string => `npm run bench -- [options]

Measures how fast the hub and the sidecar are. Without options: everything, about 40 minutes, into docs/performance.md.

  --only NAME        this scenario; several times for several: ${known.join(', ')}
  --what TEXT        only figures whose name contains this text
  --sizes N,N        these numbers of waiting tasks (backlog, restart, flat), of past tasks (history, removal) or of agents (agents)
  --storage NAME     ${Object.keys(STORAGES).join(' or ')}
  --transport NAME   ${Object.keys(TRANSPORTS).join(' or ')}
  --quick            small, under 2 minutes
  --long             with ten million
  --check            fails if a figure is 2.5 times as far from its limit as in test/bench/stored-ratios.json
  --keep-ratios      stores the ratios of this run there
  --json             one line for each result, and nothing else
  --profile          only where the hub's time goes, into the page
  --budget           only the CPU time that each stage of a task may take and does take, into the page
  --allocations      only the bytes that each stage of a task allocates in the hub, into the page
  --cpu-prof DIR     writes the hub's profiles there
  --into DIR         stores the measurements there
  --page             measures nothing; rewrites the page from stored measurements

test/bench/README.md says what each scenario does and how to read a result.
`;

function sizesIn(text: string): readonly number[] {
  const sizes = text.split(',').map(Number);
  if (sizes.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new Error(`--sizes ${text}: expected numbers from 1, with commas between`);
  return sizes.toSorted((a, b) => a - b);
}
