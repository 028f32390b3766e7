/**
 * A copy of a value as a database would return it, after a round trip through JSON: a caller cannot share objects with the store.
 * Frozen, so that a caller cannot change what is stored.
 */
export const keptCopy = <T>(value: T): T => copied(value) as T;

function copied(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value + 0 : null;
    case 'object':
      break;
    default:
      throw new TypeError(`JSON has no ${typeof value}, so no store keeps one.`);
  }
  if (value === null) return null;
  if (Array.isArray(value)) return Object.freeze(value.map((inner: unknown) => (inner === undefined ? null : copied(inner))));
  const copy: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    // A plain assignment of this name would set the prototype.
    if (name === '__proto__') Object.defineProperty(copy, name, { value: copied(inner), enumerable: true });
    else copy[name] = copied(inner);
  }
  return Object.freeze(copy);
}
