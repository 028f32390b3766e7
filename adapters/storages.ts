/** `agentcom/storage`: the storage adapters. To use one, call it in the config. */
export { memory } from './storage-memory/memory.ts';
export { postgres, type PostgresOptions } from './storage-knex/postgres.ts';
export { sqlite, type SqliteOptions } from './storage-knex/sqlite.ts';

// For writing your own storage, which must pass the contract suite in `agentcom/testing`: docs/storage-adapters.md. First what the
// config takes, then the ports with their constants, then what is stored, then what every storage needs.
export type {
  AdapterChoice,
  BackupProgress,
  BackupSummary,
  ConfigProblem,
  RestoreSummary,
  ServerFinding,
  StorageChoice,
  StorageDeps,
  StoreContents,
} from '../core/config/config.ts';
export type { Clock, Timer } from '../core/ports/clock.ts';
export type { Log, LogFields } from '../core/ports/log.ts';
export * from '../core/ports/agent-store.ts';
export type * from '../core/ports/cluster-unit.ts';
export * from '../core/ports/event-feed.ts';
export { ANY_CHANGE, NULL_NOTIFIER, type ChangeHint, type HubNotifier } from '../core/ports/hub-notifier.ts';
export * from '../core/ports/output-store.ts';
export * from '../core/ports/storage.ts';
export * from '../core/ports/store-inspection.ts';
export * from '../core/ports/task-store.ts';
export type * from '../core/domain/agent/agent.ts';
export * from '../core/domain/audit/audit-entry.ts';
export type { HubLease, HubMail } from '../core/domain/agent/hub-lease.ts';
export type { OutputStream } from '../core/domain/assignment/output-stream.ts';
export { compareByAge, compareClaimable, isClaimable, isWaiting, readyAtMs } from '../core/domain/task/claimable.ts';
export type * from '../core/domain/task/event.ts';
export * from '../core/domain/task/removal.ts';
export type * from '../core/domain/ids.ts';
export type { KeptResult, KeptResultRef, KeptResults, RefusedCount } from '../core/domain/task/kept-results.ts';
export type * from '../core/domain/task/task.ts';
export { PRIORITIES, requirementKey, STATUSES, waitingRequirement } from '../core/domain/task/task.ts';
export type { TraceContext } from '../core/domain/task/trace-context.ts';
export { tombstoneOf, type Tombstone } from '../core/domain/task/tombstone.ts';
export type { AttemptUsage, ModelUsage, TaskUsage, Usage } from '../core/domain/usage.ts';
export type { LockedOut } from '../core/domain/waiting/agent-waiting.ts';
export { StoreClock, type ClockEvent, type StoredClock, type TimeSource } from '../core/domain/store-clock.ts';
export { AgentcomError, type AgentcomErrorOptions } from '../core/errors/agentcom-error.ts';
export type { ErrorCode } from '../core/errors/codes.ts';
export { opening, type Opening } from '../core/ports/opening.ts';
export { turns, type EarlyTransaction, type Turn } from '../core/ports/timing/turns.ts';
