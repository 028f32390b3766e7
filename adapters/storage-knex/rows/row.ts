/** A row as a database answers it, by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;
