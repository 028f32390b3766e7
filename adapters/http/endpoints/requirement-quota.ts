/**
 * Limits how many different lists of capabilities a token uses: waiting tasks are indexed by their list, so each list costs every hub
 * something as long as a task with it waits. A token that uses the same few lists again and again is never limited.
 */
import type { Clock } from '../../../core/ports/clock.ts';

/** How long a list counts after its last use, milliseconds. */
const COUNTED_MS = 3_600_000;
/** How many tokens are remembered. Above that, the one whose last submit is oldest is forgotten. */
const TOKENS_MAX = 200;

export interface RequirementQuota {
  /**
   * Counts the lists of a submit of the token. Returns 0, or, if that would exceed the limit, how long until its oldest list expires, in
   * milliseconds; nothing is counted then.
   */
  take(token: string, drafts: readonly { readonly neededCapabilities: readonly string[] }[]): number;
}

export function requirementQuota(listsMax: number, clock: Clock): RequirementQuota {
  /** When each token last used each list; least recently used first. */
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
