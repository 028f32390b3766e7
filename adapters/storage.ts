/** `agentcom/storage`: where a hub can keep its tasks. Each is chosen by calling it in the config. */
export { memory } from './storage-memory/memory.ts';
export { sqlite, type SqliteOptions } from './storage-knex/sqlite.ts';
