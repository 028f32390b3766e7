/** A store on Postgres opened only to be inspected, beside its hubs or without one. */
import type { Clock } from '../../../core/ports/clock.ts';
import type { StoreInspection } from '../../../core/ports/store-inspection.ts';
import { inspectionOver } from '../inspection.ts';
import { inspectionStatements } from '../inspection-statements.ts';
import { damageOfSteps } from '../rows/unknown-steps.ts';
import { openPostgresSession, refuseNoStore, stepsIn, type PostgresSession } from './session.ts';
import type { PostgresSettings } from './options.ts';

/**
 * Takes a snapshot and holds it until `close`; meanwhile the server cannot vacuum rows that died since. Locks nothing and writes nothing.
 * Fails with `AC_STORAGE_OPEN`.
 */
export async function inspectPostgres(settings: PostgresSettings, clock: Clock): Promise<StoreInspection> {
  const session = await openPostgresSession(settings, { clock, doing: 'look', alone: false });
  try {
    await session.change('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SAVEPOINT begun');
    const steps = await stepsIn(session);
    refuseNoStore(session.place, steps);
    // After a failed statement, the next ones still read the same snapshot.
    const rows: PostgresSession['rows'] = async (sql, parameter) => {
      try {
        return await session.rows(sql, parameter);
      } catch (thrown) {
        if (!session.writer.isLost) await session.change('ROLLBACK TO SAVEPOINT begun');
        throw thrown;
      }
    };
    return inspectionOver({
      statements: POSTGRES_INSPECTION,
      rows,
      schema: async () => damageOfSteps(steps),
      // Checking its pages is the job of the server's own tools: pg_amcheck.
      file: async () => [],
      quick: async () => null,
      close: session.close,
    });
  } catch (thrown) {
    await session.close();
    throw thrown;
  }
}

export const POSTGRES_INSPECTION = inspectionStatements({
  field: (name, type) => `($1::json ->> '${name}')::${type}`,
  // Not `= ANY`: if the table has no statistics yet, Postgres compares each of its rows with each text.
  among: (table, column) =>
    `(SELECT DISTINCT value FROM json_array_elements_text($1::json) AS value) AS named JOIN ${table} AS t ON t.${column} = named.value`,
  pairs: `(SELECT "taskId" AS task_id, "dependsOn" AS depends_on FROM json_to_recordset($1::json) AS given ("taskId" text, "dependsOn" text))`,
  keyPlace: 'json_build_array(owner, key)::text',
  keyAfter: (element) => `(($1::json ->> 'after')::json ->> ${element})`,
});
