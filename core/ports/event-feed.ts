/** The history of all tasks in one order, for streams that resume by id. */
import type { EventName, StoredEvent } from '../domain/task/event.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';

export interface EventFilter {
  readonly taskId?: TaskId | undefined;
  readonly agentId?: AgentId | undefined;
  readonly event?: EventName | undefined;
}

export interface EventPage {
  /** Lowest id first. */
  readonly events: readonly StoredEvent[];
  /** `events` has all matching events from `afterId` up to this id. At least `afterId`. */
  readonly untilId: number;
  /** As in `EventMarks`, of the same snapshot; 0 if `untilId` is `afterId`. */
  readonly removedId: number;
}

/** Ids are 0 if there is none. */
export interface EventMarks {
  /** The highest id in the store. */
  readonly lastId: number;
  /**
   * The highest id that was removed, or that a restored store has skipped. A reader below it may have missed events, even if some
   * with lower ids are still there.
   */
  readonly removedId: number;
}

/** Bytes of one page of the feed. */
export const FEED_BYTES = 1_048_576;

export interface EventFeed {
  /**
   * Matching events with an id above `afterId`: at most `limit`, and at most `bytesMax` bytes (`EVENT_BYTES` and the details of each;
   * default `FEED_BYTES`), but at least one if there is one. If `untilId` is above `afterId` there may be more: continue from there. If
   * it equals `afterId` there are no more.
   * MUST NOT return an event, or an `untilId`, while an event with a lower id may still be committed.
   * MUST read a bounded number of events.
   */
  after(afterId: number, filter: EventFilter, limit: number, bytesMax?: number): Promise<EventPage>;

  /** The current bounds of the ids. */
  marks(): Promise<EventMarks>;
}
