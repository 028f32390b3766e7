/** A row as a database returns it, by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;

/** The value of a column with a number, which Postgres may return as text. */
export const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));
