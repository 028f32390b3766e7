/** The command line of `npm run bench:peers`. */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { requireKnown } from '../../apps/adapters-under-test.ts';
import { CONTESTANTS, type Contestant } from './contestants.ts';
import { PEER_SCENARIOS } from './peer-scenarios.ts';

export interface PeersOptions {
  readonly contestants: readonly Contestant[];
  readonly scenarios: readonly string[];
  readonly runs: number;
  readonly isQuick: boolean;
  /** How long each scenario runs before it is measured. */
  readonly warmUpMs: number;
  /** Stores the measurements and regenerates the page. */
  readonly isWrite: boolean;
  /** A folder for the profiles of each process; null for none. */
  readonly cpuProf: string | null;
}

const RUNS = { default: 5, quick: 2 };
/** Queues run for weeks: long before, V8 has compiled all that they do. Seconds. */
const WARM_UP = { default: 4, quick: 0 };

const USAGE = `npm run bench:peers -- [options]

Measures AgentCom beside other queues on this machine: the same tasks, durable stores, one submitter and one worker process.
Names that begin with bare are a yardstick, not queues to use: the smallest program that does AgentCom's job.
Installs the other queues in test/bench/peers if they are missing. Needs Linux, and redis-server for BullMQ.

  --only NAME,NAME       these queues: ${CONTESTANTS.map(({ name }) => name).join(', ')}
  --scenarios NAME,NAME  these scenarios: ${Object.keys(PEER_SCENARIOS).join(', ')}
  --runs N               runs of each queue, in turn; default ${RUNS.default}
  --warm-up SECONDS      runs each scenario unmeasured for this time first, after the general warm-up of 10,000 tasks; default ${WARM_UP.default};
                         0: the figures of processes that have just been started
  --quick                small, ${RUNS.quick} runs, not warmed up: shows whether it works, not how fast anything is
  --write                stores the results in docs/results/bench-peers.json, and writes the table in docs/performance.md
  --cpu-prof DIR         writes the profiles of the submitters, workers and hubs there, and prints their hottest functions
  --help                 shows this text

test/bench/README.md describes each scenario and how to read the table.
`;

/** Fails with a message that says what is wrong with it. */
export function readPeersOptions(args: readonly string[]): PeersOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      scenarios: { type: 'string', multiple: true },
      runs: { type: 'string' },
      'warm-up': { type: 'string' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      'cpu-prof': { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  if (values.quick && values.write) throw new Error('--write keeps figures, and those of --quick are too small to keep: choose one');
  const size = values.quick ? 'quick' : 'default';
  const known = CONTESTANTS.map(({ name }) => name);
  const names = chosen('--only', values.only, known);
  const cpuProf = values['cpu-prof'] === undefined ? null : resolve(values['cpu-prof']);
  if (cpuProf !== null) mkdirSync(cpuProf, { recursive: true });
  return {
    contestants: CONTESTANTS.filter(({ name }) => names.includes(name)),
    scenarios: chosen('--scenarios', values.scenarios, Object.keys(PEER_SCENARIOS)),
    runs: values.runs === undefined ? RUNS[size] : numberIn('--runs', values.runs),
    isQuick: values.quick,
    warmUpMs: 1_000 * (values['warm-up'] === undefined ? WARM_UP[size] : numberIn('--warm-up', values['warm-up'], 0)),
    isWrite: values.write,
    cpuProf,
  };
}

/** In their usual order; all if none is named. */
function chosen(option: string, given: readonly string[] | undefined, known: readonly string[]): readonly string[] {
  const names = given?.flatMap((list) => list.split(',')) ?? known;
  for (const name of names) requireKnown(option, name, known);
  return known.filter((name) => names.includes(name));
}

function numberIn(option: string, text: string, least = 1): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < least) throw new Error(`${option} ${text}: expected a whole number from ${least}`);
  return number;
}
