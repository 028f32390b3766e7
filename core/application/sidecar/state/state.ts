/** All that a sidecar holds: its journal, and what is only known to this process. A plain value, never changed in place. */
import type { AgentId } from '../../../domain/ids.ts';
import type { Assignment } from '../../../domain/assignment/slot.ts';
import { NO_USAGE, type Usage, type UsageFields } from '../../../domain/usage.ts';
import type { SidecarTiming } from '../../../config/times.ts';
import type { PreparedRun } from '../../../ports/result-inbox.ts';
import type { RunnerCheck } from '../../../ports/wake-runner.ts';
import type { PolicyFrame } from '../../../protocol/hub-frames.ts';
import type { Hmac } from '../../../protocol/proof.ts';
import { DEFAULT_POLICY } from './bounds.ts';
import type { Failure } from './failure.ts';
import type { Event } from './inputs.ts';
import type { JournalState } from './journal-state.ts';

/** What does not change while it runs. */
export interface SidecarSetting {
  readonly agentId: AgentId;
  readonly name: string;
  readonly token: string;
  /** Made anew at each start: tells this process from another one with the same data directory. */
  readonly processId: string;
  /** Tried in turn; at least one. */
  readonly hubs: readonly string[];
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly timing: SidecarTiming;
  /** What `refused/` may hold before no task is taken any more, bytes. */
  readonly refusedBytesMax: number;
  /** Null: the agent polls for its tasks by itself. */
  readonly runner: { readonly adoptable: boolean; readonly hasCheck: boolean } | null;
  /** SHA-256 of the UTF-8 of a text, hexadecimal. */
  readonly sha256: (text: string) => string;
  readonly hmac: Hmac;
  /** Sends the token without asking for the hub's proof. */
  readonly plainToken: boolean;
}

export interface SidecarState {
  /** `new` until the start input; nothing is taken any more once `stopping`. */
  readonly phase: 'new' | 'running' | 'stopping' | 'stopped';
  readonly instanceId: string;
  readonly journal: JournalState;
  readonly link: LinkState;
  /** By `assignmentKey`. */
  readonly live: Readonly<Record<string, LiveSlot>>;
  /** How often each unanswered report was sent on this link, by `assignmentKey`. */
  readonly sendings: Readonly<Record<string, number>>;
  readonly drain: { readonly reason: string; readonly drainedTold: boolean } | null;
  /** Not null while the journal cannot be written: what happened since and waits for it, in order. */
  readonly fault: { readonly deferred: readonly Event[] } | null;
  /** The journal could not be written, and the room that is kept for reports is not back yet. */
  readonly isShort: boolean;
  /** `refused/` holds more than it may. */
  readonly refusedFull: boolean;
  readonly checks: ChecksState;
}

/** Whether its agent could run. Null: not known yet. */
export interface ChecksState {
  /** The runner is being asked. */
  readonly isLooking: boolean;
  readonly runner: readonly RunnerCheck[] | null;
  /** Looks in a row that failed, for the backoff. */
  readonly failures: number;
  /** By how much this machine's clock is behind that of the hub. */
  readonly behindMs: number | null;
  readonly hasReserve: boolean | null;
  /** What the hub was told on this link that fails, as one text; null when it was told nothing. */
  readonly told: string | null;
}

/**
 * The connection: `down` ─► `connecting` ─► `greeting` ─► `identifying` ─► `identified` ─► `down`; the hub proves itself in
 * `greeting`, which `plainToken` leaves out. One at a time; `number` names it,
 * and what an older one still delivers is dropped.
 */
export interface LinkState {
  readonly phase: 'down' | 'connecting' | 'greeting' | 'identifying' | 'identified';
  readonly number: number;
  /** Said in `hello`; what a proof of this link must have in it. */
  readonly nonce: string;
  /** Place in `setting.hubs`. */
  readonly hub: number;
  /** Connections in a row that did not get to `identified`, for the backoff. */
  readonly failures: number;
  /** Times in a row that the hub said that another one has the identity. */
  readonly holdOffs: number;
  readonly everIdentified: boolean;
  readonly awaitingFrame: boolean;
  /** When it last asked for a word that tells the hub's time. */
  readonly askedAtMs: number | null;
  readonly policy: PolicyFrame;
  readonly storeId: string | null;
  /**
   * Assignments of which something beside their end was said on this link, by key: a refusal may be the answer to that.
   */
  readonly talkedOf: readonly string[];
}

/** What this process knows of an assignment beyond the journal. */
export interface LiveSlot {
  /** Its folders are being made. */
  readonly preparing: boolean;
  readonly paths: PreparedRun | null;
  /** A stream of the runner is open for it. */
  readonly following: boolean;
  /** The run was begun by an earlier process of this sidecar, or is only followed to be stopped. */
  readonly attached: boolean;
  /** It is attached, and its runner says that it was woken: a run that goes on by itself when nobody follows it any more. */
  readonly handedOver: boolean;
  readonly end: RunEnd | null;
  /** Its runner threw before it had told of a process: what is told once nothing of the run is alive. */
  readonly wakeError: string | null;
  /** Its runner said that it failed: told once its folder was looked at, unless a result lies there. */
  readonly failure: Failure | null;
  /** Something of its run could not be stopped, or nobody knows. */
  readonly mayLive: boolean;
  /** How long its run lasted is not known: it may have gone on while a clock was moved. */
  readonly inDoubt: boolean;
  /** Its result cannot be read, and no report says so. */
  readonly hasUnread: boolean;
  /** The number of the newest look into its folder. */
  readonly look: number;
  /** The hub was told that the wake went well. */
  readonly wakeTold: boolean;
  /** What its present run used until now. */
  readonly used: Usage;
  /** What its present run said last. */
  readonly heard: LastWords;
  /** Progress that waits for its second; null when none does. */
  readonly progress: ProgressFields | null;
  /** One was sent less than a second ago. */
  readonly progressHeld: boolean;
}

export interface ProgressFields extends UsageFields {
  readonly percent?: number;
  readonly message?: string;
  readonly session_id?: string;
}

/** How a run's process tree ended. */
export interface RunEnd {
  /** By our signal. */
  readonly stopped: boolean;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stderrTail: string;
  readonly survivors: readonly number[];
  /** It did nothing: the session that it was given is not there any more. */
  readonly sessionGone?: boolean | undefined;
}

/** The end of what was heard of a run: on standard error, and of what its program said else. */
export interface LastWords {
  readonly stderr: string;
  readonly output: string;
}

export const NOTHING_HEARD: LastWords = { stderr: '', output: '' };

export const NOTHING_LIVE: LiveSlot = {
  preparing: false,
  paths: null,
  following: false,
  attached: false,
  handedOver: false,
  end: null,
  wakeError: null,
  failure: null,
  mayLive: false,
  inDoubt: false,
  hasUnread: false,
  look: 0,
  wakeTold: false,
  used: NO_USAGE,
  heard: NOTHING_HEARD,
  progress: null,
  progressHeld: false,
};

/** Before the start input: what the journal holds. */
export const loadedState = (journal: JournalState, instanceId: string): SidecarState => ({
  phase: 'new',
  instanceId,
  journal,
  link: {
    phase: 'down',
    number: 0,
    nonce: '',
    hub: 0,
    failures: 0,
    holdOffs: 0,
    everIdentified: false,
    awaitingFrame: false,
    askedAtMs: null,
    policy: DEFAULT_POLICY,
    storeId: null,
    talkedOf: [],
  },
  live: {},
  sendings: {},
  drain: null,
  fault: null,
  isShort: false,
  refusedFull: false,
  checks: { isLooking: false, runner: null, failures: 0, behindMs: null, hasReserve: null, told: null },
});

/** An assignment as frames name it. */
export const frameName = (name: Assignment): { readonly task_id: string; readonly generation: number } => ({
  task_id: name.taskId,
  generation: name.generation,
});
