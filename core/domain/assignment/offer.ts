/** Decides what a sidecar does with an offered assignment, from all it knows about the task. */
import { entriesOf } from './assignment-list.ts';
import { recall, type Ended, type EndedEntry } from './ended-assignments.ts';
import { isEnd, OUTBOX_MAX, type EndEntry, type OutboxEntry } from './outbox.ts';
import { countsAgainstSlots, type AssignmentId, type Slot } from './slot.ts';

export type OfferDecision =
  /** New. `displaced` are older generations of the task, whose runs must end before this one is woken. */
  | { readonly kind: 'accept'; readonly displaced: readonly Slot[] }
  /** It is running here: confirm again. */
  | { readonly kind: 'held'; readonly slot: Slot }
  /** Its end is unanswered: report it again. */
  | { readonly kind: 'reported'; readonly entry: EndEntry }
  | { readonly kind: 'ended'; readonly ended: Ended }
  /** A newer generation of the task was here; this offer is stale. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'busy' };

export interface Holdings {
  readonly slots: readonly Slot[];
  readonly outbox: readonly OutboxEntry[];
  readonly ended: readonly EndedEntry[];
}

/** `capacity`: how many assignments may be held at once. Repeats are recognized before capacity is checked. */
export function decideOffer(holdings: Holdings, offered: AssignmentId, capacity: number): OfferDecision {
  const isOffered = ({ generation }: AssignmentId): boolean => generation === offered.generation;
  const displaced = entriesOf(holdings.slots, offered.taskId);
  const reports = entriesOf(holdings.outbox, offered.taskId);
  const slot = displaced.find(isOffered);
  const entry = reports.find(isOffered);
  if (entry !== undefined && isEnd(entry)) return { kind: 'reported', entry };
  if (slot !== undefined) return { kind: 'held', slot };
  const ended = recall(holdings.ended, offered.taskId);
  if (ended?.generation === offered.generation) return { kind: 'ended', ended };
  const isNewer = ({ generation }: AssignmentId): boolean => generation > offered.generation;
  if ((ended !== undefined && isNewer(ended)) || displaced.some(isNewer) || reports.some(isNewer)) return { kind: 'superseded' };
  let taken = 0;
  for (const slot of holdings.slots) if (countsAgainstSlots(slot) && slot.taskId !== offered.taskId) taken += 1;
  if (taken >= capacity || holdings.outbox.length >= OUTBOX_MAX) return { kind: 'busy' };
  return { kind: 'accept', displaced };
}
