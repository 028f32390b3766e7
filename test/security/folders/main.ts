/**
 * Plays cells as an ordinary user: root may do what modes forbid. Its argument is the list of cells as JSON; it prints
 * the outcome of each as a line of JSON.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as realTime } from 'node:timers/promises';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { HONEST, HOSTILE, playCell, SECRET, type Cell } from './cell.ts';

const NOBODY = 65_534;
/** Sidecars in parallel, in one process and by one clock. */
const AT_ONCE = 24;
/** Virtual milliseconds that pass with each millisecond, or with each turn that takes longer. */
const TICK_MS = 20;

const cells = JSON.parse(process.argv[2] ?? '[]') as readonly Cell[];
const base = mkdtempSync(join(tmpdir(), 'agentcom-folders-'));
if (process.getuid?.() === 0) {
  chownSync(base, NOBODY, NOBODY);
  process.setgroups?.([]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
}
// The current folder may be closed to an ordinary user, and a deep tree is created by descending into it and back.
process.chdir(base);
const fifo = join(base, 'fifo');
execFileSync('mkfifo', [fifo]);
const dirOf = (n: number): string => join(base, String(n));
const fifosOf = (n: number): string[] => [HOSTILE, HONEST].map((taskId) => join(dirOf(n), 'words', `${taskId}.end`));
for (const n of cells.keys()) {
  for (const folder of ['', 'data', 'words', 'elsewhere', 'away']) mkdirSync(join(dirOf(n), folder), { mode: 0o700 });
}
execFileSync('mkfifo', [...cells.keys()].flatMap(fifosOf));
const server = createServer().listen(join(base, 'socket'));
const clock = virtualClock({ wallMs: Date.now() });
const waiting = cells.entries();
let isOver = false;

async function playSome(): Promise<void> {
  for (const [n, cell] of waiting) {
    const dir = dirOf(n);
    const place = {
      dataDir: join(dir, 'data'),
      words: join(dir, 'words'),
      elsewhere: join(dir, 'elsewhere'),
      away: join(dir, 'away'),
      fifo,
      socket: join(base, 'socket'),
    };
    writeFileSync(join(place.elsewhere, 'secret.json'), JSON.stringify({ status: 'success', output: SECRET }));
    writeFileSync(join(place.elsewhere, 'inner'), 'inner');
    process.stdout.write(`${JSON.stringify(await playCell(cell, place, clock))}\n`);
  }
}

async function tick(): Promise<void> {
  while (!isOver) {
    await realTime(1);
    clock.advance(TICK_MS);
  }
}

try {
  const ticking = tick();
  await Promise.all(Array.from({ length: AT_ONCE }, playSome));
  isOver = true;
  await ticking;
} finally {
  server.close();
  process.chdir(tmpdir());
  execFileSync('chmod', ['-R', 'u+rwX', base]);
  execFileSync('rm', ['-rf', base]);
}
