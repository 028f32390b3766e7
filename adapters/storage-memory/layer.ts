/** Uncommitted changes over a map: a reader of the layer sees them, a reader of the map does not until `apply`. */
export interface Layer<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): void;
  /** Values in the map's order, new ones last. */
  values(): Iterable<V>;
  /** Applies the changes to the map, all at once. */
  apply(): void;
}

export function layer<K, V>(base: Map<K, V>): Layer<K, V> {
  const changed = new Map<K, V>();
  const removed = new Set<K>();
  return {
    get: (key) => (removed.has(key) ? undefined : (changed.get(key) ?? base.get(key))),
    set(key, value) {
      removed.delete(key);
      changed.set(key, value);
    },
    delete(key) {
      changed.delete(key);
      removed.add(key);
    },
    values() {
      if (removed.size === 0 && changed.size === 0) return base.values();
      const values: V[] = [];
      for (const [key, value] of base) if (!removed.has(key)) values.push(changed.get(key) ?? value);
      for (const [key, value] of changed) if (!base.has(key)) values.push(value);
      return values;
    },
    apply() {
      for (const key of removed) base.delete(key);
      for (const [key, value] of changed) base.set(key, value);
    },
  };
}
