/** A cache of all agents with their holdings, for routes that need all of them. */
import type { AgentId } from '../../../core/domain/ids.ts';
import type { AgentRow } from '../../../core/ports/agent-store.ts';
import type { HttpApiDeps } from '../deps.ts';

/** The cache is valid until the next commit of this hub, but at most for this long, because another hub may commit. */
const CACHED_MS = 1_000;

/**
 * From this number of agents on, the cache stays valid across commits: reading all agents after each commit would cost more than the commits.
 */
const MANY = 1_000;

/** Returns all agents, from the cache if it is valid. */
export type AllAgents = () => Promise<readonly AgentRow[]>;

interface CachedRows {
  readonly rows: Promise<readonly AgentRow[]>;
  /** When the read finished if there are many agents, otherwise when it began. By the monotonic clock. */
  atMs: number;
  readonly forget: () => void;
}

export function allAgents({ agents, clock, limits, onCommit }: Pick<HttpApiDeps, 'agents' | 'clock' | 'limits' | 'onCommit'>): AllAgents {
  let cached: CachedRows | null = null;
  let areMany = false;

  const read = async (): Promise<readonly AgentRow[]> => {
    const all: AgentRow[] = [];
    let after: AgentId | undefined;
    for (;;) {
      const page = await agents.listAgents({ after, limit: limits.page });
      all.push(...page);
      if (page.length < limits.page) return all;
      after = page.at(-1)?.agent.id;
    }
  };

  return () => {
    const nowMs = clock.monotonicMs();
    if (cached !== null && nowMs - cached.atMs < CACHED_MS) return cached.rows;
    cached?.forget();
    // Subscribed before the read, which may miss a commit that happens during it.
    const unsubscribe = onCommit(() => {
      if (!areMany) made.forget();
    });
    const made: CachedRows = {
      rows: read(),
      atMs: nowMs,
      forget() {
        unsubscribe();
        if (cached === made) cached = null;
      },
    };
    cached = made;
    made.rows.then((rows) => {
      areMany = rows.length >= MANY;
      if (areMany) made.atMs = clock.monotonicMs();
    }, made.forget);
    return made.rows;
  };
}
