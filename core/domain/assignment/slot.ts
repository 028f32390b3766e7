/**
 * A slot: room for one running task in a sidecar, and the assignment in it.
 *
 *     accepted ─► waking ─► waking_confirmation ─► working ─► reporting ─► (gone)
 *
 * `accepted`: journalled, not yet woken. `waking`: a run id is journalled and its process may exist; without a run it
 * waits for its next try. `waking_confirmation`: woken, not yet heard of. `working`: the agent said that it started.
 * `reporting`: its end is in the outbox and its run is winding down. It is gone when its end is in the outbox (or
 * needs no report) and its run is gone; the outbox then answers for it, and after that the memory of what has ended.
 *
 * `stop` may stand beside any status: the run is being stopped, for that cause. It only ends with the slot.
 */
import type { Generation, TaskId } from '../ids.ts';
import type { Usage } from '../usage.ts';

/** Names one giving of a task to one agent. */
export interface Assignment {
  readonly taskId: TaskId;
  readonly generation: Generation;
}

export const SLOT_STATUSES = ['accepted', 'waking', 'waking_confirmation', 'working', 'reporting'] as const;
export type SlotStatus = (typeof SLOT_STATUSES)[number];

/**
 * Why a run is stopped. `cancelled`: by `task_cancelled`, which waits for its confirmation. `taken_back`: a nack, an
 * `abort` or a newer generation showed that the assignment is gone. The others end in a report of that kind.
 */
export const STOP_CAUSES = ['cancelled', 'taken_back', 'confirmation_timeout', 'execution_timeout', 'silent', 'released'] as const;
export type StopCause = (typeof STOP_CAUSES)[number];

export interface SlotStop {
  readonly cause: StopCause;
  /** For the log and the report, as people read it. */
  readonly reason: string;
  /** How long its agent has to end by itself; null: what its runner gives. */
  readonly graceMs: number | null;
  /** Of one that is handed back because its agent can do nothing: why, and until when. */
  readonly inability?: SlotInability | undefined;
}

export interface SlotInability {
  readonly cause: string;
  /** Wall time; null: nobody knows. */
  readonly retryAtMs: number | null;
  /** A tool may have run, or a file may have changed. */
  readonly afterWork?: boolean | undefined;
}

export const stopFor = (cause: StopCause, reason: string, graceMs: number | null = null): SlotStop => ({ cause, reason, graceMs });

/** Names a process beyond its number, which the system gives out again. */
export interface ProcessMark {
  readonly pid: number;
  /** As the system tells it, only ever compared; null where it cannot be known. */
  readonly startTime: string | null;
  readonly bootId: string | null;
}

/** One wake of the agent. It is there until the run's process tree is known to be gone. */
export interface SlotRun {
  readonly runId: string;
  /** Wall time at which it was journalled, before its spawn. */
  readonly startedAtMs: number;
  /** Null until the runner told, also when the sidecar died before it could be journalled. */
  readonly process: ProcessMark | null;
  /** The runner said that the agent is on its own: files tell how it goes. */
  readonly woken: boolean;
  /** The runner follows no process of it any more: nothing but its files is left to watch. */
  readonly detached: boolean;
}

export interface Slot extends Assignment {
  readonly status: SlotStatus;
  /** The database that gave the task; null when the hub named none. */
  readonly storeId: string | null;
  readonly assignedAtMs: number;
  readonly acceptedAtMs: number;
  /** How long it may last, from acceptance; null: as long as the hub lets it. */
  readonly runMaxMs: number | null;
  /** The task as its agent gets it. */
  readonly task: Readonly<Record<string, unknown>> & { readonly description: string };
  /** Tries to wake its agent that were begun. */
  readonly wakes: number;
  /** Since when its files are watched for; null before its first wake. */
  readonly expectedSinceMs: number | null;
  /** What its runs that are over used; left out while there is nothing to tell. */
  readonly spent?: Usage | undefined;
  /** What its agent's program can go on with: of an earlier attempt here, or of this one once it told. */
  readonly sessionId?: string | undefined;
  /** Settled, and the streams of its run say what is nowhere else. */
  readonly keepStreams?: boolean | undefined;
  readonly run: SlotRun | null;
  readonly stop: SlotStop | null;
}

/** One text for equal assignments. */
export const assignmentKey = (name: Assignment): string => `${name.taskId}.g${name.generation}`;

export const isSameAssignment = (a: Assignment, b: Assignment): boolean => a.taskId === b.taskId && a.generation === b.generation;

/** Only the name of something that has more. */
export const nameOf = (of: Assignment): Assignment => ({ taskId: of.taskId, generation: of.generation });

/** Whether the hub no longer wants it: it owes no report, and the hub may already count its slot as free. */
export const isGivenUp = (slot: Slot): boolean =>
  slot.stop !== null && (slot.stop.cause === 'cancelled' || slot.stop.cause === 'taken_back');

/** Whether it still counts against the number of slots when a task is offered. */
export const isOwed = (slot: Slot): boolean => slot.status !== 'reporting' && !isGivenUp(slot);

/** Whether an agent may be at work on it, or is about to be: one more may not be woken in its place. */
export const isUnderWay = (slot: Slot): boolean => slot.run !== null || slot.status !== 'accepted';

/** Whether the agent was heard of since it was woken. */
export const hasStarted = (slot: Slot): boolean => slot.status === 'working' || slot.status === 'reporting';

/** Whether the wake of its agent went well, as far as anybody knows. */
export const wasWoken = (slot: Slot): boolean => slot.run?.woken === true || hasStarted(slot);

/**
 * The accepted assignments whose agents may be woken now, oldest first: as many as there is room for, and none beside
 * another assignment of the same task, whose run may still live.
 */
export function wakeableSlots(slots: readonly Slot[], room: number): readonly Slot[] {
  let free = room - slots.filter(isUnderWay).length;
  const wakeable: Slot[] = [];
  for (const slot of slots) {
    if (free <= 0) break;
    if (slot.status !== 'accepted' || slot.stop !== null) continue;
    if (slots.some((other) => other.taskId === slot.taskId && other.generation !== slot.generation)) continue;
    wakeable.push(slot);
    free -= 1;
  }
  return wakeable;
}

/** How much of `runMaxMs` is left; never more than all of it, whatever the clock did. Null without a limit. */
export const runLeftMs = (slot: Slot, nowMs: number): number | null => leftMs(slot.runMaxMs, slot.acceptedAtMs, nowMs);

/** The same by the clock of the hub, which gave the task and told what time it is. */
export const runLeftByHubMs = (slot: Slot, hubMs: number): number | null => leftMs(slot.runMaxMs, slot.assignedAtMs, hubMs);

const leftMs = (maxMs: number | null, sinceMs: number, nowMs: number): number | null =>
  maxMs === null ? null : Math.max(0, Math.min(maxMs, sinceMs + maxMs - nowMs));
