/** What `agentcom` can do for a Postgres store that the server's own tools back up and restore. */
import type { RestoreSummary } from '../../../core/config/config.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { refuseUnknownSteps } from '../rows/unknown-steps.ts';
import type { PostgresSettings } from '../postgres/options.ts';
import { lastNumberAfterRestore, noteSkipped } from './restored-numbers.ts';
import { openPostgresSession, refuseNoStore, stepsIn } from '../postgres/session.ts';
import { newStoreId } from '../rows/store-id.ts';

/** The error `AC_USAGE`, which names the command to use instead. */
export const refuseBackUp = (settings: PostgresSettings): AgentcomError =>
  new AgentcomError(
    'AC_USAGE',
    `Cannot back up storage "postgres" from here; its server does it, beside the running hub: pg_dump --format=custom --schema=${settings.schema} --file=FILE DATABASE. After a pg_restore run \`agentcom restore\` without a file.`,
  );

/** The error `AC_USAGE`, which names the command to use instead. */
export const refuseFile = (settings: PostgresSettings): AgentcomError =>
  new AgentcomError(
    'AC_USAGE',
    `Cannot restore a file into storage "postgres" from here; its server does it: stop the hub, move its schema away (psql --dbname=DATABASE --command='ALTER SCHEMA "${settings.schema}" RENAME TO "${settings.schema}_before"'), pg_restore --no-owner --exit-on-error --single-transaction --dbname=DATABASE FILE. Then run \`agentcom restore\` without a file, and start the hub.`,
  );

/** Gives a restored store a new id, so that sidecars notice. Fails with `AC_STORAGE_LOCKED` while a hub runs. */
export async function renewPostgres(settings: PostgresSettings, clock: Clock): Promise<RestoreSummary> {
  const session = await openPostgresSession(settings, { clock, doing: 'copy', alone: true });
  try {
    const steps = await stepsIn(session);
    refuseNoStore(session.place, steps);
    refuseUnknownSteps('postgres', session.place, steps);
    const [numbers] = await session.rows('SELECT last_id, extract(epoch FROM clock_timestamp()) * 1000 AS now_ms FROM event_numbers');
    const last = lastNumberAfterRestore(Number(numbers?.['last_id'] ?? 0), Number(numbers?.['now_ms']));
    const [table] = await session.rows("SELECT to_regclass('removed_events') IS NOT NULL AS there");
    const changes = [
      `UPDATE store SET store_id = '${newStoreId()}'`,
      `UPDATE event_numbers SET last_id = ${last}`,
      ...(table?.['there'] === true ? [noteSkipped(last)] : []),
    ];
    await session.change(`BEGIN; ${changes.join('; ')}; COMMIT`);
    const [row] = await session.rows(
      'SELECT (SELECT store_id FROM store) AS id, (SELECT count(*) FROM tasks) AS tasks, (SELECT max(id) FROM task_events) AS last',
    );
    return {
      place: session.place,
      kept: null,
      storeId: String(row?.['id']),
      tasks: Number(row?.['tasks']),
      lastEventId: Number(row?.['last'] ?? 0),
    };
  } finally {
    await session.close();
  }
}
