/** Removes entries of the audit log that are past their retention. */
import type { Clock, Timer } from '../../../ports/clock.ts';
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { Log } from '../../../ports/log.ts';
import type { AuditLog } from '../../../ports/storage.ts';
import { within } from '../../../ports/timing/within.ts';

/** Between two rounds; within a round, between two removals. Milliseconds. */
const ROUND_MS = 3_600_000;
const AGAIN_MS = 1_000;
/** Entries that one transaction removes. */
const REMOVED_AT_ONCE = 500;
/** How long a stop waits for a removal: an unavailable store must not keep a hub from stopping. Milliseconds. */
const LAST_REMOVAL_WITHIN_MS = 1_000;

export interface AuditUpkeepDeps {
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Log;
  readonly keptMs: number;
  readonly entriesMax: number;
}

export class AuditUpkeep {
  readonly #deps: AuditUpkeepDeps;
  #timer: Timer | null = null;
  #isStopped = false;
  #removing: Promise<void> = Promise.resolve();

  constructor(deps: AuditUpkeepDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#removeLater(ROUND_MS);
  }

  /** Waits for a removal in progress; one that takes too long is logged. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    const { clock, log } = this.#deps;
    if (await within(clock, LAST_REMOVAL_WITHIN_MS, this.#removing)) return;
    log.warn('removing old entries of the audit log may fail: the storage takes too long', { within_ms: LAST_REMOVAL_WITHIN_MS });
  }

  #removeLater(delayMs: number): void {
    this.#timer = this.#deps.clock.after(delayMs, () => void (this.#removing = this.#remove()));
  }

  async #remove(): Promise<void> {
    const { audit, log, keptMs, entriesMax } = this.#deps;
    let removed = 0;
    try {
      removed = await audit.remove({ keptMs, entriesMax, limit: REMOVED_AT_ONCE });
    } catch (thrown) {
      log.warn('old entries of the audit log could not be removed; the next round tries again', { error: messageOf(thrown) });
    }
    if (!this.#isStopped) this.#removeLater(removed === REMOVED_AT_ONCE ? AGAIN_MS : ROUND_MS);
  }
}
