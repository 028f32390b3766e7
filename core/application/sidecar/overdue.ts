/** What an agent did not do in its time: it is stopped for that. */
import { stopFor, type Assignment, type StopCause } from '../../domain/slot.ts';
import { beginStop } from './ends.ts';
import { frameName } from './state.ts';
import type { Turn } from './turn.ts';

/** Woken, and not heard of since. */
export function onConfirmTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot?.status !== 'waking_confirmation' || slot.run === null) return;
  stopUnconfirmed(turn, name, `not heard of within ${turn.setting.timing.confirmWithinMs} ms after it was woken`);
}

/** Laid out for an agent that polls, and not taken. */
export function onPickupTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot?.status !== 'waking_confirmation' || slot.run !== null) return;
  stopUnconfirmed(turn, name, `not taken within ${turn.setting.timing.pickupWithinMs} ms`);
}

function stopUnconfirmed(turn: Turn, name: Assignment, reason: string): void {
  const slot = turn.slot(name);
  if (slot === undefined || slot.stop !== null) return;
  turn.sendOf(slot, { type: 'wake_result', ...frameName(slot), status: 'timeout', attempt: slot.wakes, reason });
  beginStop(turn, slot, stopFor('confirmation_timeout', reason));
}

export function onSilenceTimer(turn: Turn, name: Assignment): void {
  stopOverdue(turn, name, 'silent', 'no sign of life for too long');
}

export function onRunMaxTimer(turn: Turn, name: Assignment): void {
  stopOverdue(turn, name, 'execution_timeout', `not finished within ${turn.slot(name)?.runMaxMs ?? 0} ms of its acceptance`);
}

function stopOverdue(turn: Turn, name: Assignment, cause: StopCause, reason: string): void {
  const slot = turn.slot(name);
  if (slot !== undefined && slot.status !== 'reporting') beginStop(turn, slot, stopFor(cause, reason));
}
