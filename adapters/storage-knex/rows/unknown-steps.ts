/** Keeps a hub off a database with steps that it does not know: of a newer version, or of a move that was never finished. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { StoreCheck } from '../../../core/ports/store-inspection.ts';
import { ALL_MIGRATIONS } from '../migrations/all-migrations.ts';

/**
 * Listed among the steps of a database while a store is moved into it, from before the first row until everything was compared. Every hub,
 * including older ones, refuses a database with a step that it does not know.
 */
export const MOVE_UNFINISHED = 'move-unfinished';

/** The steps of this program, oldest first. */
export const knownSteps = (): readonly string[] => ALL_MIGRATIONS.map(({ name }) => name);

/**
 * Fails with `AC_MOVE_UNFINISHED` or `AC_SCHEMA_UNKNOWN` if a database has taken a step that is not known here. `storage` and `place` name
 * it: `sqlite`, `file "…"`.
 */
export function refuseUnknownSteps(storage: string, place: string, taken: readonly string[]): void {
  if (taken.includes(MOVE_UNFINISHED))
    throw new AgentcomError(
      'AC_MOVE_UNFINISHED',
      `Cannot open storage "${storage}": ${place} has only a part of a store: \`agentcom migrate\` was interrupted. The store it was copying from is intact. Run \`agentcom migrate\` again with --empty-target, or use the store it was copying from.`,
      { details: { place } },
    );
  const unknown = taken.filter((name) => !knownSteps().includes(name));
  if (unknown.length === 0) return;
  throw new AgentcomError(
    'AC_SCHEMA_UNKNOWN',
    `Cannot open storage "${storage}": ${place} was written by a newer version (it has ${unknown.join(', ')}; this program knows up to ${knownSteps().at(-1) ?? 'nothing'}). Install that version or a later one, or restore a backup made before it.`,
    { details: { place, unknown } },
  );
}

/** Fails as `refuseUnknownSteps`, and with `AC_SCHEMA_OLD` if a step was not taken yet: a store is copied as it is. */
export function requireAllSteps(storage: string, place: string, taken: readonly string[]): void {
  refuseUnknownSteps(storage, place, taken);
  const missing = knownSteps().filter((name) => !taken.includes(name));
  if (missing.length === 0) return;
  throw new AgentcomError(
    'AC_SCHEMA_OLD',
    `Cannot copy storage "${storage}": ${place} was written by an older version (it has not taken ${missing.join(', ')} yet). Start the hub of this version on it once, which brings it up to date, stop it, and try again.`,
    { details: { place, missing } },
  );
}

export interface SchemaDamage {
  readonly check: StoreCheck;
  /** One sentence, without a full stop. */
  readonly what: string;
}

/** What keeps this program from reading a database that has taken these steps. */
export function damageOfSteps(taken: readonly string[]): readonly SchemaDamage[] {
  if (taken.includes(MOVE_UNFINISHED))
    return [{ check: 'schema_unfinished', what: 'it has only a part of a store: `agentcom migrate` was interrupted' }];
  const known = knownSteps();
  const newer = taken.filter((name) => !known.includes(name));
  const missing = known.filter((name) => !taken.includes(name));
  if (newer.length > 0) {
    const what = `it was written by a newer version: it has ${newer.join(', ')}; this program knows up to ${known.at(-1) ?? 'nothing'}`;
    return [{ check: 'schema_newer', what }];
  }
  if (missing.length === 0) return [];
  return [{ check: 'schema_older', what: `it was written by an older version: it has not taken ${missing.join(', ')} yet` }];
}
