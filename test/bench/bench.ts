/** Performance measurements: `npm run bench -- [--only NAME] [--quick] [--json] …`; test/bench/README.md describes each scenario. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { loadUws } from '../../adapters/transport-uws/uws-package.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import { withEnds, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { progressBar } from '../chaos/rig/progress-bar.ts';
import { postgresServer, type PostgresServer } from '../adapters/storage-places/postgres-server.ts';
import { builtTree } from '../rig/built-tree.ts';
import { readOrExit } from '../rig/script-options.ts';
import { allocationLines, type Allocations } from './rig/allocations.ts';
import { drifted, readStored, storeRatios } from './rig/check-targets.ts';
import { environment, printEnvironment } from './rig/environment.ts';
import { isDefault, type Bench, type Scenario } from './rig/bench-rig.ts';
import { readBenchOptions, type BenchOptions } from './rig/bench-options.ts';
import { budgetJson, budgetLines } from './rig/budget-table.ts';
import { FLAME_GRAPH, writePage } from './rig/page.ts';
import { printProfiles, type KeptProfile } from './rig/profiler.ts';
import { lineOf, median, type Pair, type Result } from './rig/result.ts';
import type { StageTimes } from './rig/stage-times.ts';
import { agents } from './scenarios/agents-scenario.ts';
import { allocations } from './scenarios/allocations-scenario.ts';
import { backlog } from './scenarios/backlog-scenario.ts';
import { budget } from './scenarios/budget-scenario.ts';
import { commits } from './scenarios/commits-scenario.ts';
import { connections } from './scenarios/connections-scenario.ts';
import { history } from './scenarios/history-scenario.ts';
import { journal } from './scenarios/journal-scenario.ts';
import { latency } from './scenarios/latency-scenario.ts';
import { lifecycle } from './scenarios/lifecycle-scenario.ts';
import { limits } from './scenarios/limits-scenario.ts';
import { neighbours } from './scenarios/neighbours-scenario.ts';
import { profile } from './scenarios/profile-scenario.ts';
import { removal } from './scenarios/removal-scenario.ts';
import { sidecar } from './scenarios/sidecar-scenario.ts';
import { submit } from './scenarios/submit-scenario.ts';

const SCENARIOS: readonly Scenario[] = [
  limits,
  submit,
  lifecycle,
  commits,
  latency,
  backlog,
  history,
  agents,
  connections,
  sidecar,
  journal,
  neighbours,
  removal,
  profile,
  budget,
  allocations,
];
const RUNS = { default: 5, others: 2, quick: 2 };

const options = readOrExit(() => readBenchOptions(SCENARIOS.flatMap(({ names }) => names)));
if (options.isPage && options.into !== null) writePage(options.into);
else await measure(options);

async function measure({
  isQuick,
  isLong,
  isJson,
  into,
  isCheck,
  keepsRatios,
  pairs: wanted,
  scenarios,
  what: question,
  sizes,
  cpuProf,
}: BenchOptions): Promise<void> {
  const chosen = SCENARIOS.filter(({ names }) => names.some((name) => scenarios.includes(name)));
  const bar = !isJson && process.stdout.isTTY ? progressBar(chosen.length) : null;
  let done = 0;
  const showProgress = (): void => bar?.at(done, chosen[done]?.names.join(', ') ?? 'done');
  const say = (text: string): void => {
    if (isJson) return;
    process.stdout.write(bar === null ? `${text}\n` : `\r\u001b[K${text}\n`);
    showProgress();
  };
  const here = { ...environment(), loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10 };
  if (!isJson) printEnvironment(here);
  const pairs = await loadable(wanted, say);
  if (cpuProf !== null) mkdirSync(cpuProf, { recursive: true });

  const results: Result[] = [];
  const secondsOf: Record<string, number> = {};
  const notShown: Record<string, string> = {};
  const budgets: StageTimes[] = [];
  const allocated: Allocations[] = [];
  const profiled: { readonly profile: KeptProfile; readonly picture: string }[] = [];
  const beganMs = performance.now();
  await withEnds(async (end) => {
    let postgres: Promise<PostgresServer> | null = null;
    const bench: Bench = {
      tree: builtTree(),
      isQuick,
      isQuiet: isJson,
      isLong,
      sizes,
      pairs,
      isAsked: (name) => scenarios.includes(name),
      wants: (what) => what.includes(question),
      runsOf: (pair) => (isQuick ? RUNS.quick : isDefault(pair) ? RUNS.default : RUNS.others),
      profileDir: cpuProf,
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
      notShown(scenario, why) {
        notShown[scenario] = why;
        say(`${scenario}: not shown: ${why}`);
      },
      tellBudget(times) {
        budgets.push(times);
        if (isJson) process.stdout.write(`${JSON.stringify({ ...budgetJson(times), environment: here })}\n`);
        else for (const line of budgetLines(times)) say(line);
      },
      tellAllocations(those) {
        allocated.push(those);
        if (isJson) process.stdout.write(`${JSON.stringify({ scenario: 'allocations', ...those, environment: here })}\n`);
        else for (const line of allocationLines(those)) say(line);
      },
      keepProfile: (kept, picture) => void profiled.push({ profile: kept, picture }),
      say,
    };
    for (const scenario of chosen) {
      showProgress();
      const fromMs = performance.now();
      await scenario.run(bench);
      const [name, taken] = [scenario.names.filter(bench.isAsked).join(', '), (performance.now() - fromMs) / 1_000];
      secondsOf[name] = Math.round(taken);
      done += 1;
      say(`  ${name}: ${Math.round(taken)} s`);
    }
  });
  bar?.end();
  const seconds = (performance.now() - beganMs) / 1_000;
  say(`in ${Math.round(seconds)} s: ${inWords(secondsOf)}`);
  if (cpuProf !== null) printProfiles(cpuProf, say);
  if (keepsRatios) storeRatios(results, here);
  if (isCheck) {
    const drifts = drifted(results, readStored());
    for (const drift of drifts) process.stderr.write(`${drift}\n`);
    if (drifts.length > 0) process.exitCode = 1;
    else say('no figure has drifted from its stored ratio');
  }
  if (into === null || isJson) return;
  for (const { profile: kept, picture } of profiled) {
    writeFigures('bench-profile', true, { profile: kept }, 'bench', into);
    const file = join(into, FLAME_GRAPH);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, picture);
  }
  if (budgets.length > 0) writeFigures('bench-budget', true, { budgets }, 'bench', into);
  if (allocated.length > 0) writeFigures('bench-allocations', true, { allocations: allocated }, 'bench', into);
  // A profile alone leaves the other figures unchanged.
  const file = options.isLong ? 'bench-long' : 'bench';
  if (results.length > 0) writeFigures(file, true, { seconds, secondsOf, environment: here, notShown, results }, 'bench', into);
  writePage(into);
}

/** The pairs whose transport loads on this machine; `say` gets the reason why others cannot be measured. Exits if none is left. */
async function loadable(pairs: readonly Pair[], say: (text: string) => void): Promise<readonly Pair[]> {
  const others = pairs.filter(({ transport }) => transport !== 'uws');
  if (others.length === pairs.length) return pairs;
  try {
    await loadUws();
    return pairs;
  } catch (thrown) {
    if (others.length > 0) {
      say(`uws is not measured: ${messageOf(thrown)}`);
      return others;
    }
    process.stderr.write(`${messageOf(thrown)}\n`);
    return process.exit(1);
  }
}

function inWords(secondsOf: Readonly<Record<string, number>>): string {
  return Object.entries(secondsOf)
    .map(([name, taken]) => `${name} ${taken}`)
    .join(', ');
}
