/** `agentcom/storage`: the storage adapters. To use one, call it in the config. */
export { memory } from './storage-memory/memory.ts';
export { postgres, type PostgresOptions } from './storage-knex/postgres.ts';
export { sqlite, type SqliteOptions } from './storage-knex/sqlite.ts';

// For writing your own storage, which must pass the contract suite in `agentcom/testing`.
export type * from '../core/domain/agent/agent.ts';
export { compareByAge, compareClaimable, isClaimable, isWaiting, readyAtMs } from '../core/domain/task/claimable.ts';
export type * from '../core/domain/task/event.ts';
export type * from '../core/domain/ids.ts';
export type * from '../core/domain/task/task.ts';
export { PRIORITIES, requirementKey, STATUSES } from '../core/domain/task/task.ts';
export type * from '../core/ports/agent-store.ts';
export type * from '../core/ports/cluster-unit.ts';
export type * from '../core/ports/event-feed.ts';
export { ANY_CHANGE, NULL_NOTIFIER, type ChangeHint, type HubNotifier } from '../core/ports/hub-notifier.ts';
export type * from '../core/ports/storage.ts';
export type * from '../core/ports/task-store.ts';
