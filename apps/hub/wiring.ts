/**
 * Where parts of the hub that know each other only by what happens meet: the queue delivers through the sessions, which
 * post to the queue; each commit wakes the event streams and the sweeper. Also what is known only once the hub runs.
 */
import type { Outgoing } from '../../core/application/hub/commands.ts';
import type { Look } from '../../core/ports/hub-calls.ts';
import type { AgentId } from '../../core/domain/ids.ts';

export interface HubWiring {
  /** Names the database; known once the storage is open. */
  storeId: string;
  /** The port that the transport got; 0 before. */
  port: number;
  /** Sends what a commit sends out. */
  deliver: (outgoing: readonly Outgoing[]) => void;
  isHere: (agentId: AgentId, session: number) => boolean;
  heardAtMs: (agentId: AgentId) => number | null;
  expectDue: (dueAtMs: number | null) => void;
  storageFailed: (lastedMs: number, isOver: boolean) => void;
  judging: (nowMs: number) => void;
  /** Has other hubs look. */
  tell: (look: Look | null) => void;
  /** Called after each commit with events. */
  readonly commitListeners: Set<() => void>;
}

export const hubWiring = (): HubWiring => ({
  storeId: '',
  port: 0,
  deliver: () => undefined,
  isHere: () => false,
  heardAtMs: () => null,
  expectDue: () => undefined,
  storageFailed: () => undefined,
  judging: () => undefined,
  tell: () => undefined,
  commitListeners: new Set(),
});
