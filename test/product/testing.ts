/**
 * The entry `agentcom/testing`: the contract suites that every adapter and every wake runner must pass, ours and
 * yours. Each port has one suite, and each suite is called in the same way: with a name for its titles, with the
 * adapter as its subject, and with a test runner, of which it needs `test`: `node:test`, tap or vitest.
 *
 *     import { test } from 'node:test';
 *     import { processSubject, wakeRunnerContract } from 'agentcom/testing';
 *     wakeRunnerContract('mine', processSubject((argv, deps) => mine({ argv }).create(deps), words), { test });
 *
 * The capabilities of the adapter determine its cases; no subject can leave one out.
 */
export type { ContractCase, Teardown, TestRunner } from './contracts/contract-case.ts';

// Storage.
export { storageContract } from './contracts/storage/storage.contract.ts';
export type { StoragePlace, StorageSubject, Unopenable } from './contracts/storage/storage-room.ts';
export { makeSqliteNewer } from './contracts/storage/newer-sqlite.ts';

// The wire. A transport is tested with the link of this package, a link with its transport (`ws` of
// `agentcom/transport`).
export { hubLinkContract } from './contracts/wire/hub-link.contract.ts';
export { hubTransportContract, type HubTransportSubject, type Reach } from './contracts/wire/hub-transport.contract.ts';
export type { WireSubject } from './contracts/wire/wire-room.ts';
export { wsLink } from '../../adapters/link-ws/ws-link.ts';
export { wsTransport } from '../../adapters/transport-ws/ws-transport.ts';

// The sidecar's files.
export { journalContract, type JournalPlace, type JournalSubject } from './contracts/files/journal.contract.ts';
export { resultInboxContract } from './contracts/files/result-inbox.contract.ts';
export type { InboxPlace, InboxSubject, OddThings } from './contracts/files/inbox-place.ts';

// Wake runners.
export { wakeRunnerContract } from './contracts/runner/wake-runner.contract.ts';
export type {
  Behavior,
  FilesSubject,
  OutputSubject,
  OutputWorld,
  ProcessWorld,
  RunnerWorld,
  ServiceSubject,
  OutputBehavior,
  WakeRunnerSubject,
} from './contracts/runner/wake-runner-subject.ts';
export { processSubject, type AgentOutput } from './contracts/runner/process-subject.ts';

// Time, randomness and logs.
export { clockContract, type ClockSubject } from './contracts/clock.contract.ts';
export { idsContract, type IdsSubject } from './contracts/ids.contract.ts';
export { logContract, type FreshLog, type LogSubject } from './contracts/log.contract.ts';
export { systemClock } from '../../adapters/clock-system/system-clock.ts';
export { virtualClock, type VirtualClock } from './twins/clock-virtual/virtual-clock.ts';
export { memoryLog, type MemoryLog } from './twins/log-memory/memory-log.ts';
export { silentLog } from '../../core/ports/log.ts';
