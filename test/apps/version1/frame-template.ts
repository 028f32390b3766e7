/**
 * Frames as written in tables, with placeholders that only a run can fill. A placeholder is either known before (the
 * task's id), or taken from the received frame, if its value there is acceptable (a time, an id).
 */
const PLACE = Symbol('place');

export interface Place {
  readonly [PLACE]: string;
  /** For one that is not known before: whether the received value is acceptable. */
  readonly fits?: (value: unknown) => boolean;
}

/** A placeholder filled with the value known under this name. */
export const known = (name: string): Place => ({ [PLACE]: name });

/** A placeholder filled with the received value. */
export const any = (name: string, fits: (value: unknown) => boolean): Place => ({ [PLACE]: name, fits });

const STARTED_AT_MS = Date.now();
/** The furthest that anything here is planned ahead, in milliseconds. */
const AHEAD_MS = 120_000;

/** A time during this test run: not before it, not after now. */
export const A_TIME = any(
  'a time',
  (value) => Number.isSafeInteger(value) && (value as number) >= STARTED_AT_MS && (value as number) <= Date.now() + AHEAD_MS,
);

/** The template with its placeholders filled, to be compared with the whole of `came`; what does not match stays as `<name>`. */
export function fill(template: unknown, values: Readonly<Record<string, unknown>>, came?: unknown): unknown {
  if (isPlace(template)) {
    if (template.fits === undefined) return Object.hasOwn(values, template[PLACE]) ? values[template[PLACE]] : `<${template[PLACE]}>`;
    return template.fits(came) ? came : `<${template[PLACE]}>`;
  }
  if (Array.isArray(template)) return template.map((one, index) => fill(one, values, Array.isArray(came) ? came[index] : undefined));
  if (typeof template !== 'object' || template === null) return template;
  const beside = typeof came === 'object' && came !== null ? (came as Readonly<Record<string, unknown>>) : {};
  return Object.fromEntries(Object.entries(template).map(([key, one]) => [key, fill(one, values, beside[key])]));
}

const isPlace = (value: unknown): value is Place => typeof value === 'object' && value !== null && PLACE in value;
