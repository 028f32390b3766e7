/** What `agentcom doctor` checks on a Postgres server that holds a store: whether it keeps what it commits, and lets hubs notify each other. */
import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import type { ServerFinding } from '../../../core/config/config.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { endClient } from './connection.ts';
import { ANSWER_MARGIN_MS, connectNotifier } from './connections.ts';
import { openingFailure } from './failures.ts';
import { placeOf, type PostgresSettings } from './options.ts';

/** How long a notification to ourselves may take. */
const NOTIFIED_WITHIN_MS = 3_000;

/** Fails with `AC_STORAGE_OPEN` if the server cannot be checked. */
export async function checkPostgres(settings: PostgresSettings, clock: Clock): Promise<readonly ServerFinding[]> {
  const place = placeOf(settings);
  try {
    const listener = await connectNotifier(settings, ANSWER_MARGIN_MS, clock);
    try {
      const findings: ServerFinding[] = [];
      for (const name of SAFE_SETTINGS) {
        if ((await settingOf(listener, name)) !== 'off') continue;
        findings.push({
          check: 'not_durable',
          what: `${name} is off for ${place}: tasks that were acknowledged may be gone when it crashes`,
        });
      }
      if ((await settingOf(listener, 'transaction_read_only')) === 'on') {
        findings.push({ check: 'read_only', what: `${place} accepts no writes: it is a standby, or default_transaction_read_only is on` });
        // A standby knows neither LISTEN nor NOTIFY.
        return findings;
      }
      const channel = `agentcom_doctor_${randomUUID().replaceAll('-', '')}`;
      await listener.query(`LISTEN ${channel}`);
      const arrival = notificationArrives(listener, clock);
      await notify(settings, clock, channel);
      if (!(await arrival))
        findings.push({
          check: 'no_notifications',
          what: `a NOTIFY did not reach a connection that LISTENs in ${place} within ${NOTIFIED_WITHIN_MS} ms: several hubs find each other's work only with their polls`,
        });
      return findings;
    } finally {
      await endClient(listener, clock);
    }
  } catch (thrown) {
    throw openingFailure(thrown, place);
  }
}

const SAFE_SETTINGS = ['synchronous_commit', 'fsync'] as const;

const settingOf = async (client: Client, name: string): Promise<string | undefined> =>
  (await client.query<{ readonly value: string }>('SELECT current_setting($1) AS value', [name])).rows[0]?.value;

/** Whether a notification arrives in time. */
const notificationArrives = (listener: Client, clock: Clock): Promise<boolean> =>
  new Promise((resolve) => {
    const timer = clock.after(NOTIFIED_WITHIN_MS, () => resolve(false));
    const settle = (hasArrived: boolean) => (): void => {
      timer.cancel();
      resolve(hasArrived);
    };
    listener.on('notification', settle(true)).on('end', settle(false));
  });

/** From another connection, as another hub would. */
async function notify(settings: PostgresSettings, clock: Clock, channel: string): Promise<void> {
  const caller = await connectNotifier(settings, ANSWER_MARGIN_MS, clock);
  try {
    await caller.query('SELECT pg_notify($1, $2)', [channel, '']);
  } finally {
    await endClient(caller, clock);
  }
}
