/**
 * Results that did not become the result of their task, stored separately from its history: late ones, which an operator may adopt,
 * and refused ones, of which version 1 sidecars delete their copy. One is kept for each task, generation and agent. The task
 * lists them, so that the bounds below need no read from the store.
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';

/** Results kept for one task, and their total bytes. Beyond that a late one replaces the oldest, and a refused one is dropped. */
export const KEPT_RESULTS_MAX = 32;
export const KEPT_BYTES_MAX = 16_777_216;
/** Refused results of one agent kept for one task, and their total bytes; the first one may be larger. */
export const REFUSED_KEPT_MAX = 8;
const REFUSED_BYTES_MAX = 1_048_576;
/** Refused results and claims of one agent that get an event in the history of a task; further ones are only counted. */
export const REFUSED_EVENTS_MAX = 16;
/** Agents whose refused results are counted separately for a task; all others are counted together, without events. */
export const REFUSING_AGENTS_MAX = 16;
/** A result of at most this many bytes is also included in its event. */
export const RESULT_INLINE_BYTES_MAX = 1_024;

/** A kept result without its content. Identified by its task, generation and agent. */
export interface KeptResultRef {
  /** Its assignment. If a refused report named none: the generation that the task had then. */
  readonly generation: Generation;
  readonly agentId: AgentId;
  readonly kind: 'late' | 'refused';
  /** The size of the result and its details as JSON in UTF-8. */
  readonly bytes: number;
  /** SHA-256 of the result's JSON text, hexadecimal. */
  readonly sha256: string;
  readonly atMs: number;
}

/** A result that was reported and did not become the result of its task. */
export interface KeptResult extends KeptResultRef {
  readonly taskId: TaskId;
  /** Why it did not become the result of the task. */
  readonly reason: string;
  /** JSON text, as the sidecar sent it. */
  readonly result: string;
  /** Further details of the report, such as a verification report: JSON text; null: none. */
  readonly details: string | null;
}

/**
 * How often results of one agent were refused for a task, or it claimed a generation above the stored one. `agentId` null: all agents
 * that are not counted separately.
 */
export interface RefusedCount {
  readonly agentId: AgentId | null;
  /** Those with an event in the history. The name is the one in the stored JSON. */
  readonly told: number;
  /** Those without an event. */
  readonly counted: number;
}

/** The kept results of a task, as stored with it. */
export interface KeptResults {
  /** Oldest first. */
  readonly results: readonly KeptResultRef[];
  readonly refused: readonly RefusedCount[];
}

export const NO_KEPT_RESULTS: KeptResults = { results: [], refused: [] };

/** The row to store, and the rows to delete. */
export interface KeptResultsChange {
  readonly saved: KeptResult | null;
  readonly dropped: readonly KeptResultRef[];
}

type Key = Pick<KeptResultRef, 'generation' | 'agentId'>;
const isSame = (a: Key, b: Key): boolean => a.generation === b.generation && a.agentId === b.agentId;
const bytesOf = (results: readonly KeptResultRef[]): number => results.reduce((sum, { bytes }) => sum + bytes, 0);

/** Adds a late result. It replaces a refused one with the same key and, if there is no room, the oldest ones. */
export function withLate(kept: KeptResults, late: KeptResult): { readonly kept: KeptResults; readonly rows: KeptResultsChange } {
  const others = kept.results.filter((one) => !isSame(one, late));
  const dropped: KeptResultRef[] = [];
  while (others.length > 0 && (others.length >= KEPT_RESULTS_MAX || bytesOf(others) + late.bytes > KEPT_BYTES_MAX))
    dropped.push(...others.splice(0, 1));
  return { kept: { ...kept, results: [...others, refOf(late)] }, rows: { saved: late, dropped } };
}

/** Whether there is room for a refused result of this agent, generation and size. */
export function hasRoomForRefused({ results }: KeptResults, refused: Key & Pick<KeptResultRef, 'bytes'>): boolean {
  if (results.some((one) => isSame(one, refused)) || results.length >= KEPT_RESULTS_MAX) return false;
  const own = results.filter(({ agentId, kind }) => kind === 'refused' && agentId === refused.agentId);
  if (results.length > 0 && bytesOf(results) + refused.bytes > KEPT_BYTES_MAX) return false;
  return own.length === 0 || (own.length < REFUSED_KEPT_MAX && bytesOf(own) + refused.bytes <= REFUSED_BYTES_MAX);
}

export const withRefused = (kept: KeptResults, refused: KeptResult): KeptResults => ({
  ...kept,
  results: [...kept.results, refOf(refused)],
});

/** Counts one more refused result of this agent; `hasEvent`: whether it gets an event. */
export function withRefusal(
  { results, refused }: KeptResults,
  agentId: AgentId,
): { readonly kept: KeptResults; readonly hasEvent: boolean } {
  const known = refused.find((one) => one.agentId === agentId);
  const own = refused.filter((one) => one.agentId !== null).length;
  const name = known !== undefined || own < REFUSING_AGENTS_MAX ? agentId : null;
  const before = refused.find((one) => one.agentId === name) ?? { agentId: name, told: 0, counted: 0 };
  const hasEvent = name !== null && before.told < REFUSED_EVENTS_MAX;
  const after = hasEvent ? { ...before, told: before.told + 1 } : { ...before, counted: before.counted + 1 };
  return { kept: { results, refused: [...refused.filter((one) => one.agentId !== name), after] }, hasEvent };
}

const refOf = ({ generation, agentId, kind, bytes, sha256, atMs }: KeptResult): KeptResultRef => ({
  generation,
  agentId,
  kind,
  bytes,
  sha256,
  atMs,
});
