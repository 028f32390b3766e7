/** A batch in the sequence of batches: while it is being saved, the next may be decided on the state that it will leave. */
import type { AgentId } from '../../../domain/ids.ts';
import type { EarlyTransaction } from '../../../ports/timing/turns.ts';

/**
 * running ── `waiting`, where it began early ──► waiting ── `saving` ──► saving ── `end` ──► ended
 *    │  └──────────────────────────────────────────────────────────────────▲│
 *    └◄──────────────────────────── `failed`: tried again ──────────────────┘
 */
export class BatchTurn implements EarlyTransaction {
  /** How many commands it has. */
  readonly commands: number;
  /** Resolves when its commands are answered and its frames sent. */
  settled: Promise<void> = Promise.resolve();
  /** The agents that it changes, once it is decided. */
  changedAgents: readonly AgentId[] = [];
  readonly #onSaving: () => void;
  #before: BatchTurn | null;
  #state: 'running' | 'waiting' | 'saving' | 'ended' = 'running';
  #handedOver: Promise<void> = Promise.resolve();
  #handOver: () => void = () => undefined;

  /** `before`: the batch that is being saved while this one begins. */
  constructor(commands: number, before: BatchTurn | null, onSaving: () => void) {
    this.commands = commands;
    this.#before = before;
    this.#onSaving = onSaving;
  }

  /** The batch before, until it has ended: it is answered first, and until then the roster does not reflect its changes. */
  get before(): BatchTurn | null {
    if (this.#before?.hasEnded === true) this.#before = null;
    return this.#before;
  }

  get isSaving(): boolean {
    return this.#state === 'saving';
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  waiting(): void {
    this.#state = 'waiting';
    this.#handedOver = new Promise((resolve) => (this.#handOver = resolve));
  }

  saving(): void {
    this.#state = 'saving';
    this.#handOver();
    this.#onSaving();
  }

  /** A try was not committed. */
  failed(): void {
    this.#state = 'running';
    this.#handOver();
  }

  end(): void {
    this.#state = 'ended';
    this.#before = null;
  }

  /** If it waits for the batch before, resolves once it no longer does: it is being saved, or its try failed. Otherwise resolves at once. */
  async handedOver(): Promise<void> {
    if (this.#state === 'waiting') await this.#handedOver;
  }
}
