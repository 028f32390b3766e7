/** How fast it is, measured: `npm run bench -- [--only NAME] [--quick] [--json] …`; test/bench/README.md tells what each scenario does. */
import { mkdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { withEnds } from '../chaos/rig/figures.ts';
import { postgresServer, type PostgresServer } from '../adapters/postgres-server.ts';
import { builtTree } from '../rig/built-tree.ts';
import { environment, sayEnvironment } from './rig/environment.ts';
import { isDefault, type Bench, type Scenario } from './rig/bench.ts';
import { readBenchOptions } from './rig/options.ts';
import { readProfiles } from './rig/profile.ts';
import { lineOf, median, round, type Result } from './rig/result.ts';
import { lifecycle } from './scenarios/lifecycle.ts';
import { limits } from './scenarios/limits.ts';
import { submit } from './scenarios/submit.ts';

const SCENARIOS: readonly Scenario[] = [limits, submit, lifecycle];
const RUNS = { default: 5, others: 2, quick: 2 };
const HOTTEST = 10;

const options = readBenchOptions(SCENARIOS.map(({ name }) => name));
const { isJson, isQuick } = options;
const say = (text: string): void => {
  if (!isJson) process.stdout.write(`${text}\n`);
};
const here = { ...environment(), loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10 };
if (!isJson) sayEnvironment(here);
const profileDir = options.profile === null ? null : resolve(options.profile);
if (profileDir !== null) mkdirSync(profileDir, { recursive: true });

const results: Result[] = [];
const beganMs = performance.now();
await withEnds(async (end) => {
  let postgres: Promise<PostgresServer> | null = null;
  const bench: Bench = {
    tree: builtTree(),
    isQuick,
    isLong: options.isLong,
    pairs: options.pairs,
    wants: (what) => what.includes(options.what),
    runsOf: (pair) => (isQuick ? RUNS.quick : isDefault(pair) ? RUNS.default : RUNS.others),
    profileDir,
    limits: new Map(),
    postgresOf: async ({ storage }) => {
      if (storage !== 'postgres') return null;
      if (postgres === null) {
        postgres = postgresServer([]);
        end.teardown(async () => (await postgres)?.end());
      }
      return postgres;
    },
    tell(result) {
      results.push(result);
      if (isJson) process.stdout.write(`${JSON.stringify({ ...result, median: median(result.runs), environment: here })}\n`);
      else say(lineOf(result));
    },
    say,
  };
  for (const scenario of SCENARIOS) if (options.scenarios.includes(scenario.name)) await scenario.run(bench);
});
say(`in ${Math.round((performance.now() - beganMs) / 1_000)} s`);
if (profileDir !== null) sayProfile(profileDir);

function sayProfile(folder: string): void {
  for (const { file, busyMs, idleMs, hottest } of readProfiles(folder, HOTTEST).threads) {
    say(`\n${join(folder, file)}: busy ${Math.round(busyMs)} ms, idle ${Math.round(idleMs)} ms`);
    for (const { what, share, selfMs } of hottest) say(`  ${round(share * 100).padStart(5)} %  ${Math.round(selfMs)} ms  ${what}`);
  }
}
