/** A step from one schema to the next. Steps are code, in a list: nothing is looked for on disk when the hub starts. */
export interface Migration {
  /** Unique and never changed: the database remembers by it which steps it has taken. */
  readonly name: string;
  /** The statements for each database, run in order in one transaction with all other new steps. */
  readonly sqlite: readonly string[];
  readonly postgres: readonly string[];
}
