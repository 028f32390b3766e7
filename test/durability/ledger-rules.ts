/** What every ledger must show, whatever was killed. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { LedgerLine } from '../apps/app-world.ts';

/** No assignment was run twice, and no two runs of one of these tasks were alive at the same time. */
export function neverTwice(t: Test, ledger: readonly LedgerLine[], taskIds: readonly string[]): void {
  for (const taskId of taskIds) {
    const starts = ledger.filter((line) => line.task === taskId && line.what === 'start');
    const generations = starts.map((line) => line.generation);
    t.strictSame(generations, [...new Set(generations)], `${taskId}: one run of each generation`);
    for (const start of starts) t.strictSame(start.beside, [], `${taskId} g${start.generation} ran alone`);
  }
}

/** The pids of the runs that ended on their own with a result. */
export const endsOf = (ledger: readonly LedgerLine[], taskId: string): readonly number[] =>
  ledger.filter((line) => line.task === taskId && line.what === 'end').map((line) => line.pid);

/** Whether a process is alive; a zombie is not. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return stat !== null && !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
}

/** Waits for a process to end; returns whether it ended in time. */
export async function isGone(pid: number, withinMs = 15_000): Promise<boolean> {
  const untilMs = Date.now() + withinMs;
  while (await isAlive(pid)) {
    if (Date.now() > untilMs) return false;
    await sleep(20);
  }
  return true;
}
