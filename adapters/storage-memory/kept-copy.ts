/**
 * What goes into a real database comes out as a copy made through JSON. The twin does the same, so that nobody leans on
 * sharing objects with it, and freezes the copy, so that nobody changes what is stored.
 */
export function keptCopy<T>(value: T): T {
  return freeze(JSON.parse(JSON.stringify(value)) as T);
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) freeze(inner);
  return Object.freeze(value);
}
