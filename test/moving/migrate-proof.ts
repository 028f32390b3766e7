/**
 * A large store moved by the real command from SQLite to Postgres and back, with one move killed halfway: `npm run
 * migrate:proof -- [--tasks N]`. Exits with 1 unless the dumps before and after are equal, and the killed move is
 * first refused and then succeeds.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { sqliteEngine } from '../../adapters/storage-knex/sqlite/engine.ts';
import { silentLog } from '../../core/ports/log.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { outside, testedDriver } from '../adapters/storage-places/sqlite-storage-place.ts';
import { readOptions, say, printMachine, thisMachine, withEnds, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { builtTree } from '../rig/built-tree.ts';
import { plainDump } from './plain-dump.ts';
import { fillStore } from './store-of-everything.ts';

const FIGURE = { tasks: 50_000 };
const MIB = 2 ** 20;

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly err: string;
  readonly seconds: number;
}

const { tasks, seed } = readOptions(FIGURE);
printMachine(thisMachine(), 'SQLite and Postgres, both synced');
const loadBefore = Math.round((loadavg()[0] ?? 0) * 10) / 10;
say(`${tasks} tasks; machine load before ${loadBefore}; nothing is random here (seed ${seed})`);

await withEnds(async (end) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'agentcom-moving-'));
  end.teardown(async () => rmSync(folder, { recursive: true }));
  const server = await postgresServer([]);
  end.teardown(() => server.end());
  const inFolder = (name: string): string => path.join(folder, name, 'agentcom.db');
  const schema = (name: string): string => `${server.url}?schema=${name}`;

  const migrate = async (from: string, to: string, ...more: readonly string[]): Promise<Ended> => run(from, to, more, null);
  const run = async (from: string, to: string, more: readonly string[], killAt: RegExp | null): Promise<Ended> => {
    const beganMs = performance.now();
    const child = spawn(process.execPath, [builtTree().bin, 'migrate', '--from', from, '--to', to, ...more], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      if (killAt?.test(err) === true) child.kill('SIGKILL');
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return { code, signal, err, seconds: Math.round((performance.now() - beganMs) / 100) / 10 };
  };

  await fillStore(sqliteEngine({ driver: testedDriver, file: inFolder('full'), clock: systemClock(), log: silentLog }), tasks);
  const states = await outside(inFolder('full'), 'SELECT status, count(*) AS tasks FROM tasks GROUP BY status ORDER BY status');
  const [rows] = await outside(inFolder('full'), 'SELECT sum(1 + coalesce(json_array_length(earlier), 0)) AS events FROM task_events');
  const stored = Object.fromEntries(states.map(({ status, tasks: count }) => [status, count]));
  const databaseMiB = Math.round(statSync(inFolder('full')).size / MIB);
  say(`stored: ${JSON.stringify(stored)}, ${String(rows?.['events'])} events, ${databaseMiB} MiB`);
  const before = await plainDump(inFolder('full'));

  const there = await migrate(`sqlite:${inFolder('full')}`, schema('there'));
  say(`SQLite to Postgres, copied and compared: ${there.seconds} s (exit ${there.code})`);
  const back = await migrate(schema('there'), `sqlite:${inFolder('back')}`);
  say(`Postgres to SQLite, copied and compared: ${back.seconds} s (exit ${back.code})`);
  const after = await plainDump(inFolder('back'));
  const areEqual = JSON.stringify(after) === JSON.stringify(before);
  say(`dumps before and after are ${areEqual ? 'equal' : 'NOT equal'}`);

  const killed = await run(`sqlite:${inFolder('full')}`, schema('killed'), [], /copying/);
  const refused = await migrate(`sqlite:${inFolder('full')}`, schema('killed'));
  const again = await migrate(`sqlite:${inFolder('full')}`, schema('killed'), '--empty-target');
  const wasRefused = killed.signal === 'SIGKILL' && refused.code === 4 && refused.err.includes('AC_MOVE_UNFINISHED');
  say(
    `killed halfway: ${wasRefused ? 'refused' : 'NOT refused'}, then run again with --empty-target: exit ${again.code}, ${again.seconds} s`,
  );
  for (const { code, err } of [there, back, again]) if (code !== 0) say(err);

  const isReached = there.code === 0 && back.code === 0 && areEqual && wasRefused && again.code === 0;
  writeFigures(
    'migrate-proof',
    tasks >= FIGURE.tasks,
    { loadBefore, tasks, reached: isReached, stored, events: rows?.['events'], databaseMiB, thereSeconds: there.seconds, backSeconds: back.seconds, againSeconds: again.seconds }, // prettier-ignore
  );
  process.exitCode = isReached ? 0 : 1;
});
