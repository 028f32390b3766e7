/**
 * Fails statements of real SQLite. It hooks into the driver, around every statement of every connection (BEGIN, reads,
 * writes, COMMIT, ROLLBACK, checkpoints), so that neither the storage nor Knex knows of it.
 */
import { ThreadDatabase } from '../../../adapters/storage-knex/sqlite/node-driver.ts';
import { testedDriver } from '../../adapters/storage-places/sqlite-storage-place.ts';
import { CallCount } from './call-count.ts';

/**
 * `ioerr`, `busy`: the statement is not run and fails with that SQLite code; a full or broken disk looks like `ioerr`
 * to all layers above. `answer lost`: it is run, and fails all the same; after a COMMIT the outcome is then unknown.
 */
export const STORE_FAULTS = ['ioerr', 'busy', 'answer lost'] as const;
export type StoreFault = (typeof STORE_FAULTS)[number];

const CODES: Readonly<Record<StoreFault, string>> = {
  ioerr: 'SQLITE_IOERR',
  busy: 'SQLITE_BUSY',
  'answer lost': 'SQLITE_IOERR',
};
const METHODS = ['all', 'run'] as const;

type Callback = (this: unknown, error: Error | null, ...rest: unknown[]) => void;
type Method = (this: object, ...parts: unknown[]) => unknown;

export interface StatementFaults {
  readonly count: CallCount;
  /** What the failing statements hit from now on. */
  fault: StoreFault;
  /** Removes it from the driver. */
  remove(): void;
}

/** What every statement passes through. */
const statements: object = testedDriver.name === 'node' ? ThreadDatabase.prototype : (await import('sqlite3')).default.Statement.prototype;

/** Hooks into the driver of this process; one at a time. */
export function statementFaults(): StatementFaults {
  const prototype = statements as Record<string, Method>;
  const count = new CallCount();
  const faults: StatementFaults = {
    count,
    fault: 'ioerr',
    remove() {
      for (const [name, method] of originals) prototype[name] = method;
    },
  };
  const originals = METHODS.map((name) => [name, prototype[name] as Method] as const);
  for (const [name, original] of originals) {
    prototype[name] = function failing(...parts) {
      const done = parts.at(-1);
      if (typeof done !== 'function' || !count.hits()) return original.apply(this, parts);
      const callback = done as Callback;
      const code = CODES[faults.fault];
      const error = Object.assign(new Error(`${code}: planted`), { code });
      if (faults.fault === 'answer lost') {
        return original.apply(this, [...parts.slice(0, -1), (found: Error | null) => callback.call(this, found ?? error)]);
      }
      setImmediate(() => callback.call(this, error));
      return this;
    };
  }
  return faults;
}
