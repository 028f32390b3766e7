/** What a node of a simulated world sees of it. */
import type { VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import type { MemoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import type { MemoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import type { Chance } from '../seeded-chance.ts';
import type { Ledger } from '../judges/sim-ledger.ts';
import type { SimulatedNetwork } from './simulated-network.ts';
import type { FaultPlan, Plan } from '../plan.ts';
import type { Trace } from '../runner/trace.ts';

export interface Surroundings {
  readonly plan: Plan;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly database: MemoryDatabase;
  readonly ledger: Ledger;
  readonly network: SimulatedNetwork;
  readonly wire: MemoryWire;
  /** The current random fault rates. */
  readonly faults: FaultPlan;
  /** The service of all models is down. */
  readonly isServiceAway: boolean;
  /** A stream of random choices of this seed. */
  chanceOf(name: string): Chance;
  later(ms: number, act: () => void): void;
  violated(rule: string, what: string): void;
  tokenOf(agentId: string): string;
  addressOf(machine: string): string;
  /** The owner of a connection. */
  agentOf(connection: number): string;
  /** The newest connection's number. */
  lastConnection(): number;
  /** Whether a hub other than this one runs. */
  othersLive(hub: { readonly name: string }): boolean;
  /** The hubs that a machine knows, in the order in which it tries them. */
  hubUrls(machine: string): readonly string[];
  /** A batch has just become visible. */
  committed(commit: SeenCommit): void;
}

/** A commit as it becomes visible. */
export interface SeenCommit {
  readonly hub: string;
  readonly changes: Changes;
  /** The store's time when it was created. */
  readonly nowMs: number;
  /** The world's time when it was created. */
  readonly begunAtMs: number;
  /** Whether this batch could have assigned the task: it waited and its row was not locked. Null: any waiting task. */
  readonly couldGo: ((id: TaskId) => boolean) | null;
}
