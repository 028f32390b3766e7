/** What a sidecar does with an assignment that it is offered, from all that it knows of the task. */
import { recall, type Ended, type EndedEntry } from './ended-assignments.ts';
import { findReport, isEnd, OUTBOX_MAX, type EndEntry, type OutboxEntry } from './outbox.ts';
import { isOwed, isSameAssignment, type Assignment, type Slot } from './slot.ts';

export type OfferDecision =
  /** New: take it. `displaced` are older generations of the task, whose runs must be gone before this one wakes. */
  | { readonly kind: 'accept'; readonly displaced: readonly Slot[] }
  /** It runs here: say so again. */
  | { readonly kind: 'held'; readonly slot: Slot }
  /** Its end waits for an answer: say it again. */
  | { readonly kind: 'reported'; readonly entry: EndEntry }
  | { readonly kind: 'ended'; readonly ended: Ended }
  /** A newer generation of the task was here: this one is an echo. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'busy' };

export interface Holdings {
  readonly slots: readonly Slot[];
  readonly outbox: readonly OutboxEntry[];
  readonly ended: readonly EndedEntry[];
}

/** `room`: how many assignments may be owed at once. Repeats are recognised before anything else is judged. */
export function decideOffer(holdings: Holdings, offered: Assignment, room: number): OfferDecision {
  const slot = holdings.slots.find((each) => isSameAssignment(each, offered));
  const entry = findReport(holdings.outbox, offered);
  if (entry !== undefined && isEnd(entry)) return { kind: 'reported', entry };
  if (slot !== undefined) return { kind: 'held', slot };
  const ended = recall(holdings.ended, offered.taskId);
  if (ended?.generation === offered.generation) return { kind: 'ended', ended };
  const others = [...holdings.slots, ...holdings.outbox].filter((each) => each.taskId === offered.taskId);
  const newest = Math.max(ended?.generation ?? -1, ...others.map((each) => each.generation));
  if (newest > offered.generation) return { kind: 'superseded' };
  const displaced = holdings.slots.filter((each) => each.taskId === offered.taskId);
  const owed = holdings.slots.filter((each) => isOwed(each) && !displaced.includes(each)).length;
  if (owed >= room || holdings.outbox.length >= OUTBOX_MAX) return { kind: 'busy' };
  return { kind: 'accept', displaced };
}
