/**
 * What the step function asks of the driver. A step's effects run in order, in three parts: those *before persist*,
 * which must succeed; `persist`, if the journal changed; those *after persist*. So nothing visible outside, such as a
 * frame or a wake, can happen before what it depends on is on disk.
 */
import type { AssignmentId, Slot } from '../../../domain/assignment/slot.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import type { LogFields } from '../../../ports/log.ts';
import type { AdoptedRun, WakeRequest } from '../../../ports/wake-runner.ts';
import type { FlatNames } from '../../../ports/result-inbox.ts';
import type { JournalState } from './journal-state.ts';
import type { RunTimer, TimerName } from './timer-names.ts';

/**
 * If one of these fails, the rest of the list is skipped and `persist_failed` is the next input. All are idempotent.
 */
export type BeforePersistEffect =
  | { readonly type: 'writeReport'; readonly assignment: AssignmentId; readonly text: string }
  | { readonly type: 'refuseReport'; readonly assignment: AssignmentId; readonly reason: string }
  | { readonly type: 'removeReport'; readonly assignment: AssignmentId }
  /**
   * Withdraws a published task and leaves the agent a note that its assignment is no longer valid; failing to write the note is
   * only logged.
   */
  | { readonly type: 'withdraw'; readonly assignment: AssignmentId }
  /** Stops watching the assignment's files. */
  | { readonly type: 'unwatch'; readonly assignment: AssignmentId }
  /**
   * Removes the assignment's files except its result and, with `streams`, the run's streams. A failure is logged and
   * retried later.
   */
  | { readonly type: 'keepResult'; readonly assignment: AssignmentId; readonly streams: boolean }
  /** Removes the assignment's folders. A failure is logged and retried later. */
  | { readonly type: 'removeFiles'; readonly assignment: AssignmentId };

/** The reason passed to an abort; without `graceMs` the runner's own grace period applies. */
export interface AbortReason {
  readonly reason: string;
  readonly graceMs?: number;
}

/** Why the slot's run is stopped; without a `stop` its result is already known. */
export const abortReasonOf = (slot: Slot): AbortReason => {
  const { reason, graceMs } = slot.stop ?? { reason: 'its result is known', graceMs: null };
  return graceMs === null ? { reason } : { reason, graceMs };
};

export interface PersistEffect {
  readonly type: 'persist';
  readonly journal: JournalState;
}

/** None of these can fail the list: each reports its outcome as an input, or has nothing to report. */
export type AfterPersistEffect =
  | { readonly type: 'connect'; readonly connectionId: number; readonly url: string; readonly frameBytesMax: number }
  /** `leaving`: no process of this agent follows soon. */
  | { readonly type: 'disconnect'; readonly leaving?: boolean }
  /** `text`: the frame as JSON, if it is known. */
  | { readonly type: 'send'; readonly frame: V2Frame; readonly text?: string }
  /** Answered by the same `frame` input, with its `signature`. */
  | { readonly type: 'checkSignature'; readonly connectionId: number; readonly frame: HubFrameOf<'task_assign'> }
  /** Answered by `turn_over`, with all assignments that requested it in this turn. */
  | { readonly type: 'awaitTurn'; readonly assignment: AssignmentId }
  /** Answered by `report_read`. */
  | { readonly type: 'readReport'; readonly assignment: AssignmentId }
  /**
   * Measures free space and what is kept in `refused/` and for `unread` assignments; answered by `disk_measured`.
   * Removes files of `read` assignments, oldest first, until they fit into `KEPT_BYTES_MAX`.
   */
  | { readonly type: 'measureDisk'; readonly unread: readonly AssignmentId[]; readonly read: readonly AssignmentId[] }
  /** Runs the runner's checks; answered by `runner_checked`. */
  | { readonly type: 'check' }
  /** Creates folders and task file; answered by `prepared` or `prepare_failed`. */
  | { readonly type: 'prepare'; readonly assignment: AssignmentId; readonly task: Readonly<Record<string, unknown>> }
  /** Publishes the task for a polling agent; answered by `prepare_failed` on failure. */
  | { readonly type: 'publish'; readonly assignment: AssignmentId; readonly task: Readonly<Record<string, unknown>> }
  /** Lists assignment folders; one `folders_found` input for each. */
  | { readonly type: 'findFolders' }
  /** Withdraws every published task but these. */
  | { readonly type: 'withdrawAllExcept'; readonly assignments: readonly AssignmentId[] }
  | { readonly type: 'watch'; readonly assignment: AssignmentId; readonly flat: FlatNames }
  /** Answered by `scanned` with the same number, after the file events. */
  | { readonly type: 'scan'; readonly assignment: AssignmentId; readonly scan: number }
  /** Not awaited; answered by `wake_event` inputs and, at the end of the stream, `wake_stream_ended`. */
  | { readonly type: 'wake'; readonly request: WakeRequest }
  /** `stop`: attach with a signal that is already aborted. */
  | { readonly type: 'attach'; readonly run: AdoptedRun; readonly stop: AbortReason | null }
  /** Aborts the run's signal; the run reports its end. */
  | { readonly type: 'kill'; readonly runId: string; readonly reason: AbortReason }
  | { readonly type: 'startTimer'; readonly timer: TimerName; readonly delayMs: number }
  | { readonly type: 'cancelTimer'; readonly timer: TimerName }
  | { readonly type: 'cancelTimersOf'; readonly assignment: AssignmentId; readonly purposes: readonly RunTimer[] }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string; readonly fields: LogFields }
  /** The first `identified`. */
  | { readonly type: 'ready' }
  /** The sidecar drains itself, and no assignment and no unanswered report of one is left. */
  | { readonly type: 'drained' }
  /** Nothing is left to do. */
  | { readonly type: 'stopped' };

export type DurableEffect = BeforePersistEffect | PersistEffect;
export type Effect = DurableEffect | AfterPersistEffect;
