/** Every agent with what it holds, for answers about all of them. */
import type { AgentId } from '../../../core/domain/ids.ts';
import type { AgentRow } from '../../../core/ports/agent-store.ts';
import type { HttpApiDeps } from '../deps.ts';

/** What was read counts until the next commit of this hub, and no longer than this: another hub may have committed. */
const BELIEVED_MS = 1_000;

/** From so many agents on it counts over commits too: reading all of them after each commit would cost more than the commits. */
const MANY = 1_000;

/** Answers all agents; asked again while nothing was committed, or within a second where there are many, it reads nothing. */
export type AllAgents = () => Promise<readonly AgentRow[]>;

interface Believed {
  readonly rows: Promise<readonly AgentRow[]>;
  /** When it was read, where there are many; else when it was asked for. By the monotonic clock. */
  atMs: number;
  readonly forget: () => void;
}

export function allAgents({ agents, clock, limits, onCommit }: Pick<HttpApiDeps, 'agents' | 'clock' | 'limits' | 'onCommit'>): AllAgents {
  let believed: Believed | null = null;
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
    if (believed !== null && nowMs - believed.atMs < BELIEVED_MS) return believed.rows;
    believed?.forget();
    // Heard before it is read: what is committed meanwhile may not be in it.
    const unsubscribe = onCommit(() => {
      if (!areMany) made.forget();
    });
    const made: Believed = {
      rows: read(),
      atMs: nowMs,
      forget() {
        unsubscribe();
        if (believed === made) believed = null;
      },
    };
    believed = made;
    made.rows.then((rows) => {
      areMany = rows.length >= MANY;
      if (areMany) made.atMs = clock.monotonicMs();
    }, made.forget);
    return made.rows;
  };
}
