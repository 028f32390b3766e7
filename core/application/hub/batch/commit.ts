/** What a commit means for others: event streams, the sweeper, other hubs. */
import type { StoredEvent } from '../../../domain/task/event.ts';
import type { ChangeHint } from '../../../ports/hub-notifier.ts';
import type { Batch } from './batch.ts';
import type { Roster } from './roster.ts';
import type { TaskEnd } from './task-ends.ts';

/** What others need to know about a commit. */
export interface Commit {
  readonly events: readonly StoredEvent[];
  /** How many commands its batch had, and how long its transaction took, including all tries. */
  readonly commands: number;
  readonly tookMs: number;
  /** The earliest time at which something is due, in store time. */
  readonly dueAtMs: number | null;
  /** What other hubs are notified of; null: nothing. */
  readonly hint: ChangeHint | null;
  readonly ends: readonly TaskEnd[];
}

/** What other hubs may have to read: agents that are not connected here, and ready tasks that no agent here was free for. */
export function hintFor(batch: Batch, events: readonly StoredEvent[], roster: Roster): ChangeHint | null {
  const work = batch.hasReadyTasks;
  const toAll = batch.mail.some(({ to }) => to === null);
  const named = [...batch.takenOver, ...batch.mail.flatMap(({ to }) => to ?? [])];
  const agents = [...new Set([...named, ...batch.changedAgents().filter((id) => roster.get(id) === undefined)])];
  if (events.length === 0 && !work && !toAll && agents.length === 0) return null;
  return { events: events.length > 0, work, agents: toAll ? null : agents };
}

/** The earliest time at which something in these changes is due, or a pause ends; null: nothing. */
export function earliestDue(changes: ReturnType<Batch['changes']>, pauseEndMs: number | null): number | null {
  let earliest = pauseEndMs;
  for (const { dueAtMs } of [...changes.inserted, ...changes.updated]) {
    if (dueAtMs !== null && (earliest === null || dueAtMs < earliest)) earliest = dueAtMs;
  }
  return earliest;
}
