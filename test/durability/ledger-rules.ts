/** What every ledger must show, whatever was killed. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { LedgerLine } from '../apps/app-world.ts';

/** No run had a second one of its assignment, and none of these tasks had two runs alive at the same time. */
export function neverTwice(t: Test, ledger: readonly LedgerLine[], taskIds: readonly string[]): void {
  for (const taskId of taskIds) {
    const starts = ledger.filter((line) => line.task === taskId && line.what === 'start');
    const generations = starts.map((line) => line.generation);
    t.strictSame(generations, [...new Set(generations)], `${taskId}: one run of each generation`);
    for (const start of starts) t.strictSame(start.beside, [], `${taskId} g${start.generation} ran alone`);
  }
}

/** The pids of the runs that ended by themselves with a result. */
export const endsOf = (ledger: readonly LedgerLine[], taskId: string): readonly number[] =>
  ledger.filter((line) => line.task === taskId && line.what === 'end').map((line) => line.pid);

/** Whether a process lives; one that nobody has waited for yet does not. */
export async function lives(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return stat !== null && !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
}

/** Waits for the end of a process; answers whether it came in time. */
export async function isGone(pid: number, withinMs = 15_000): Promise<boolean> {
  const untilMs = Date.now() + withinMs;
  while (await lives(pid)) {
    if (Date.now() > untilMs) return false;
    await sleep(20);
  }
  return true;
}
