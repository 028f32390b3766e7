/**
 * Finished results that were not taken as the task's own, kept apart from its history: late ones, which a person may adopt,
 * and refused ones, of which version 1 sidecars delete their copy. Each is kept once for a task, generation and agent; the
 * task knows which there are, so that the bounds below cost no look at the store.
 */
import type { AgentId, Generation, TaskId } from '../ids.ts';

/** Results kept for one task, and their bytes together. Beyond that a late one takes the place of the oldest, a refused one is not kept. */
export const KEPT_RESULTS_MAX = 32;
export const KEPT_BYTES_MAX = 16_777_216;
/** Refused results kept of one agent for one task, and their bytes together; a first one that is larger is kept alone. */
export const REFUSED_KEPT_MAX = 8;
export const REFUSED_BYTES_MAX = 1_048_576;
/** Refused results and claims of one agent that have an event in the history of a task; further ones are only counted. */
export const REFUSED_EVENTS_MAX = 16;
/** Agents whose refused results are counted one by one for a task; those of all others are counted together, without events. */
export const REFUSING_AGENTS_MAX = 16;
/** A result of at most this many bytes also stands in its event, for whoever reads the history. */
export const RESULT_INLINE_BYTES_MAX = 1_024;

/** A kept result, without what it says. Named by its task, generation and agent. */
export interface KeptName {
  /** The assignment that it is of. A refused one that named none: the generation that the task had then. */
  readonly generation: Generation;
  readonly agentId: AgentId;
  readonly kind: 'late' | 'refused';
  /** Of the result and its details as JSON in UTF-8. */
  readonly bytes: number;
  /** SHA-256 of the result's JSON text, hexadecimal. */
  readonly sha256: string;
  readonly atMs: number;
}

export interface KeptResult extends KeptName {
  readonly taskId: TaskId;
  /** Why it was not taken. */
  readonly reason: string;
  /** JSON text, as the sidecar gave it. */
  readonly result: string;
  /** What it said beside its result, such as a verification report: JSON text; null: nothing. */
  readonly details: string | null;
}

/** How often results of one agent were refused for a task, and it claimed a generation above the stored one. `agentId` null: of all agents that are not counted one by one. */
export interface RefusedCount {
  readonly agentId: AgentId | null;
  /** With an event in the history. */
  readonly told: number;
  /** Without one. */
  readonly counted: number;
}

/** What a task knows of it. */
export interface KeptAside {
  /** Oldest first. */
  readonly results: readonly KeptName[];
  readonly refused: readonly RefusedCount[];
}

export const NOTHING_KEPT: KeptAside = { results: [], refused: [] };

/** What is to be stored, and which rows go. */
export interface Keeping {
  readonly saved: KeptResult | null;
  readonly dropped: readonly KeptName[];
}

type Key = Pick<KeptName, 'generation' | 'agentId'>;
const isSame = (a: Key, b: Key): boolean => a.generation === b.generation && a.agentId === b.agentId;
const bytesOf = (results: readonly KeptName[]): number => results.reduce((sum, { bytes }) => sum + bytes, 0);

export const keptOf = (kept: KeptAside, of: Key): KeptName | undefined => kept.results.find((one) => isSame(one, of));

/** With a late result, which takes the place of a refused one of its name and, where there is no room, of the oldest. */
export function withLate(kept: KeptAside, late: KeptResult): { readonly kept: KeptAside; readonly keeping: Keeping } {
  const others = kept.results.filter((one) => !isSame(one, late));
  const dropped: KeptName[] = [];
  while (others.length > 0 && (others.length >= KEPT_RESULTS_MAX || bytesOf(others) + late.bytes > KEPT_BYTES_MAX))
    dropped.push(...others.splice(0, 1));
  return { kept: { ...kept, results: [...others, nameOf(late)] }, keeping: { saved: late, dropped } };
}

/** Whether a refused result of this agent, generation and size is still to be kept. */
export function hasRoomForRefused({ results }: KeptAside, refused: Key & Pick<KeptName, 'bytes'>): boolean {
  if (results.some((one) => isSame(one, refused)) || results.length >= KEPT_RESULTS_MAX) return false;
  const own = results.filter(({ agentId, kind }) => kind === 'refused' && agentId === refused.agentId);
  if (results.length > 0 && bytesOf(results) + refused.bytes > KEPT_BYTES_MAX) return false;
  return own.length === 0 || (own.length < REFUSED_KEPT_MAX && bytesOf(own) + refused.bytes <= REFUSED_BYTES_MAX);
}

export const withRefused = (kept: KeptAside, refused: KeptResult): KeptAside => ({ ...kept, results: [...kept.results, nameOf(refused)] });

/** With one more refused result of this agent; `isTold` where it has an event. */
export function withRefusal({ results, refused }: KeptAside, agentId: AgentId): { readonly kept: KeptAside; readonly isTold: boolean } {
  const known = refused.find((one) => one.agentId === agentId);
  const own = refused.filter((one) => one.agentId !== null).length;
  const name = known !== undefined || own < REFUSING_AGENTS_MAX ? agentId : null;
  const before = refused.find((one) => one.agentId === name) ?? { agentId: name, told: 0, counted: 0 };
  const isTold = name !== null && before.told < REFUSED_EVENTS_MAX;
  const after = isTold ? { ...before, told: before.told + 1 } : { ...before, counted: before.counted + 1 };
  return { kept: { results, refused: [...refused.filter((one) => one.agentId !== name), after] }, isTold };
}

const nameOf = ({ generation, agentId, kind, bytes, sha256, atMs }: KeptResult): KeptName => ({
  generation,
  agentId,
  kind,
  bytes,
  sha256,
  atMs,
});
