/**
 * What a hub counts for a monitoring system. The counting methods are called on the data path, once for a whole batch or request: they
 * MUST be cheap, MUST NOT throw, and MUST NOT use more memory the longer the hub runs, whatever they are given.
 */
import type { AgentPresence } from '../domain/agent/agent.ts';
import type { StoredEvent } from '../domain/task/event.ts';
import type { Priority } from '../domain/task/task.ts';
import type { TaskStats } from './task-store.ts';

export interface HubMetrics {
  /** A batch was committed by this hub. */
  committed(batch: CommittedBatch): void;
  /** A batch could not be committed because of the storage. */
  storageFailed(): void;
  /** An HTTP request was answered. */
  requestAnswered(request: AnsweredRequest): void;
  /** Everything counted so far and this reading, as text for the monitoring system. */
  expose(reading: HubReading): Promise<Exposition>;
}

export interface CommittedBatch {
  readonly commands: number;
  readonly events: readonly StoredEvent[];
  /** From the start of its transaction to the end of its commit, including retries. */
  readonly tookMs: number;
}

export interface AnsweredRequest {
  /** The method and path of the route, with parameter names instead of values; null if there is no such route. */
  readonly route: { readonly method: string; readonly path: string } | null;
  readonly status: number;
}

/** What is read when a monitoring system requests it, rather than counted. */
export interface HubReading {
  /** Null: the database could not be read. */
  readonly store: StoreReading | null;
  readonly load: HubLoad;
  readonly refused: Refused;
  readonly loopDelayMs: number;
  /** Negative once it has expired; null: the hub serves plain HTTP. */
  readonly certificateExpiresInMs: number | null;
  readonly version: string;
}

export interface StoreReading extends TaskStats {
  /** How long the longest-waiting ready task of each priority has been ready, milliseconds; 0: there is none. */
  readonly oldestReadyMs: Readonly<Record<Priority, number>>;
}

/** What this hub holds now. */
export interface HubLoad {
  /** WebSockets: of agents, those that have not identified, and those that wait for one of the latter to do so before they are opened. */
  readonly sockets: { readonly identified: number; readonly unidentified: number; readonly waiting: number };
  /** Agents that are connected to this hub, by presence. */
  readonly agents: Readonly<Record<Exclude<AgentPresence, 'offline'>, number>>;
  readonly slots: { readonly taken: number; readonly all: number };
  /** Commands that wait for their batch. */
  readonly commandsWaiting: number;
}

/** Refusals since the hub started, by reason. The reasons are a fixed set of texts. */
export interface Refused {
  readonly frames: Readonly<Record<string, number>>;
  readonly sockets: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, number>>;
}

export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

/** Counts nothing. */
export const noMetrics: HubMetrics = {
  committed: () => undefined,
  storageFailed: () => undefined,
  requestAnswered: () => undefined,
  expose: () => Promise.resolve({ contentType: 'text/plain; charset=utf-8', text: '' }),
};
