/**
 * Whether every commit is a sync: the hub's own calls of fdatasync, counted by strace, compared with the batches that
 * it committed meanwhile.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { sqliteDriver } from '../../../adapters/storage-knex/sqlite/driver-choice.ts';
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
        const strace = spawn('strace', ['-f', '-c', '-e', 'trace=fdatasync,fsync', '-o', file, '-p', String(hub.pid())], {
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        const ended = once(strace, 'exit');
        const output = await attached(strace.stderr, ended);
        if (!output.includes('attached')) return bench.notShown('commits', output.trim());
        const sidecars = await hub.newSidecars(4, 16);
        const before = await committed(hub.world.database);
        const plan = {
          ports: hub.ports,
          token: hub.adminToken,
          sidecars,
          atOnce: false,
          count,
          submit: { how: 'in_flight', inFlight: 64 },
        } as const;
        await load.do('live', plan);
        const after = await committed(hub.world.database);
        strace.kill('SIGINT');
        await ended;
        const batches = after - before;
        const syncs = callsIn(readFileSync(file, 'utf8'));
        const what = 'calls of fdatasync ÷ commits';
        bench.tell({
          scenario: 'commits',
          what,
          unit: '×',
          ...pair,
          n: batches,
          runs: [syncs / batches],
          durability: hub.durability,
          note: `${syncs} calls, ${batches} commits, ${round(count / batches)} tasks to a commit`,
        });
        if (syncs < batches) throw new Error(`${batches} batches were committed with ${syncs} calls of fdatasync`);
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
async function committed(database: string): Promise<number> {
  const { connection, close } = await (await sqliteDriver()).open(database, 'read');
  const [row] = await connection.rows('SELECT max(place) AS batches FROM batches');
  await close();
  return Number(row?.['batches']);
}

/** The column `calls` of strace's summary. */
function callsIn(summary: string): number {
  const lines = summary.split('\n').map((line) => line.trim().split(/\s+/));
  return lines.reduce((total, words) => total + (['fdatasync', 'fsync'].includes(words.at(-1) ?? '') ? Number(words[3]) : 0), 0);
}
