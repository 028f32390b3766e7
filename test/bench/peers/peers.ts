/**
 * AgentCom compared with other queues: `npm run bench:peers -- [--only NAME,NAME] [--quick] …`; test/bench/README.md
 * describes each scenario.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { say, writeFigures } from '../../chaos/rig/chaos-figures.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { readOrExit } from '../../rig/script-options.ts';
import { environment, printEnvironment } from '../rig/environment.ts';
import { writePeers } from '../rig/page.ts';
import { HOTTEST, readProfiles, printThread } from '../rig/profiler.ts';
import { peerVersion } from './contestants.ts';
import { runOnce, type RunFound } from './peer-run.ts';
import { readPeersOptions, type PeersOptions } from './peers-options.ts';
import { failedRuns, peerTable, type FailedRuns, type Figures, type PeerResult } from './peer-table.ts';
import { redisVersion } from './redis-server.ts';

const HERE = import.meta.dirname;
const PROCESSES = ['submitter', 'worker', 'hub'] as const;

// Servers that this process started end with it.
process.once('SIGTERM', () => process.exit(143));

await measure(
  readOrExit(() => {
    const options = readPeersOptions(process.argv.slice(2));
    requireNode(options);
    requireServers(options);
    installPeers(options);
    return options;
  }),
);

/** Native code that was built for another Node crashes the process that loads it. */
function requireNode({ contestants }: PeersOptions): void {
  const major = Number(process.versions.node.split('.')[0]);
  for (const { name, nodeMin = 0 } of contestants)
    if (major < nodeMin) throw new Error(`${name} needs Node ${nodeMin} or later, and this is ${process.version}: choose others by --only`);
}

/** Before anything is measured. */
function requireServers({ contestants }: PeersOptions): void {
  if (contestants.some(({ store }) => store === 'redis')) redisVersion();
  const isGiven = (process.env['AGENTCOM_TEST_DATABASE_URL'] ?? '') !== '';
  if (isGiven && contestants.some(({ store }) => store === 'postgres'))
    throw new Error('AGENTCOM_TEST_DATABASE_URL is set, but each run needs a new Postgres server of its own: unset it');
}

/** As package-lock.json says, from the registry. */
function installPeers({ contestants }: PeersOptions): void {
  if (contestants.every(({ packages }) => packages.length === 0) || existsSync(join(HERE, 'node_modules/.package-lock.json'))) return;
  say('installing the other queues: npm ci, in test/bench/peers');
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: HERE, stdio: 'inherit' });
}

async function measure({ contestants, scenarios, runs, isQuick, warmUpMs, isWrite, cpuProf }: PeersOptions): Promise<void> {
  const here = { ...environment(), loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10 };
  printEnvironment(here);
  const tree = builtTree();
  const results = new Map<string, PeerResult & { readonly runs: Figures[] }>();
  const settings = new Map<string, { readonly contestant: string; readonly store: string; readonly worker: string }>();
  const failed = new Map<string, FailedRuns>();
  const beganMs = performance.now();
  // Round by round, so that changes of the machine's speed affect all of them alike.
  for (let nth = 1; nth <= runs; nth += 1) {
    for (const contestant of contestants) {
      const { name, isOurs, isYardstick, worker, packages } = contestant;
      const profiles = cpuProf === null ? null : join(cpuProf, `${name}-${nth}`);
      const run = await runOnce(contestant, { tree, scenarios, isQuick, warmUpMs, profiles }).catch((thrown: unknown) => {
        const error = messageOf(thrown);
        process.stderr.write(`${name}: run ${nth} failed: ${error}\n`);
        failed.set(name, { contestant: name, error, runs: (failed.get(name)?.runs ?? 0) + 1 });
        return null;
      });
      if (run === null) continue;
      if (profiles !== null) printHottest(name, profiles, run.found);
      settings.set(name, { contestant: name, store: [run.version, ...packages.map(peerVersion), run.durability].join(', '), worker });
      for (const { scenario, n, figures } of run.found) {
        const key = `${name}: ${scenario}`;
        const result = results.get(key) ?? { contestant: name, isOurs, isYardstick, scenario, n, runs: [] };
        result.runs.push(figures);
        results.set(key, result);
      }
    }
  }
  const all = [...results.values()];
  say(`\n${peerTable(all)}\n`);
  for (const { contestant, store, worker } of settings.values()) say(`${contestant}: ${store}; ${worker}`);
  const seconds = Math.round((performance.now() - beganMs) / 1_000);
  say(`in ${seconds} s`);
  const failures = [...failed.values()];
  if (failures.length > 0) {
    process.exitCode = 1;
    say(failedRuns(failures));
  }
  if (!isWrite) return;
  if (contestants.some(({ name, isOurs, isYardstick }) => failed.has(name) && (isOurs || isYardstick === true)))
    return say('Nothing is stored: a run of AgentCom or of a yardstick failed.');
  const kept = { seconds, warmUpSeconds: warmUpMs / 1_000, environment: here, settings: [...settings.values()], failures, results: all };
  writeFigures('bench-peers', true, kept, 'bench:peers');
  writePeers();
}

/** Of each process, in each scenario. */
function printHottest(name: string, profiles: string, found: RunFound['found']): void {
  for (const { scenario, window } of found) {
    for (const process of PROCESSES) {
      const folder = join(profiles, process);
      if (!existsSync(folder)) continue;
      const [thread] = readProfiles(folder, HOTTEST, { fromUs: window.fromMs * 1_000, toUs: window.toMs * 1_000 }).threads;
      if (thread === undefined || thread.busyMs === 0) continue;
      say(`\n${name}: ${scenario}: the ${process}`);
      printThread(thread, say);
    }
  }
}
