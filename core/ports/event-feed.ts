/** The history of all tasks in one order, for streams that resume by id. */
import type { EventName, StoredEvent } from '../domain/event.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';

export interface EventFilter {
  readonly taskId?: TaskId | undefined;
  readonly agentId?: AgentId | undefined;
  readonly event?: EventName | undefined;
}

export interface EventPage {
  /** Lowest id first. */
  readonly events: readonly StoredEvent[];
  /** All that the filter lets through from `afterId` up to this id is in `events`. At least `afterId`. */
  readonly untilId: number;
}

export interface EventFeed {
  /**
   * Events with an id above `afterId`, at most `limit`. `untilId` above `afterId` with fewer of them: go on from there, it was not
   * looked at all that there is; equal to it: there is no more.
   * MUST NOT answer an event, or an `untilId`, while an event with a lower id may still be committed.
   * MUST look at a bounded number of events.
   */
  after(afterId: number, filter: EventFilter, limit: number): Promise<EventPage>;

  /** The lowest and highest id kept; null when there is none. */
  bounds(): Promise<{ readonly first: number; readonly last: number } | null>;
}
