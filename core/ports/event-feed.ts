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
  /** All that the filter lets through from `afterId` up to this id is in `events`. At least `afterId`. */
  readonly untilId: number;
  /** As in `EventMarks`, of the same moment; 0 where `untilId` is `afterId`. */
  readonly removedId: number;
}

/** 0 where there is none. */
export interface EventMarks {
  /** The highest id that is kept. */
  readonly lastId: number;
  /**
   * The highest id of those that were removed, or that a restored store has skipped. Whoever stands below it may have missed
   * events, also where some with lower ids are still kept.
   */
  readonly removedId: number;
}

/** Bytes of one page of the feed. */
export const FEED_BYTES = 1_048_576;

export interface EventFeed {
  /**
   * Events with an id above `afterId`, at most `limit`, and no more once they have `bytesMax` bytes (`EVENT_BYTES` and the details
   * of each; default `FEED_BYTES`), but one at least if there is one. `untilId` above `afterId` with fewer of them: go on from there, it was not
   * looked at all that there is; equal to it: there is no more.
   * MUST NOT answer an event, or an `untilId`, while an event with a lower id may still be committed.
   * MUST look at a bounded number of events.
   */
  after(afterId: number, filter: EventFilter, limit: number, bytesMax?: number): Promise<EventPage>;

  /** Where the numbers stand. */
  marks(): Promise<EventMarks>;
}
