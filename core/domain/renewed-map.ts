/** After how many deletions the map is renewed; one that has more entries than this, after as many deletions as it has entries. */
const DELETED_MIN = 128;

/**
 * A `Map` for entries that come and go. V8 replaces the table of a `Map` that is full of deleted entries, and the old table references the
 * new one, with everything in it. Once one table is in the old generation, it keeps all later tables alive until the next full collection,
 * and with them each entry that passed through. Copying the entries to a new `Map` from time to time breaks that chain.
 */
export class RenewedMap<K, V> {
  #entries: Map<K, V>;
  #deleted = 0;

  /** Takes ownership of `entries`. */
  constructor(entries = new Map<K, V>()) {
    this.#entries = entries;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  has(key: K): boolean {
    return this.#entries.has(key);
  }

  set(key: K, value: V): void {
    this.#entries.set(key, value);
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** In the order of their first `set`. */
  values(): Iterable<V> {
    return this.#entries.values();
  }

  delete(key: K): void {
    if (!this.#entries.delete(key)) return;
    this.#deleted += 1;
    if (this.#deleted < DELETED_MIN || this.#deleted < this.#entries.size) return;
    this.#entries = new Map(this.#entries);
    this.#deleted = 0;
  }

  clear(): void {
    this.#entries = new Map();
    this.#deleted = 0;
  }
}
