/**
 * What the step function asks of the driver. A list is run in order, in three parts: first the *durable* effects, which
 * must succeed, then `persist`, if the journal changed, then the *outward* ones. Nothing that another could see, a frame
 * or a wake, can leave before what it tells of is on disk, because no step can put it there.
 */
import type { Assignment, Slot } from '../../../domain/assignment/slot.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import type { LogFields } from '../../../ports/log.ts';
import type { AdoptedRun, WakeRequest } from '../../../ports/wake-runner.ts';
import type { FlatNames } from '../../../ports/result-inbox.ts';
import type { JournalState } from './journal-state.ts';
import type { TimerName } from './timer-names.ts';

/** When one of these fails, its list ends there and `persist_failed` is the next input. Repeating them is harmless. */
export type DurableEffect =
  | { readonly type: 'writeReport'; readonly name: Assignment; readonly text: string }
  | { readonly type: 'refuseReport'; readonly name: Assignment; readonly reason: string }
  | { readonly type: 'removeReport'; readonly name: Assignment }
  /** Takes a published task back, and tells the agent that its assignment is gone: failing to tell is logged, no more. */
  | { readonly type: 'withdraw'; readonly name: Assignment }
  /** Stops watching for its files. */
  | { readonly type: 'forget'; readonly name: Assignment }
  /** Of its folders only the result stays, and with `streams` those of its run. If that fails it is logged, and tried again later. */
  | { readonly type: 'keepResult'; readonly name: Assignment; readonly streams: boolean }
  /** Removes its folders. If that fails it is logged, and tried again later. */
  | { readonly type: 'removeFiles'; readonly name: Assignment };

/** The reason of an abort; without `graceMs` the runner gives its own. */
export interface StopReason {
  readonly reason: string;
  readonly graceMs?: number;
}

/** Why this slot's run is stopped; one that is not wanted stopped for itself has a known result. */
export const stopReasonOf = (slot: Slot): StopReason => {
  const { reason, graceMs } = slot.stop ?? { reason: 'its result is known', graceMs: null };
  return graceMs === null ? { reason } : { reason, graceMs };
};

export interface PersistEffect {
  readonly type: 'persist';
  readonly journal: JournalState;
}

/** None of these fails its list: each has an input that tells how it went, or nothing to tell. */
export type OutwardEffect =
  | { readonly type: 'connect'; readonly link: number; readonly url: string; readonly frameBytesMax: number }
  | { readonly type: 'disconnect' }
  | { readonly type: 'send'; readonly frame: V2Frame }
  /** Answered by `report_read`. */
  | { readonly type: 'readReport'; readonly name: Assignment }
  /**
   * What room the journal has, and how much is kept that nobody took: in `refused/`, and of `unread` assignments; answered by
   * `room_measured`. Of the `read` ones, oldest first, files are removed until the rest is within `KEPT_BYTES_MAX`.
   */
  | { readonly type: 'measureRoom'; readonly unread: readonly Assignment[]; readonly read: readonly Assignment[] }
  /** Asks the runner whether its agent could run; answered by `checked`. */
  | { readonly type: 'check' }
  /** Makes folders and task file; answered by `prepared` or `prepare_failed`. */
  | { readonly type: 'prepare'; readonly name: Assignment; readonly task: Readonly<Record<string, unknown>> }
  /** Lays the task out for an agent that polls; `prepare_failed` if it cannot be. */
  | { readonly type: 'publish'; readonly name: Assignment; readonly task: Readonly<Record<string, unknown>> }
  /** Looks for folders of assignments; each is answered by `folders_found`, one after the other. */
  | { readonly type: 'findFolders' }
  /** Takes back every published task but these. */
  | { readonly type: 'withdrawAllBut'; readonly names: readonly Assignment[] }
  | { readonly type: 'expect'; readonly name: Assignment; readonly flat: FlatNames }
  /** Answered by `looked` with the same number, after the sightings. */
  | { readonly type: 'look'; readonly name: Assignment; readonly look: number }
  /** Started, not awaited: answered by `wake` inputs and, at the end of the stream, `run_over`. */
  | { readonly type: 'wake'; readonly request: WakeRequest }
  /** `stop`: with a signal that is aborted already. */
  | { readonly type: 'attach'; readonly run: AdoptedRun; readonly stop: StopReason | null }
  /** Aborts the run's signal; its end is told by the run. */
  | { readonly type: 'kill'; readonly runId: string; readonly reason: StopReason }
  | { readonly type: 'startTimer'; readonly timer: TimerName; readonly delayMs: number }
  | { readonly type: 'cancelTimer'; readonly timer: TimerName }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string; readonly fields: LogFields }
  /** The first `identified`. */
  | { readonly type: 'ready' }
  /** Everything that can be finished is. */
  | { readonly type: 'stopped' };

export type Effect = DurableEffect | PersistEffect | OutwardEffect;
