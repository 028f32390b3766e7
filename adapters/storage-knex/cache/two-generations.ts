/**
 * A map of bounded size that evicts what was set longest ago. New values go into the young generation; once that is full, it becomes the
 * old one, and the previous old one is dropped as a whole. Evicting the entries of a `Map` one by one gets slower with each eviction,
 * because an iterator first steps over all deleted entries.
 */
export class TwoGenerations<K, V> {
  readonly #youngMax: number;
  readonly #sizeOf: (value: V) => number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();
  #youngSize = 0;

  /** Keeps values of at most `max` in total, and evicts none while they total at most half of that. `sizeOf`: default 1 for each value. */
  constructor(max: number, sizeOf: (value: V) => number = () => 1) {
    this.#youngMax = max / 2;
    this.#sizeOf = sizeOf;
  }

  get(key: K): V | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  /** The old generation may keep an older value of the key: it is not read while the young one has a value. */
  set(key: K, value: V): void {
    const replaced = this.#young.get(key);
    if (replaced !== undefined) this.#youngSize -= this.#sizeOf(replaced);
    this.add(key, value);
  }

  /** As `set` for a key that has no value, without looking for one: in a large map the lookup takes as long as everything else. */
  add(key: K, value: V): void {
    const size = this.#sizeOf(value);
    if (this.#youngSize + size > this.#youngMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngSize = 0;
    }
    this.#young.set(key, value);
    this.#youngSize += size;
  }

  delete(key: K): void {
    const young = this.#young.get(key);
    if (young !== undefined) {
      this.#young.delete(key);
      this.#youngSize -= this.#sizeOf(young);
    }
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngSize = 0;
  }
}
