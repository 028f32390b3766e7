/**
 * How many different lists of capabilities a token asks for: what waits is indexed by them, so that each costs every hub
 * something as long as a task with it waits. Tokens that ask for the same few over and over are never bounded by it.
 */
import type { Clock } from '../../../core/ports/clock.ts';

/** How long a list counts after its last use. Milliseconds. */
const COUNTED_MS = 3_600_000;
/** Tokens that are remembered; beyond it those that submitted longest ago are forgotten. */
const TOKENS_MAX = 200;

export interface RequirementQuota {
  /**
   * Counts the lists of one submit for the token. Answers 0, or, when it would ask for more different ones than it may, how long until one of
   * those it has is forgotten, in milliseconds; then nothing of the submit is counted.
   */
  take(token: string, drafts: readonly { readonly neededCapabilities: readonly string[] }[]): number;
}

export function requirementQuota(listsMax: number, clock: Clock): RequirementQuota {
  /** When each token last used each list, oldest first. */
  const used = new Map<string, Map<string, number>>();

  return {
    take(token, drafts) {
      if (drafts.every(({ neededCapabilities }) => neededCapabilities.length === 0)) return 0;
      const named = new Set<string>();
      for (const { neededCapabilities: list } of drafts)
        if (list.length > 0) named.add(list.length === 1 ? (list[0] ?? '') : JSON.stringify([...new Set(list)].sort()));
      const nowMs = clock.monotonicMs();
      const known = used.get(token) ?? new Map<string, number>();
      for (const [list, atMs] of known) {
        if (nowMs - atMs < COUNTED_MS) break;
        known.delete(list);
      }
      let fresh = 0;
      for (const list of named) if (!known.has(list)) fresh += 1;
      if (fresh > 0 && known.size + fresh > listsMax) {
        const [oldestMs] = known.values();
        return Math.max(1, oldestMs === undefined ? COUNTED_MS : oldestMs + COUNTED_MS - nowMs);
      }
      for (const list of named) {
        known.delete(list);
        known.set(list, nowMs);
      }
      used.delete(token);
      used.set(token, known);
      const [oldest] = used.keys();
      if (used.size > TOKENS_MAX && oldest !== undefined) used.delete(oldest);
      return 0;
    },
  };
}
