/**
 * The entry `agentcom/testing`: what every adapter and every wake runner is held to, ours and a stranger's alike. The
 * suites are written with tap, so a test file that runs them is run by tap (or by `node` alone: it prints TAP).
 *
 *     import { processSubject, wakeRunnerContract } from 'agentcom/testing';
 *     wakeRunnerContract('mine', () => processSubject((argv, deps) => mine({ argv: [...argv] }).create(deps)));
 */
import { agentStoreContract } from './contracts/storage/agent-store.contract.ts';
import { eventFeedContract } from './contracts/storage/event-feed.contract.ts';
import type { StorageSubject } from './contracts/storage/storage-room.ts';
import { storageContract } from './contracts/storage/storage.contract.ts';
import { storeHubsContract } from './contracts/storage/store-hubs.contract.ts';
import { storeQueueContract } from './contracts/storage/store-queue.contract.ts';
import { storeHistoryContract } from './contracts/storage/store-history.contract.ts';
import { storeRemovalContract } from './contracts/storage/store-removal.contract.ts';
import { storeUnitContract } from './contracts/storage/store-unit.contract.ts';
import { taskListContract } from './contracts/storage/task-list.contract.ts';
import { taskStoreContract } from './contracts/storage/task-store.contract.ts';

/** All that is asked of a storage: of the whole, and of each of its stores. `name` stands in the output. */
export function wholeStorageContract(name: string, subject: StorageSubject): void {
  storageContract(name, subject);
  taskStoreContract(name, subject);
  taskListContract(name, subject);
  storeUnitContract(name, subject);
  storeQueueContract(name, subject);
  storeHubsContract(name, subject);
  storeHistoryContract(name, subject);
  storeRemovalContract(name, subject);
  agentStoreContract(name, subject);
  eventFeedContract(name, subject);
}

// Storage.
export {
  agentStoreContract,
  eventFeedContract,
  storageContract,
  storeHubsContract,
  storeQueueContract,
  storeHistoryContract,
  storeRemovalContract,
  storeUnitContract,
  taskListContract,
  taskStoreContract,
};
export type { StoragePlace, StorageSubject, Unopenable } from './contracts/storage/storage-room.ts';

// The wire. A transport is tried with the link of this package, a link with its transport (`ws` of `agentcom/transport`).
export { hubLinkContract } from './contracts/wire/hub-link.contract.ts';
export { hubTransportContract, type HubTransportSubject } from './contracts/wire/hub-transport.contract.ts';
export type { WireSubject } from './contracts/wire/wire-room.ts';
export { wsLink } from '../../adapters/link-ws/ws-link.ts';
export { wsTransport } from '../../adapters/transport-ws/ws-transport.ts';

// The sidecar's files.
export { journalContract, type JournalPlace, type JournalSubject } from './contracts/files/journal.contract.ts';
export { resultInboxContract } from './contracts/files/result-inbox.contract.ts';
export type { InboxPlace, InboxSubject, OddThings } from './contracts/files/inbox-place.ts';

// Wake runners.
export { wakeRunnerContract, type Behaviour, type WakeRunnerSubject } from './contracts/runner/wake-runner.contract.ts';
export type { SpokenBehaviour } from './contracts/runner/wake-runner-subject.ts';
export { processSubject, type AgentWords } from './contracts/runner/process-subject.ts';

// Time, chance and logs.
export { clockContract, type ClockSubject } from './contracts/clock.contract.ts';
export { idsContract } from './contracts/ids.contract.ts';
export { logContract, type LogSubject } from './contracts/log.contract.ts';
export { systemClock } from '../../adapters/clock-system/system-clock.ts';
export { virtualClock, type VirtualClock } from './twins/clock-virtual/virtual-clock.ts';
export { memoryLog, type MemoryLog } from './twins/log-memory/memory-log.ts';
export { silentLog } from '../../core/ports/log.ts';
