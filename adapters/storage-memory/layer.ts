/** Uncommitted changes over a map: a reader of the layer sees them, a reader of the map does not until `apply`. */
export interface Layer<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): void;
  /** In the map's order, new ones last. */
  entries(): Iterable<readonly [K, V]>;
  values(): Iterable<V>;
  /** Applies the changes to the map, all at once. */
  apply(): void;
  readonly isApplied: boolean;
}

/** `beneath`: a layer over the same map that is applied before this one. */
export function layer<K, V>(map: Map<K, V>, beneath?: Layer<K, V>): Layer<K, V> {
  let under = beneath;
  let isApplied = false;
  const base = (): Pick<Layer<K, V>, 'get' | 'entries'> => {
    if (under?.isApplied === true) under = undefined;
    return under ?? map;
  };
  const changed = new Map<K, V>();
  const removed = new Set<K>();

  function* entries(): Generator<readonly [K, V]> {
    for (const [key, value] of base().entries()) if (!removed.has(key)) yield [key, changed.get(key) ?? value];
    for (const [key, value] of changed) if (base().get(key) === undefined) yield [key, value];
  }

  return {
    get: (key) => (removed.has(key) ? undefined : (changed.get(key) ?? base().get(key))),
    set(key, value) {
      removed.delete(key);
      changed.set(key, value);
    },
    delete(key) {
      changed.delete(key);
      removed.add(key);
    },
    entries,
    values() {
      if (base() === map && removed.size === 0 && changed.size === 0) return map.values();
      return [...entries()].map(([, value]) => value);
    },
    apply() {
      for (const key of removed) map.delete(key);
      for (const [key, value] of changed) map.set(key, value);
      isApplied = true;
    },
    get isApplied() {
      return isApplied;
    },
  };
}
