/** The targets, by the name of the result that shows whether they are reached. */
export interface Figure {
  /** `docs/results/<name>.json`. */
  readonly name: string;
  readonly wanted: string;
  /** The command of package.json that measures it. */
  readonly script: string;
}

export const FIGURES: readonly Figure[] = [
  {
    name: 'chaos',
    wanted:
      '10,000 tasks, 50 sidecars, 500 kill -9 (hub 150, sidecars 250, agents 100), 200 cuts: nothing lost, nothing recorded twice, no runs that overlap',
    script: 'chaos',
  },
  {
    name: 'chaos-pg',
    wanted:
      '3 hubs on one Postgres, 5,000 tasks, 30 restarts of it, 60 kills of hubs, 20 % of notifications lost, clocks ±10 min: the same zeros',
    script: 'chaos:pg',
  },
  { name: 'locks-pg', wanted: 'every pair of commands of two hubs on one Postgres, 10,000 interleavings: no deadlock', script: 'locks:pg' },
  { name: 'chaos-points', wanted: 'at least 60 named steps, killed at each 5 times: no violation', script: 'chaos:points' },
  { name: 'faults', wanted: 'every Nth call of store and journal failed: no violation', script: 'faults' },
  {
    name: 'chaos-cancel',
    wanted: 'cancel: signalled within 200 ms (p99), a tree of 5 that ignores TERM gone and confirmed within `killGraceMs` + 1 s',
    script: 'chaos:cancel',
  },
  {
    name: 'storm',
    wanted: '10,000 idle sidecars, hub kill -9: all identified within 15 s, hub under 1 GiB, loop p99 under 250 ms, nothing reclaimed',
    script: 'storm',
  },
  {
    name: 'recovery',
    wanted:
      '1,000,000 stored tasks: submits accepted within 3 s of kill -9; a dead agent’s task runs elsewhere within `reconnectGraceMs` + 5 s, past the quiet period',
    script: 'recovery',
  },
  {
    name: 'fuzz',
    wanted:
      '1,000,000 hostile frames, 100,000 bodies: no crash, no 500, memory back within 64 MiB, honest p99 at most twice that of the same run undisturbed',
    script: 'fuzz',
  },
  {
    name: 'fuzz-sidecar',
    wanted:
      '10,000,000 hostile values at a sidecar’s entry points (hub, files, runner, ACP, output, journal): nothing throws, each accepted within bounds or refused in bounded words, none over 1 s of CPU time, memory back within 64 MiB',
    script: 'fuzz:sidecar',
  },
  { name: 'simulation', wanted: '10,000 seeds clean, virtual to real time at least 500', script: 'sim:nightly' },
  { name: 'sim-mutants', wanted: 'every bug that is planted into the simulation is found', script: 'sim:mutants' },
  { name: 'planted', wanted: 'every fault that is planted turns its test red', script: 'planted' },
  { name: 'agents', wanted: 'nine agent programs, each in every applicable case: no failures', script: 'test:agents' },
  {
    name: 'migrate-proof',
    wanted: '50,000 tasks in every state moved to Postgres and back: equal dumps; killed on the way: refused, then done when run again',
    script: 'migrate:proof',
  },
  {
    name: 'soak',
    wanted:
      '60 minutes, 200 sidecars, 20 tasks a second, a fault a minute, beside hostile neighbors: every task completed, the memory of the hub and of two sidecars with hostile agents grows by under 1 MiB an hour, no leaked handle, rows and files bounded, write-ahead log under 64 MiB',
    script: 'soak',
  },
];
