import { RenewedMap } from './renewed-map.ts';

/**
 * An immutable map with string keys whose changes take constant time: the newest version holds the entries, and each older one records how
 * it differs from the next. Reading an older version moves the entries there, in time proportional to the number of changes in between. This
 * suits a state whose older versions are hardly ever read, such as one that is restored after a failed write.
 *
 * An older version references the newest one through all versions in between. V8 moves objects that survive two collections to its old
 * generation, where it collects garbage much later and until then treats everything that they reference as alive: a single version there
 * would retain all later ones. So a version that is no longer needed must be released.
 */
export class PersistentMap<V extends NonNullable<unknown> | null> {
  /** Null in every version but one. */
  #entries: RenewedMap<string, V> | null;
  /** The version closer to the entries, and the one key that differs: its value here, undefined if it is absent here. */
  #closer: PersistentMap<V> | null = null;
  #key = '';
  #value: V | undefined = undefined;

  /** Takes ownership of `entries`. */
  constructor(entries = new RenewedMap<string, V>()) {
    this.#entries = entries;
  }

  get(key: string): V | undefined {
    return this.#own().get(key);
  }

  has(key: string): boolean {
    return this.#own().has(key);
  }

  get isEmpty(): boolean {
    return this.#own().isEmpty;
  }

  /** In no particular order. */
  values(): readonly V[] {
    return [...this.#own().values()];
  }

  with(key: string, value: V): PersistentMap<V> {
    const entries = this.#own();
    const replaced = entries.get(key);
    if (replaced === value) return this;
    entries.set(key, value);
    return this.#leadTo(new PersistentMap(entries), key, replaced);
  }

  without(key: string): PersistentMap<V> {
    const entries = this.#own();
    const removed = entries.get(key);
    if (removed === undefined) return this;
    entries.delete(key);
    return this.#leadTo(new PersistentMap(entries), key, removed);
  }

  /** Unless this version is the newest, it drops its reference to the others; reading it then throws. */
  release(): void {
    this.#closer = null;
    this.#value = undefined;
  }

  #leadTo(closer: PersistentMap<V>, key: string, value: V | undefined): PersistentMap<V> {
    this.#entries = null;
    this.#closer = closer;
    this.#key = key;
    this.#value = value;
    return closer;
  }

  /** The entries, brought to the state of this version. */
  #own(): RenewedMap<string, V> {
    if (this.#entries !== null) return this.#entries;
    const older: PersistentMap<V>[] = [];
    let owner: PersistentMap<V> = this;
    for (; owner.#closer !== null; owner = owner.#closer) older.push(owner);
    const entries = owner.#entries;
    if (entries === null) throw new Error('A version of a map was read after it was released.');
    for (const version of older.reverse()) {
      const key = version.#key;
      const value = version.#value;
      const there = entries.get(key);
      if (value === undefined) entries.delete(key);
      else entries.set(key, value);
      version.#entries = entries;
      version.#closer = null;
      version.#value = undefined;
      owner = owner.#leadTo(version, key, there);
    }
    return entries;
  }
}
