/**
 * Rows that cannot be read. A request for one by name gets the error; a search over many omits it and continues, since
 * one damaged row must not stop the queue. Each is logged once.
 */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Row } from './row.ts';

/** Maximum number of rows that are logged, and remembered as logged. */
const LOGGED_MAX = 1_000;

/** What a search finds of these rows, without those that cannot be read. */
export type ReadableOf = <T, R = Row>(rows: readonly R[], read: (row: R) => T) => readonly T[];

export function readableRows(log: Log): ReadableOf {
  const logged = new Set<string>();
  return (rows, read) =>
    rows.flatMap((row) => {
      try {
        return [read(row)];
      } catch (thrown) {
        if (!AgentcomError.is(thrown, 'AC_STORE_DAMAGED')) throw thrown;
        if (!logged.has(thrown.message) && logged.size < LOGGED_MAX) {
          logged.add(thrown.message);
          log.error('a stored row cannot be read and is skipped', { error: thrown });
        }
        return [];
      }
    });
}
