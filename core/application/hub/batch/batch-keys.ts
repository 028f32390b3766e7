/** The idempotency keys of one transaction: those it has loaded, and those it saves. */
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { IdempotencyName, IdempotencyRecord } from '../../../ports/task-store.ts';

export class BatchKeys {
  /** Keys were not looked up: `save` fails if one of them is not new. */
  readonly #assumesNew: boolean;
  /** By key, since few owners use the same one. */
  readonly #known = new Map<string, readonly IdempotencyRecord[]>();
  readonly #added: IdempotencyRecord[] = [];

  constructor(assumesNew: boolean) {
    this.#assumesNew = assumesNew;
  }

  /** What must be looked up before the commands run. */
  toLoad<Name>(names: readonly Name[]): readonly Name[] {
    return this.#assumesNew ? [] : names;
  }

  /** For an answer with which `save` cannot detect whether the key is new. Fails with `AC_STORE_RETRY` if it was not looked up. */
  requireLoaded(): void {
    if (!this.#assumesNew) return;
    throw new AgentcomError('AC_STORE_RETRY', 'Cannot answer a submit whose idempotency key was not looked up. Look it up first.');
  }

  get({ owner, key }: IdempotencyName): IdempotencyRecord | undefined {
    if (this.#known.size === 0) return undefined;
    return this.#known.get(key)?.find((one) => one.owner === owner);
  }

  /** Adds a key that the store has. */
  load(record: IdempotencyRecord): void {
    const { owner, key } = record;
    this.#known.set(key, [...(this.#known.get(key) ?? []).filter((one) => one.owner !== owner), record]);
  }

  add(record: IdempotencyRecord): void {
    this.load(record);
    this.#added.push(record);
  }

  /** The keys to save. */
  get added(): readonly IdempotencyRecord[] {
    return this.#added;
  }
}
