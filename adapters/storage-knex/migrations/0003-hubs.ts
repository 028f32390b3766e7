/** Several hubs on one store: which hubs are alive, which agents are connected to each, and what they ask each other to send. */
import type { Migration } from '../rows/migration.ts';

export const hubs: Migration = {
  name: '0003-hubs',
  sqlite: [
    `ALTER TABLE agents ADD COLUMN hub_id TEXT`,
    `UPDATE agents SET hub_id = state ->> '$.hubId', state = json_set(state, '$.orders', 0)`,
    `CREATE TABLE hubs (hub_id TEXT NOT NULL PRIMARY KEY, lease_until INTEGER NOT NULL) STRICT`,
    `CREATE TABLE hub_mail (
      place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, hub_id TEXT NOT NULL, state TEXT NOT NULL) STRICT`,
    `CREATE INDEX hub_mail_by_hub ON hub_mail (hub_id, place)`,
  ],
  // No store on Postgres is older than this step, so there are no old rows to fill in.
  postgres: [
    `ALTER TABLE agents ADD COLUMN hub_id text COLLATE "C"`,
    `CREATE INDEX agents_by_hub ON agents (hub_id, id) WHERE connected = 1`,
    `CREATE TABLE hubs (hub_id text COLLATE "C" PRIMARY KEY, lease_until bigint NOT NULL)`,
    `CREATE TABLE hub_mail (
      place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, hub_id text COLLATE "C" NOT NULL, state text NOT NULL)`,
    `CREATE INDEX hub_mail_by_hub ON hub_mail (hub_id, place)`,
  ],
};
