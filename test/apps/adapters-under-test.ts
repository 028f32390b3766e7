/** The storage and transport of the hubs in the end-to-end tests: chosen in one place, so that a run can test another combination. */
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { STORAGES, TRANSPORTS } from '../../apps/quickstart/config-text.ts';
import type { HubClient } from '../../apps/client/index.ts';

export interface AdaptersUnderTest {
  readonly storage: StorageUnderTest;
  readonly transport: string;
}

export interface StorageUnderTest {
  /** As `agentcom/storage` exports it and `/health` reports it. */
  readonly name: string;
  /** Its call in a config. */
  readonly text: string;
}

const SQLITE: StorageUnderTest = { name: 'sqlite', text: `sqlite({ file: 'hub.db' })` };

/** Its own schema in this database, where it persists. */
export const postgresUnderTest = (url: string): StorageUnderTest => ({
  name: 'postgres',
  text: `postgres(${JSON.stringify({ url, schema: `world_${randomUUID().replaceAll('-', '').slice(0, 16)}` })})`,
});

/** Names of a storage and a transport, as `/health` reports them. */
export interface Combination {
  readonly storage: string;
  readonly transport: string;
}

/** From `AGENTCOM_STORAGE` and `AGENTCOM_TRANSPORT`; an unavailable one is an error, never silently replaced. */
export const adaptersAsked = (): Combination => {
  const storage = process.env['AGENTCOM_STORAGE'] ?? 'sqlite';
  const transport = process.env['AGENTCOM_TRANSPORT'] ?? 'ws';
  requireKnown('AGENTCOM_STORAGE', storage, Object.keys(STORAGES));
  requireKnown('AGENTCOM_TRANSPORT', transport, Object.keys(TRANSPORTS));
  return { storage, transport };
};

/** Fails, listing what exists. */
export function requireKnown(what: string, name: string, known: readonly string[]): void {
  if (!known.includes(name)) throw new Error(`${what} is ${name}; there are ${known.join(', ')}`);
}

/** The requested combination, ready for a config; `postgres` is a database in `AGENTCOM_TEST_DATABASE_URL`. */
export const adaptersUnderTest = (): AdaptersUnderTest => {
  const { storage, transport } = adaptersAsked();
  if (storage === 'sqlite') return { storage: SQLITE, transport };
  const url = process.env['AGENTCOM_TEST_DATABASE_URL'];
  if (url === undefined) throw new Error('AGENTCOM_STORAGE is postgres: name a database in AGENTCOM_TEST_DATABASE_URL');
  return { storage: postgresUnderTest(url), transport };
};

/** Names a file to which every hub of a run appends what it reports to run on, one JSON object per line. */
export const REPORT_FILE = 'AGENTCOM_E2E_REPORT_FILE';

/** Fails unless the hub itself reports that it runs on these. */
export const requireAdapters = async (api: Pick<HubClient, 'health'>, wanted: AdaptersUnderTest): Promise<void> =>
  requireCombination(await api.health(), { storage: wanted.storage.name, transport: wanted.transport });

/** Records what a hub reported about itself for the run, and fails unless it is what was expected. */
export function requireCombination(reported: Readonly<Record<string, unknown>>, wanted: Combination): void {
  const { storage, transport } = reported;
  const file = process.env[REPORT_FILE];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ storage, transport })}\n`);
  if (storage === wanted.storage && transport === wanted.transport) return;
  throw new Error(`The hub runs on ${String(storage)} and ${String(transport)}, not on ${wanted.storage} and ${wanted.transport}.`);
}
