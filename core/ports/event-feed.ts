/** The history of all tasks in one order, for streams that resume by id. */
import type { EventName, StoredEvent } from '../domain/event.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';

export interface EventFilter {
  readonly taskId?: TaskId | undefined;
  readonly agentId?: AgentId | undefined;
  readonly event?: EventName | undefined;
}

export interface EventFeed {
  /**
   * Events with an id above `afterId`, lowest first, at most `limit`.
   * MUST NOT answer an event while one with a lower id may still be committed.
   */
  after(afterId: number, filter: EventFilter, limit: number): Promise<readonly StoredEvent[]>;

  /** The lowest and highest id kept; null when there is none. */
  bounds(): Promise<{ readonly first: number; readonly last: number } | null>;
}
