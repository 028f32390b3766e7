/** The events of all tasks and agents in one order, for streams that resume after an id. */
import { isAgentEvent, type EventName, type StoredEvent } from '../domain/task/event.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';

/** Which events are wanted: those that match every given field. */
export interface EventFilter {
  readonly taskId?: TaskId | undefined;
  readonly agentId?: AgentId | undefined;
  readonly event?: EventName | undefined;
  /** Only what happens to tasks, or only what happens to agents. */
  readonly about?: 'tasks' | 'agents' | undefined;
}

/** Whether the filter lets this event through. */
export const matchesFilter = ({ taskId, agentId, event: name, about }: EventFilter, event: StoredEvent): boolean =>
  (taskId === undefined || event.taskId === taskId) &&
  (agentId === undefined || event.agentId === agentId) &&
  (name === undefined || event.event === name) &&
  (about === undefined || (about === 'agents') === isAgentEvent(event));

/** A part of the events of a store, in order. */
export interface EventPage {
  /** Lowest id first. */
  readonly events: readonly StoredEvent[];
  /** `events` holds every matching event with an id above `afterId` and up to this one. At least `afterId`. */
  readonly untilId: number;
  /** As in `EventMarks`, from the same snapshot; 0 if `untilId` equals `afterId`. */
  readonly removedId: number;
}

/** An id is 0 if there is none. */
export interface EventMarks {
  /** The highest id in the store. */
  readonly lastId: number;
  /**
   * The highest id that was removed, or skipped after a restore. A reader that has not read this far may have missed events, even if
   * some with lower ids still exist.
   */
  readonly removedId: number;
}

/** Default size limit of a page of the feed, in bytes. */
export const FEED_BYTES = 1_048_576;

/** The committed events of a store, in an order that never changes. Reads only. */
export interface EventFeed {
  /**
   * Matching events with an id above `afterId`: at most `limit`, and no further ones once they have `bytesMax` bytes (each counts
   * `EVENT_BYTES` plus its details; default `FEED_BYTES`), but at least one if there is one. If the returned `untilId` is above `afterId`,
   * there may be more: continue from there. If they are equal, there are no more.
   * MUST NOT return an event, or an `untilId`, while an event with a lower id may still be committed.
   * MUST read a bounded number of events per call, even if few match.
   */
  after(afterId: number, filter: EventFilter, limit: number, bytesMax?: number): Promise<EventPage>;

  /** The current `lastId` and `removedId`. */
  marks(): Promise<EventMarks>;
}
