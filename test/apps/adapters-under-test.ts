/** What the hubs of the end-to-end tests run on: one place for all of them, so that a run tries another combination. */
import { randomUUID } from 'node:crypto';
import { TRANSPORTS } from '../../apps/quickstart/config-text.ts';
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

/** A schema of its own in this database, which keeps it. */
export const postgresUnderTest = (url: string): StorageUnderTest => ({
  name: 'postgres',
  text: `postgres(${JSON.stringify({ url, schema: `world_${randomUUID().replaceAll('-', '').slice(0, 16)}` })})`,
});

/**
 * From `AGENTCOM_STORAGE` (for `postgres`, a database in `AGENTCOM_TEST_DATABASE_URL`) and `AGENTCOM_TRANSPORT`; what is not
 * there is an error, never another one instead.
 */
export const adaptersUnderTest = (): AdaptersUnderTest => {
  const storage = process.env['AGENTCOM_STORAGE'] ?? 'sqlite';
  const url = process.env['AGENTCOM_TEST_DATABASE_URL'];
  if (storage !== 'sqlite' && storage !== 'postgres') throw new Error(`AGENTCOM_STORAGE is ${storage}; there are sqlite, postgres`);
  if (storage === 'postgres' && url === undefined)
    throw new Error('AGENTCOM_STORAGE is postgres: name a database in AGENTCOM_TEST_DATABASE_URL');
  const transport = process.env['AGENTCOM_TRANSPORT'] ?? 'ws';
  if (!Object.hasOwn(TRANSPORTS, transport))
    throw new Error(`AGENTCOM_TRANSPORT is ${transport}; there are ${Object.keys(TRANSPORTS).join(', ')}`);
  return { storage: storage === 'postgres' && url !== undefined ? postgresUnderTest(url) : SQLITE, transport };
};

/** Fails unless the hub itself says that it runs on these. */
export const requireAdapters = async (api: Pick<HubClient, 'health'>, { storage, transport }: AdaptersUnderTest): Promise<void> => {
  const says = await api.health();
  if (says['storage'] === storage.name && says['transport'] === transport) return;
  throw new Error(`The hub runs on ${String(says['storage'])} and ${String(says['transport'])}, not on ${storage.name} and ${transport}.`);
};
