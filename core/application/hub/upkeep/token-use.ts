/**
 * When each token was last used: recorded in memory, written periodically.
 *
 * A request or an identify only sets a number in a map. Every `TOKEN_USE_WRITE_MS` the recorded times, and those of
 * open sockets, are written as one list; the rest is written when the hub stops. A hub that is killed loses what it
 * had not written.
 */
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { AgentStore, TokenUsed } from '../../../ports/agent-store.ts';
import type { Clock, Timer } from '../../../ports/clock.ts';
import type { Log } from '../../../ports/log.ts';
import { within } from '../../../ports/timing/within.ts';

/** How often the last uses are written, milliseconds: each token's at most once in that time. */
export const TOKEN_USE_WRITE_MS = 300_000;
/** Tokens recorded between two writes; further ones are recorded when they are used after the next write. */
export const TOKENS_NOTED_MAX = 16_384;
/** How long a stop waits for the last write: an unavailable store must not keep a hub from stopping. Milliseconds. */
const LAST_WRITE_WITHIN_MS = 1_000;

export interface TokenUseDeps {
  readonly agents: Pick<AgentStore, 'noteTokensUsed'>;
  readonly clock: Clock;
  readonly log: Log;
}

export class TokenUse {
  readonly #deps: TokenUseDeps;
  #noted = new Map<string, number>();
  #openSockets: () => Iterable<TokenUsed> = () => [];
  #timer: Timer | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: TokenUseDeps) {
    this.#deps = deps;
  }

  /** `openSockets`: the tokens of connected agents, and when each connection last received anything. */
  start(openSockets: () => Iterable<TokenUsed>): void {
    this.#openSockets = openSockets;
    this.#wait();
  }

  /** Writes the rest; a write that fails, or takes too long, is logged. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const { clock, log } = this.#deps;
    const written = this.#writing.then(() => this.#write());
    if (await within(clock, LAST_WRITE_WITHIN_MS, written)) return;
    log.warn('the last use of tokens may not get recorded: the storage takes too long', { within_ms: LAST_WRITE_WITHIN_MS });
  }

  /** Records that the token is used now. */
  note(tokenId: string): void {
    this.#set({ id: tokenId, atMs: this.#deps.clock.nowMs() });
  }

  /** When it was last used, if that is not written yet; null otherwise. */
  lastUsedAtMs(tokenId: string): number | null {
    return this.#noted.get(tokenId) ?? null;
  }

  #wait(): void {
    const timer = this.#deps.clock.after(TOKEN_USE_WRITE_MS, () => {
      this.#writing = this.#write().then(() => {
        if (this.#timer === timer) this.#wait();
      });
    });
    this.#timer = timer;
  }

  #set({ id, atMs }: TokenUsed): void {
    const before = this.#noted.get(id);
    if (before === undefined ? this.#noted.size < TOKENS_NOTED_MAX : before < atMs) this.#noted.set(id, atMs);
  }

  async #write(): Promise<void> {
    for (const used of this.#openSockets()) this.#set(used);
    if (this.#noted.size === 0) return;
    const used = [...this.#noted].map(([id, atMs]): TokenUsed => ({ id, atMs }));
    this.#noted = new Map();
    try {
      await this.#deps.agents.noteTokensUsed(used);
    } catch (thrown) {
      for (const one of used) this.#set(one);
      this.#deps.log.warn('the last use of tokens could not be recorded; the next write tries again', {
        tokens: used.length,
        error: messageOf(thrown),
      });
    }
  }
}
