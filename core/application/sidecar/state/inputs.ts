/** Everything that can happen to a sidecar. Inputs about a run name it, so that late ones are known and dropped. */
import type { Assignment } from '../../../domain/assignment/slot.ts';
import type { FoundFolders, PreparedRun, ResultSighting } from '../../../ports/result-inbox.ts';
import type { RunnerCheck, WakeEvent } from '../../../ports/wake-runner.ts';
import type { RefusedWord } from './runner-events.ts';
import type { HubFrame } from '../../../protocol/hub-frames.ts';
import type { TimerName } from './timer-names.ts';

export type Event =
  /** The first input. */
  | { readonly type: 'start' }
  /** `nonce`: 256 random bits for this link, hexadecimal. */
  | { readonly type: 'link_up'; readonly link: number; readonly nonce: string }
  | { readonly type: 'link_down'; readonly link: number; readonly code: number; readonly reason: string }
  | { readonly type: 'frame'; readonly link: number; readonly frame: HubFrame }
  /** A frame that no schema takes; `what` is for the log. */
  | { readonly type: 'bad_frame'; readonly link: number; readonly what: Readonly<Record<string, unknown>> }
  /** `runId`: a fresh one, for the wake that may follow. */
  | { readonly type: 'prepared'; readonly name: Assignment; readonly paths: PreparedRun; readonly runId: string }
  /** `paths`: where they would be. */
  | { readonly type: 'prepare_failed'; readonly name: Assignment; readonly paths: PreparedRun; readonly message: string }
  | { readonly type: 'wake'; readonly name: Assignment; readonly runId: string; readonly event: WakeEvent }
  /** The runner said what cannot be taken. */
  | {
      readonly type: 'wake_refused';
      readonly name: Assignment;
      readonly runId: string;
      readonly reason: RefusedWord;
      readonly message: string;
    }
  /** The runner's stream has ended; `error` is what it threw. */
  | { readonly type: 'run_over'; readonly name: Assignment; readonly runId: string; readonly error: string | null }
  | { readonly type: 'sighting'; readonly sighting: ResultSighting }
  | { readonly type: 'looked'; readonly name: Assignment; readonly look: number }
  /** What an earlier process had of an assignment. */
  | ({ readonly type: 'folders_found' } & FoundFolders)
  /** `text` is null when there is no body, `error` is set when it could not be read. */
  | { readonly type: 'report_read'; readonly name: Assignment; readonly text: string | null; readonly error: string | null }
  /** As the journal's `room` says. */
  | { readonly type: 'room_measured'; readonly refusedBytes: number; readonly hasReserve: boolean }
  | { readonly type: 'checked'; readonly checks: readonly RunnerCheck[] }
  | { readonly type: 'timer'; readonly timer: TimerName }
  /** Taking `during` threw; nothing of it counts. */
  | { readonly type: 'step_failed'; readonly during: Event; readonly message: string }
  | { readonly type: 'persist_failed'; readonly during: Event; readonly message: string }
  | { readonly type: 'stop' };

export interface Moment {
  /** Wall time at which it is taken. */
  readonly nowMs: number;
  /** From 0 up to, not including, 1. */
  readonly jitter: number;
}

export type Input = Event & Moment;
