/** The sidecar's state: its journal, and what only this process knows. Immutable. */
import type { AgentId, Generation, TaskId } from '../../../domain/ids.ts';
import type { AcceptPolicy } from '../../../domain/assignment/accept-policy.ts';
import type { AssignmentId, Slot } from '../../../domain/assignment/slot.ts';
import { encodedBytes } from '../../../domain/encoded-text.ts';
import { HELD_TASK_COUNTED_BYTES_MAX } from '../../../protocol/fields.ts';
import { PersistentMap } from '../../../domain/persistent-map.ts';
import { NO_USAGE, type Usage, type UsageFields } from '../../../domain/usage.ts';
import type { SidecarTiming } from '../../../config/times.ts';
import type { OutputStream } from '../../../domain/assignment/output-stream.ts';
import type { PreparedRun } from '../../../ports/result-inbox.ts';
import type { RunnerCheck } from '../../../ports/wake-runner.ts';
import type { DeviceKey } from '../../../ports/trust/device-key.ts';
import type { PolicyFrame } from '../../../protocol/hub-frames.ts';
import type { Hmac } from '../../../protocol/proof.ts';
import { DEFAULT_POLICY } from './constants.ts';
import type { Failure } from './failure.ts';
import type { SidecarInput } from './inputs.ts';
import type { JournalState } from './journal-state.ts';

/** Constant while the sidecar runs. */
export interface SidecarSettings {
  readonly agentId: AgentId;
  readonly name: string;
  /** The token at the start. */
  readonly token: string;
  /** New at every start; distinguishes processes on the same data directory. */
  readonly processId: string;
  /** Tried in turn; at least one. */
  readonly hubs: readonly string[];
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly timing: SidecarTiming;
  /** Maximum size of `refused/` in bytes; above it no task is accepted. */
  readonly refusedBytesMax: number;
  /** Null: the agent polls for tasks. */
  readonly runner: { readonly adoptable: boolean; readonly hasCheck: boolean } | null;
  /** SHA-256 of a text's UTF-8 bytes, hexadecimal. */
  readonly sha256: (text: string) => string;
  readonly hmac: Hmac;
  /** The key of this machine; null: it has none. */
  readonly deviceKey: DeviceKey | null;
  /** Send the token without asking for the hub's proof. */
  readonly plainToken: boolean;
  /** Its journal ends with its process. */
  readonly isVolatile: boolean;
  /** Acceptances wait for the end of a turn; see `SidecarPorts.afterTurn`. */
  readonly awaitsTurns: boolean;
  /** Which tasks it accepts; null: all. */
  readonly acceptPolicy: AcceptPolicy | null;
  /** Whether it accepts signed tasks only. */
  readonly requiresSignature: boolean;
  /** Its names in signatures, besides its agent id. */
  readonly audiences: readonly string[];
  /** Its agent is a function of this process; see `SidecarConfigPart.inProcess`. */
  readonly inProcess: boolean;
}

export interface SidecarState {
  /** `new` until the start input; no task is accepted once `stopping`. */
  readonly phase: 'new' | 'running' | 'stopping' | 'stopped';
  readonly instanceId: string;
  readonly journal: JournalState;
  /** At least what all tasks in the journal count together, bytes: tasks that are gone are included until it has to be exact. */
  readonly tasksBytes: number;
  readonly link: LinkState;
  /** By `mapKey`. */
  readonly live: PersistentMap<LiveSlot>;
  /** How often unanswered reports were resent on this link, by `mapKey`; nearly all are answered before that. */
  readonly resendCounts: PersistentMap<number>;
  readonly drain: { readonly reason: string; readonly drainedSent: boolean } | null;
  /** Set once this process accepts no more tasks; `notified`: nothing was left, and the caller was notified. */
  readonly ownDrain: { readonly notified: boolean } | null;
  /** Set while the journal cannot be written: the inputs deferred since, in order. */
  readonly fault: { readonly deferred: readonly SidecarInput[] } | null;
  /** The journal could not be written, and the disk reserve for reports is not restored yet. */
  readonly awaitsReserve: boolean;
  /** `refused/` is over its limit. */
  readonly refusedFull: boolean;
  readonly checks: ChecksState;
}

/** Whether the agent could run now. Null fields are not known yet. */
export interface ChecksState {
  /** A runner check is in progress. */
  readonly isRunning: boolean;
  readonly runner: readonly RunnerCheck[] | null;
  /** Consecutive failed checks, for the backoff. */
  readonly failures: number;
  /** How far this machine's clock is behind the hub's. */
  readonly clockBehindMs: number | null;
  readonly hasReserve: boolean | null;
  /** The failing checks last sent on this link, as a comparable string; null if none were sent. */
  readonly sent: string | null;
}

/**
 * The connection: `down` ─► `connecting` ─► `greeting` ─► `identifying` ─► `identified` ─► `down`. The hub proves
 * itself in `greeting`, which `plainToken` skips. There is one connection at a time, identified by `connectionId`; inputs
 * of older ones are dropped.
 */
export interface LinkState {
  readonly phase: 'down' | 'connecting' | 'greeting' | 'identifying' | 'identified';
  /** Counts up with each attempt to connect. */
  readonly connectionId: number;
  /** Sent in `hello`; the hub's proof must cover it. */
  readonly nonce: string;
  /** The token that it identifies with. Null: that of the settings. */
  readonly token: string | null;
  /** Index into `settings.hubs`. */
  readonly hubIndex: number;
  /** Consecutive connections that were not identified, for the backoff. */
  readonly failures: number;
  /** Consecutive refusals because another sidecar has this identity. */
  readonly identityConflicts: number;
  readonly everIdentified: boolean;
  readonly awaitingFrame: boolean;
  /** When it last sent a frame whose answer carries the hub's time. */
  readonly timeRequestedAtMs: number | null;
  readonly policy: PolicyFrame;
  readonly storeId: string | null;
  /**
   * Keys of the assignments for which a refusable frame, other than the report of the end, was sent on this link. A
   * refusal may be the answer to that frame.
   */
  readonly mayBeRefused: PersistentMap<true>;
}

/** What this process knows about an assignment beyond the journal. */
export interface LiveSlot {
  /** Its folders are being created. */
  readonly preparing: boolean;
  readonly paths: PreparedRun | null;
  /** A runner event stream is open for it. */
  readonly following: boolean;
  /** The run was started by an earlier process, or is attached only to stop it. */
  readonly attached: boolean;
  /** Attached, and the runner says `woken`: the run continues without anyone following it. */
  readonly handedOver: boolean;
  readonly end: RunEnd | null;
  /** The runner threw before `spawned`; reported once nothing of the run is alive. */
  readonly wakeError: string | null;
  /** The runner reported a failure; sent once the folder was scanned and had no result. */
  readonly failure: Failure | null;
  /** Part of its run may still be alive: it could not be stopped, or it is not known whether it was. */
  readonly mayLive: boolean;
  /** The run's age is unknown, since a clock may have been moved while the sidecar was down. */
  readonly ageUnknown: boolean;
  /** There is an unreadable result that no report mentions. */
  readonly hasUnreadableResult: boolean;
  /** Number of the newest scan of its folder. */
  readonly scan: number;
  /** The successful wake was reported to the hub. */
  readonly wakeReported: boolean;
  /** What the current run has used so far. */
  readonly used: Usage;
  /** The last output of the current run. */
  readonly lastOutput: LastOutput;
  /** Its live output that was not sent yet. */
  readonly heldOutput: HeldOutput;
  /** Progress held back by the rate limit, if any. */
  readonly progress: ProgressFields | null;
  /** A progress frame was sent less than a second ago. */
  readonly progressThrottled: boolean;
}

export interface ProgressFields extends UsageFields {
  readonly percent?: number;
  readonly message?: string;
  readonly session_id?: string;
}

/** How a run's process tree ended. */
export interface RunEnd {
  /** It was stopped by our signal. */
  readonly stopped: boolean;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stderrTail: string;
  readonly survivors: readonly number[];
  /** It did nothing because the session to resume no longer exists. */
  readonly sessionGone?: boolean | undefined;
}

/** The tail of a run's output: standard error, and everything else its program printed. */
export interface LastOutput {
  readonly stderr: string;
  readonly output: string;
}

/** Live output of an assignment on its way to the hub. */
export interface HeldOutput {
  /** Oldest first. */
  readonly pieces: readonly { readonly stream: OutputStream; readonly text: string }[];
  /** Characters dropped before the first piece. */
  readonly dropped: number;
  /** The number of the next frame. */
  readonly seq: number;
  /** Some was sent less than `OUTPUT_EVERY_MS` ago. */
  readonly isThrottled: boolean;
}

export const NO_OUTPUT: LastOutput = { stderr: '', output: '' };

export const INITIAL_LIVE: LiveSlot = {
  preparing: false,
  paths: null,
  following: false,
  attached: false,
  handedOver: false,
  end: null,
  wakeError: null,
  failure: null,
  mayLive: false,
  ageUnknown: false,
  hasUnreadableResult: false,
  scan: 0,
  wakeReported: false,
  used: NO_USAGE,
  lastOutput: NO_OUTPUT,
  heldOutput: { pieces: [], dropped: 0, seq: 0, isThrottled: false },
  progress: null,
  progressThrottled: false,
};

/** A cache: a task never changes. */
const sizes = new WeakMap<Slot['task'], number>();

/** What a task counts towards `HELD_TASKS_BYTES_MAX`. */
export function countedBytes(task: Slot['task']): number {
  const known = sizes.get(task);
  if (known !== undefined) return known;
  const bytes = Math.min(encodedBytes(task), HELD_TASK_COUNTED_BYTES_MAX);
  sizes.set(task, bytes);
  return bytes;
}

/** What all tasks in the journal count together. */
export const tasksBytesOf = ({ slots }: JournalState): number => slots.reduce((sum, { task }) => sum + countedBytes(task), 0);

/** The state before the start input: only what the journal holds. */
export const loadedState = (journal: JournalState, instanceId: string): SidecarState => ({
  phase: 'new',
  instanceId,
  journal,
  tasksBytes: tasksBytesOf(journal),
  link: {
    phase: 'down',
    connectionId: 0,
    nonce: '',
    token: null,
    hubIndex: 0,
    failures: 0,
    identityConflicts: 0,
    everIdentified: false,
    awaitingFrame: false,
    timeRequestedAtMs: null,
    policy: DEFAULT_POLICY,
    storeId: null,
    mayBeRefused: new PersistentMap(),
  },
  live: new PersistentMap(),
  resendCounts: new PersistentMap(),
  drain: null,
  ownDrain: null,
  fault: null,
  awaitsReserve: false,
  refusedFull: false,
  checks: { isRunning: false, runner: null, failures: 0, clockBehindMs: null, hasReserve: null, sent: null },
});

/** Releases the map versions that only the state `before` has; it must not be used any more. See `PersistentMap`. */
export function releaseState(before: SidecarState, now: SidecarState): void {
  if (before.live !== now.live) before.live.release();
  if (before.resendCounts !== now.resendCounts) before.resendCounts.release();
  if (before.link.mayBeRefused !== now.link.mayBeRefused) before.link.mayBeRefused.release();
}

/** An assignment's identifiers as frame fields. */
export interface FrameIds {
  readonly task_id: TaskId;
  readonly generation: Generation;
}

export const frameIds = ({ taskId, generation }: AssignmentId): FrameIds => ({ task_id: taskId, generation });

/** The assignment that a frame is about. */
export const assignmentIdIn = ({ task_id: taskId, generation }: FrameIds): AssignmentId => ({ taskId, generation });
