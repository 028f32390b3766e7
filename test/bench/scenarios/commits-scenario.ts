/**
 * Whether every commit is a sync: the hub's own synced writes to its commit log and calls of fdatasync, counted by strace, compared with the
 * batches that it committed meanwhile.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { sqliteDriver } from '../../../adapters/storage-knex/sqlite/driver-choice.ts';
import { commitLogOf } from '../../../adapters/storage-knex/sqlite/commit-log/commit-log-file.ts';
import type { BenchHub } from '../rig/bench-hub.ts';
import { isDefault, withHub, type Scenario } from '../rig/bench-rig.ts';
import { round } from '../rig/result.ts';

const COUNT = 4_000;
const QUICK_COUNT = 1_000;

export const commits: Scenario = {
  names: ['commits'],
  async run(bench) {
    if (spawnSync('strace', ['-V']).status !== 0) return bench.notShown('commits', 'strace is not installed');
    for (const pair of bench.pairs.filter(isDefault))
      await withHub(bench, pair, async (hub, load) => {
        const count = bench.isQuick ? QUICK_COUNT : COUNT;
        const file = join(hub.world.dir, 'strace');
        const log = openedFile(hub.pid(), commitLogOf(hub.world.database));
        const calls = `trace=fdatasync,fsync${log.isSynced ? ',pwrite64,pwritev' : ''}`;
        const strace = spawn('strace', ['-f', '-e', calls, '-s', '0', '-o', file, '-p', String(hub.pid())], {
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        const ended = once(strace, 'exit');
        const output = await attached(strace.stderr, ended);
        if (!output.includes('attached')) return bench.notShown('commits', output.trim());
        const sidecars = await hub.newSidecars(4, 16);
        const before = await committed(hub);
        const plan = {
          ports: hub.ports,
          token: hub.adminToken,
          sidecars,
          atOnce: false,
          count,
          submit: { how: 'in_flight', inFlight: 64 },
        } as const;
        await load.do('live', plan);
        const after = await committed(hub);
        strace.kill('SIGINT');
        await ended;
        const batches = after - before;
        const traced = readFileSync(file, 'utf8');
        const [writes, syncs] = [callsIn(traced, `pwritev?(?:64)?\\(${log.fd},`), callsIn(traced, 'f(?:data)?sync\\(')];
        bench.tell({
          scenario: 'commits',
          what: 'synced writes ÷ commits',
          unit: '×',
          ...pair,
          n: batches,
          runs: [(writes + syncs) / batches],
          durability: hub.durability,
          note: `${writes} synced writes to the commit log, ${syncs} calls of fdatasync, ${batches} commits, ${round(count / batches)} tasks to a commit`,
        });
        if (writes + syncs < batches) throw new Error(`${batches} batches were committed with ${writes} synced writes and ${syncs} syncs`);
      });
  },
};

/** strace's first message: that it has attached to the threads, or why it could not. */
async function attached(stderr: Readable, ended: Promise<unknown>): Promise<string> {
  let output = '';
  const pending = new Promise<void>((resolve) =>
    stderr.on('data', (text: Buffer) => (output += text.toString()).includes('attached') && resolve()),
  );
  await Promise.race([pending, ended]);
  return output;
}

/** How many batches were ever committed. */
async function committed({ api, world }: BenchHub): Promise<number> {
  // A read by the hub makes SQLite commit what is only in the commit log.
  await api.tasks.stats();
  const { connection, close } = await (await sqliteDriver()).open(world.database, 'read');
  const [row] = await connection.rows('SELECT max(place) AS batches FROM batches');
  await close();
  return Number(row?.['batches']);
}

/** The number of the file in that process, and whether it is open so that each write is synced. */
function openedFile(pid: number, path: string): { readonly fd: string; readonly isSynced: boolean } {
  const fd = readdirSync(`/proc/${pid}/fd`).find((one) => readlinkSync(`/proc/${pid}/fd/${one}`) === path);
  if (fd === undefined) throw new Error(`the hub has not opened ${path}`);
  const [, flags = '0'] = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')) ?? [];
  return { fd, isSynced: (parseInt(flags, 8) & constants.O_DSYNC) !== 0 };
}

/** The calls that begin like this; each has a line, and another one if others began before it ended. */
const callsIn = (traced: string, begin: string): number => [...traced.matchAll(new RegExp(`^\\d+ +${begin}`, 'gm'))].length;
