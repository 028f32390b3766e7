/** The command line of the benchmark. */
import { parseArgs } from 'node:util';
import { requireKnown } from '../../apps/adapters-under-test.ts';
import { STORAGES, TRANSPORTS } from '../../../apps/quickstart/config-text.ts';
import { DEFAULT_PAIR, isDefault } from './bench.ts';
import type { Pair } from './result.ts';

export interface BenchOptions {
  readonly scenarios: readonly string[];
  readonly pairs: readonly Pair[];
  readonly isQuick: boolean;
  readonly isLong: boolean;
  readonly isJson: boolean;
  /** Fails when a figure has drifted away from its stored ratio. */
  readonly isCheck: boolean;
  /** Stores the ratios of this run. */
  readonly keepsRatios: boolean;
  /** Only writes the page anew from what was kept. */
  readonly isPage: boolean;
  /** Everything, on all pairs: what is kept. */
  readonly isFull: boolean;
  /** Only figures in whose names this stands. */
  readonly what: string;
  /** Instead of those that `backlog` and `history` go through. */
  readonly sizes: readonly number[] | null;
  /** A folder. */
  readonly profile: string | null;
}

/** A quick run has no time for these unless they are asked for. */
const SLOW = ['history'];

/** Fails naming what is wrong with it. `limits` always runs: every figure is measured by it. */
export function readBenchOptions(known: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      storage: { type: 'string' },
      transport: { type: 'string' },
      what: { type: 'string', default: '' },
      sizes: { type: 'string' },
      profile: { type: 'string' },
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      'keep-ratios': { type: 'boolean', default: false },
      page: { type: 'boolean', default: false },
    },
  });
  for (const name of values.only ?? []) requireKnown('--only', name, known);
  if (values.storage !== undefined) requireKnown('--storage', values.storage, Object.keys(STORAGES));
  if (values.transport !== undefined) requireKnown('--transport', values.transport, Object.keys(TRANSPORTS));
  const asked = values.storage !== undefined || values.transport !== undefined;
  const all = Object.keys(STORAGES).flatMap((storage) => Object.keys(TRANSPORTS).map((transport) => ({ storage, transport })));
  const pairs = all.filter(
    ({ storage, transport }) => storage === (values.storage ?? storage) && transport === (values.transport ?? transport),
  );
  return {
    scenarios: values.only === undefined ? known.filter((name) => !values.quick || !SLOW.includes(name)) : ['limits', ...values.only],
    // A quick run says whether something is wrong; it has no time for all of them.
    pairs: asked ? pairs : values.quick ? [DEFAULT_PAIR] : [DEFAULT_PAIR, ...all.filter((pair) => !isDefault(pair))],
    isQuick: values.quick,
    isLong: values.long,
    isJson: values.json,
    isCheck: values.check,
    keepsRatios: values['keep-ratios'],
    isPage: values.page,
    isFull: !values.quick && values.only === undefined && values.sizes === undefined && !asked && values.what === '',
    what: values.what,
    sizes: values.sizes === undefined ? null : sizesIn(values.sizes),
    profile: values.profile ?? null,
  };
}

function sizesIn(text: string): readonly number[] {
  const sizes = text.split(',').map(Number);
  if (sizes.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new Error(`--sizes ${text}: wanted numbers from 1, with commas between`);
  return sizes.toSorted((a, b) => a - b);
}
