/** The ports a sidecar needs. */
import type { Clock } from '../../../ports/clock.ts';
import type { Digest, Ids } from '../../../ports/chance.ts';
import type { HubLink } from '../../../ports/hub-link.ts';
import type { Journal } from '../../../ports/journal.ts';
import type { Log } from '../../../ports/log.ts';
import type { ResultInbox } from '../../../ports/result-inbox.ts';
import type { DeviceKey } from '../../../ports/trust/device-key.ts';
import type { TaskSignatures } from '../../../ports/trust/task-signatures.ts';
import type { StopSignal, WakeRunner } from '../../../ports/wake-runner.ts';

/** An `AbortController`, which core has no type for. Runners get its signal, so it must be one that they accept: for plugins, a real one. */
export interface StopController {
  readonly signal: StopSignal;
  abort(reason?: unknown): void;
}

type Writes = 'save' | 'writeReport' | 'removeReport' | 'refuseReport';

/** A `Journal`, or one in memory whose writes return undefined if they are already done, so that nothing is awaited. */
export type SidecarJournal = Omit<Journal, Writes> & {
  readonly [K in Writes]: (...given: Parameters<Journal[K]>) => Promise<void> | undefined;
};

export interface SidecarPorts {
  readonly link: HubLink;
  readonly journal: SidecarJournal;
  readonly results: ResultInbox;
  /** Undefined: the agent polls for tasks. */
  readonly runner: WakeRunner | undefined;
  /** Proves to hubs that this is the machine that its agent is bound to. Default: none. */
  readonly deviceKey?: DeviceKey | undefined;
  /** Given if only signed tasks are accepted. */
  readonly signatures?: TaskSignatures | undefined;
  /**
   * The current token, for a new connection; null: unchanged. Without this port the token of the config is used for as long as the sidecar
   * runs. May reject; the last token is used then.
   */
  readonly readToken?: (() => Promise<string | null>) | undefined;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly digest: Digest;
  readonly log: Log;
  /** `() => new AbortController()` */
  readonly stopController: () => StopController;
  /**
   * Runs `work` at the end of this turn of the event loop, or of the next one if this is the end of a turn. Given if runs may end within the
   * turn after the one in which they were woken: the acceptance of a first assignment then waits for the end of that turn, and is not sent if
   * the run has ended, because the hub treats the end as an acceptance, too.
   */
  readonly afterTurn?: ((work: () => void) => void) | undefined;
}
