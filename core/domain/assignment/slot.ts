/**
 * A slot: one accepted assignment of a sidecar, until its run is gone.
 *
 *     accepted ─► waking ─► waking_confirmation ─► working ─► reporting ─► (gone)
 *
 * - `accepted`: journaled, not woken yet.
 * - `waking`: a run id is journaled and its process may exist; without a run it waits for its next retry.
 * - `waking_confirmation`: woken; waits for the agent to start.
 * - `working`: the agent has started.
 * - `reporting`: its end is in the outbox and its run is shutting down.
 *
 * The slot is freed when its end is in the outbox (or needs no report) and its run is gone. From then on the outbox,
 * and later the list of ended assignments, records its outcome.
 *
 * `stop` may be set in any status: the run is being stopped for that cause. It is never cleared.
 */
import { GENERATION_ZERO, nextGeneration, type Generation, type TaskId } from '../ids.ts';
import type { Usage } from '../usage.ts';

/** Identifies one assignment of a task to an agent. */
export interface AssignmentId {
  readonly taskId: TaskId;
  readonly generation: Generation;
}

export const SLOT_STATUSES = ['accepted', 'waking', 'waking_confirmation', 'working', 'reporting'] as const;
export type SlotStatus = (typeof SLOT_STATUSES)[number];

/**
 * Why a run is stopped. `cancelled`: by `task_cancelled`, whose confirmation the hub waits for. `taken_back`: a nack, an
 * `abort` or a newer generation showed that the hub reclaimed the assignment. All others are reported under their own name.
 */
export const STOP_CAUSES = ['cancelled', 'taken_back', 'confirmation_timeout', 'execution_timeout', 'silent', 'released'] as const;
export type StopCause = (typeof STOP_CAUSES)[number];

export interface SlotStop {
  readonly cause: StopCause;
  /** For people, in logs and reports. */
  readonly reason: string;
  /** Grace period for the agent; null: the runner's default. */
  readonly graceMs: number | null;
  /** For a release because the agent cannot work: why, and until when. */
  readonly inability?: SlotInability | undefined;
}

export interface SlotInability {
  readonly cause: string;
  /** Wall time; null: unknown. */
  readonly retryAtMs: number | null;
  /** A tool may have run or a file may have changed. */
  readonly afterWork?: boolean | undefined;
}

export const stopFor = (cause: StopCause, reason: string, graceMs: number | null = null): SlotStop => ({ cause, reason, graceMs });

/** Identifies a process beyond its pid, which the system reuses. */
export interface ProcessMark {
  readonly pid: number;
  /** As reported by the system, only ever compared; null where unavailable. */
  readonly startTime: string | null;
  readonly bootId: string | null;
}

/** One wake of the agent. Kept until the run's process tree is known to be gone. */
export interface SlotRun {
  readonly runId: string;
  /** Wall time when it was journaled, before the spawn. */
  readonly startedAtMs: number;
  /** Null until the runner reports it, and if the sidecar died before journalling it. */
  readonly process: ProcessMark | null;
  /** The runner has woken the agent and does not follow it; only the agent's files show what it does. */
  readonly woken: boolean;
  /** Nobody follows a process of this run any more; only its files can be watched. */
  readonly detached: boolean;
}

export interface Slot extends AssignmentId {
  readonly status: SlotStatus;
  /** The store that the task came from; null if the hub named none. */
  readonly storeId: string | null;
  readonly assignedAtMs: number;
  readonly acceptedAtMs: number;
  /** Maximum duration from acceptance; null: no limit but the hub's. */
  readonly runMaxMs: number | null;
  /** The task as the agent sees it. */
  readonly task: Readonly<Record<string, unknown>> & { readonly description: string };
  /** Attempted wakes. */
  readonly wakes: number;
  /** Since when its files are watched; null before the first wake. */
  readonly expectedSinceMs: number | null;
  /** Usage of its finished runs; absent while there is none. */
  readonly spent?: Usage | undefined;
  /** The session to resume: of an earlier attempt here or, once reported, of this one. */
  readonly sessionId?: string | undefined;
  /** Its end is reported, and the run's streams hold output that is stored nowhere else. */
  readonly keepStreams?: boolean | undefined;
  readonly run: SlotRun | null;
  readonly stop: SlotStop | null;
}

/** Equal assignments have equal keys. */
export const assignmentKey = (assignment: AssignmentId): string => `${assignment.taskId}.g${assignment.generation}`;

/** The generation of a task's first assignment. */
const FIRST = nextGeneration(GENERATION_ZERO);

/**
 * As `assignmentKey`, for maps in memory. V8 hashes each text that is put together anew, so that of a first assignment, as nearly all are, is
 * the ID of its task.
 */
export const mapKey = (assignment: AssignmentId): string =>
  assignment.generation === FIRST ? assignment.taskId : assignmentKey(assignment);

export const isSameAssignment = (a: AssignmentId, b: AssignmentId): boolean => a.taskId === b.taskId && a.generation === b.generation;

/** Without the other fields of `of`. */
export const assignmentIdOf = (of: AssignmentId): AssignmentId => ({ taskId: of.taskId, generation: of.generation });

/** Whether the hub has cancelled or reclaimed the assignment: it needs no report, and the hub may already count its slot as free. */
export const isRevoked = (slot: Slot): boolean =>
  slot.stop !== null && (slot.stop.cause === 'cancelled' || slot.stop.cause === 'taken_back');

/** Whether it counts against the sidecar's number of slots when a task is offered. */
export const countsAgainstSlots = (slot: Slot): boolean => slot.status !== 'reporting' && !isRevoked(slot);

/** Whether an agent works on it, or is about to, so that no other may be woken for it. */
export const mayBeRunning = (slot: Slot): boolean => slot.run !== null || slot.status !== 'accepted';

/** Whether the agent has started since it was woken. */
export const hasStarted = (slot: Slot): boolean => slot.status === 'working' || slot.status === 'reporting';

/** Whether its agent was woken, as far as this sidecar knows. */
export const wasWoken = (slot: Slot): boolean => slot.run?.woken === true || hasStarted(slot);

/** How much of `runMaxMs` is left: never more than `runMaxMs`, even after the clock was set back. Null without a limit. */
export const runLeftMs = (slot: Slot, nowMs: number): number | null => leftMs(slot.runMaxMs, slot.acceptedAtMs, nowMs);

/** The same by the hub's clock, counted from the assignment. */
export const runLeftByHubMs = (slot: Slot, hubMs: number): number | null => leftMs(slot.runMaxMs, slot.assignedAtMs, hubMs);

const leftMs = (maxMs: number | null, sinceMs: number, nowMs: number): number | null =>
  maxMs === null ? null : Math.max(0, Math.min(maxMs, sinceMs + maxMs - nowMs));
