/** Everything that can happen to a sidecar. Inputs about a run carry its id, so that late ones can be dropped. */
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import type { FoundFolders, PreparedRun, ResultFileEvent } from '../../../ports/result-inbox.ts';
import type { RunnerCheck, WakeEvent } from '../../../ports/wake-runner.ts';
import type { InvalidEventReason } from './runner-events.ts';
import type { HubFrame } from '../../../protocol/hub-frames.ts';
import type { TimerName } from './timer-names.ts';

export type SidecarInput =
  /** Sent once, before any other input: resumes what the journal holds. */
  | { readonly type: 'start' }
  /** `nonce`: 256 random bits for this connection, hexadecimal. `token`: the one to identify with from now on, if it may have changed. */
  | { readonly type: 'link_up'; readonly connectionId: number; readonly nonce: string; readonly token?: string | undefined }
  | { readonly type: 'link_down'; readonly connectionId: number; readonly code: number; readonly reason: string }
  /** `signature`: the verdict on an assignment whose signature was checked, because `checkSignature` requested it. */
  | { readonly type: 'frame'; readonly connectionId: number; readonly frame: HubFrame; readonly signature?: SignatureVerdict }
  /** A frame that matches no schema. */
  | { readonly type: 'bad_frame'; readonly connectionId: number; readonly logFields: Readonly<Record<string, unknown>> }
  /** The folders and the task file exist. `runId`: a new one, for the wake that may follow. */
  | { readonly type: 'prepared'; readonly assignment: AssignmentId; readonly paths: PreparedRun; readonly runId: string }
  /** `paths`: the intended ones; a run that is still alive is attached to even without its folders. */
  | { readonly type: 'prepare_failed'; readonly assignment: AssignmentId; readonly paths: PreparedRun; readonly message: string }
  | { readonly type: 'wake_event'; readonly assignment: AssignmentId; readonly runId: string; readonly event: WakeEvent }
  /** The runner yielded an invalid event. */
  | {
      readonly type: 'invalid_wake_event';
      readonly assignment: AssignmentId;
      readonly runId: string;
      readonly reason: InvalidEventReason;
      readonly message: string;
    }
  /** The runner's event stream has ended, which the run may outlive; `error` is what the stream threw, if anything. */
  | { readonly type: 'wake_stream_ended'; readonly assignment: AssignmentId; readonly runId: string; readonly error: string | null }
  | { readonly type: 'file_event'; readonly event: ResultFileEvent }
  | { readonly type: 'scanned'; readonly assignment: AssignmentId; readonly scan: number }
  /** The folders of one assignment, which `findFolders` requested. */
  | ({ readonly type: 'folders_found' } & FoundFolders)
  | { readonly type: 'report_read'; readonly assignment: AssignmentId; readonly body: StoredBody }
  /** The size of `refused/` and of the kept files of unread results, and whether the disk reserve exists; see `Journal.room`. */
  | { readonly type: 'disk_measured'; readonly refusedBytes: number; readonly hasReserve: boolean }
  /** The turn of the event loop that these assignments waited for is over. */
  | { readonly type: 'turn_over'; readonly assignments: readonly AssignmentId[] }
  | { readonly type: 'runner_checked'; readonly checks: readonly RunnerCheck[] }
  | { readonly type: 'timer'; readonly timer: TimerName }
  /** Handling the input threw; the state is unchanged. */
  | { readonly type: 'step_failed'; readonly input: SidecarInput; readonly message: string }
  /** The disk could not be written; the state from before the input was restored. */
  | { readonly type: 'persist_failed'; readonly input: SidecarInput; readonly message: string }
  /** The journal is lost for good, so nothing that is held can be kept; answered by the effect `stopped`. */
  | { readonly type: 'journal_lost' }
  /** Accept no more tasks; answered by the effect `drained` once nothing is left. */
  | { readonly type: 'drain' }
  | { readonly type: 'stop' };

/** `untrusted`: the policy does not allow the task. `unknown`: whether it does cannot be determined now. */
export type SignatureVerdict =
  { readonly kind: 'trusted'; readonly signer: string } | { readonly kind: 'untrusted' | 'unknown'; readonly reason: string };

/** The body of a report in the outbox folder. */
export type StoredBody =
  | { readonly kind: 'found'; readonly text: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly error: string };

/** What the environment provides to a step. */
export interface StepEnvironment {
  /** Wall-clock time of the step, milliseconds since 1970. */
  readonly nowMs: number;
  /** Uniformly distributed in [0, 1). */
  readonly random: number;
}
