/** What the machine can do without a hub, in the same run: every other figure is also given as a share of one of these. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withEnds } from '../../chaos/rig/chaos-figures.ts';
import { cpuMsOf } from '../../chaos/rig/gauges.ts';
import type { Limit } from '../load/limits-load.ts';
import type { Bench, Scenario } from '../rig/bench-rig.ts';
import { startLoad, type Done } from '../rig/load-process.ts';
import { median, type Result } from '../rig/result.ts';

/** How long each is measured, in milliseconds. */
const FULL_MS = 300;
const QUICK_MS = 200;
/** Round trips in flight at a time, as in the scenarios. */
const IN_FLIGHT = 64;
const BATCHES = [1, 64, 512];

/** The names by which other scenarios refer to a limit. */
export const LIMITS = {
  sync: 'syncs of a page',
  sqlite: (rows: number) => `SQLite, ${rows} rows a commit`,
  postgres: (rows: number) => `Postgres, ${rows} rows a commit`,
  socket: (transport: string) => `frames echoed by ${transport}`,
  http: (transport: string) => `HTTP requests echoed by ${transport === 'ws' ? 'node:http' : transport}`,
} as const;

/** The name of a limit's median time of one operation, in milliseconds. */
export const timeOf = (limit: string): string => `${limit} (ms)`;

/** The most commits that a hub's store could make, in rows per second. */
export const commitsOf = (storage: string, rows: number): string => (storage === 'sqlite' ? LIMITS.sqlite(rows) : LIMITS.postgres(rows));

export const limits: Scenario = {
  names: ['limits'],
  run: (bench) =>
    withEnds(async (end) => {
      const folder = mkdtempSync(join(tmpdir(), 'agentcom-limits-'));
      end.teardown(async () => rmSync(folder, { recursive: true, force: true }));
      const load = startLoad(end, bench.tree);
      const server = startLoad(end, bench.tree);
      const ms = bench.isQuick ? QUICK_MS : FULL_MS;
      const measure = async (
        what: string,
        work: (nth: number) => Promise<Done<Limit>>,
        of: readonly number[] = [load.pid],
      ): Promise<void> => report(bench, what, await each(bench, work, of));

      await measure(LIMITS.sync, () => load.do('syncs', { folder, ms }));
      for (const rows of BATCHES)
        await measure(LIMITS.sqlite(rows), (nth) => load.do('sqliteCommits', { folder, rows, ms, name: `limits-${rows}-${nth}.db` }));
      for (const pair of bench.pairs.filter(({ storage }) => storage === 'postgres').slice(0, 1)) {
        const url = (await bench.postgresOf(pair))?.url ?? '';
        for (const rows of BATCHES) await measure(LIMITS.postgres(rows), () => load.do('postgresCommits', { url, rows, ms }));
      }
      for (const transport of [...new Set(bench.pairs.map(({ transport }) => transport))]) {
        const { value: port } = await server.do('echo', { transport });
        await measure(LIMITS.socket(transport), () => load.do('socketTrips', { port, sockets: IN_FLIGHT, ms }), [server.pid]);
        await measure(LIMITS.http(transport), () => load.do('httpTrips', { port, connections: IN_FLIGHT, ms }), [server.pid]);
        await server.do('endEcho', undefined);
      }
    }),
};

interface LimitRun {
  readonly limit: Limit;
  readonly cpuUs: number;
}

/** `of`: whose CPU time is reported, by pid. */
async function each(bench: Bench, work: (nth: number) => Promise<Done<Limit>>, of: readonly number[]): Promise<readonly LimitRun[]> {
  const runs: LimitRun[] = [];
  for (let nth = 0; nth <= (bench.isQuick ? 2 : 5); nth += 1) {
    const cpuMs = (): number => of.reduce((total, pid) => total + cpuMsOf(pid), 0);
    const before = cpuMs();
    const { value: limit } = await work(nth);
    // The first one warms up.
    if (nth > 0) runs.push({ limit, cpuUs: ((cpuMs() - before) * 1_000) / limit.operations });
  }
  return runs;
}

function report(bench: Bench, what: string, runs: readonly LimitRun[]): void {
  const figures = runs.map(({ limit }) => limit.perSecond);
  const middle = runs.toSorted((a, b) => a.limit.perSecond - b.limit.perSecond)[Math.floor(runs.length / 2)];
  const cpuUs = median(runs.map((run) => run.cpuUs));
  const result: Result = {
    scenario: 'limits',
    what,
    unit: '/s',
    n: middle?.limit.operations ?? 0,
    runs: figures,
    times: middle?.limit.each,
    cpuUs: { all: cpuUs, of: {} },
  };
  bench.limits.set(what, median(figures));
  bench.limits.set(timeOf(what), middle?.limit.each.p50Ms ?? 0);
  bench.tell(result);
}
