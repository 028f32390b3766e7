/**
 * An index of a list, stored on the list itself. A WeakMap from list to index would do the same, but V8's garbage collector has to visit
 * each of its entries, and a list that changes with each task leaves one behind each time.
 */
const INDEX = Symbol('index');

interface Indexed {
  [INDEX]?: unknown;
}

/** The index of the list. If it has none, `make` creates one, which the list keeps; a frozen list gets a new one each time. */
export function indexOf<I>(list: readonly unknown[], make: () => I): I {
  const known = (list as Indexed)[INDEX] as I | undefined;
  if (known !== undefined) return known;
  const index = make();
  if (Object.isExtensible(list)) (list as Indexed)[INDEX] = index;
  return index;
}

/** Moves the index, if there is one, from `from` to `to`. */
export function transferIndex<L extends readonly unknown[]>(from: readonly unknown[], to: L): L {
  const index = (from as Indexed)[INDEX];
  if (index === undefined) return to;
  if (Object.isExtensible(from)) (from as Indexed)[INDEX] = undefined;
  (to as Indexed)[INDEX] = index;
  return to;
}
