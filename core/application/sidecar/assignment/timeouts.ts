/** What an agent did not do in its time: it is stopped for that. */
import { stopFor, type Assignment, type StopCause } from '../../../domain/assignment/slot.ts';
import { beginStop } from './end-of-run.ts';
import { frameName } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

const SILENT =
  'the agent showed no sign of life for too long, and was stopped. If it works that long without a word, raise timing.idleMs, or timing.silenceMs where it tells by files.';

/** Woken, and not heard of since. */
export function onConfirmTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot?.status !== 'waking_confirmation' || slot.run === null) return;
  const withinMs = turn.setting.timing.confirmWithinMs;
  const cure = 'See that it says so when it begins (<task_id>.started), or raise timing.confirmWithinMs.';
  stopUnconfirmed(turn, name, `the agent was woken and not heard of within ${withinMs} ms. ${cure}`);
}

/** Laid out for an agent that polls, and not taken. */
export function onPickupTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot?.status !== 'waking_confirmation' || slot.run !== null) return;
  const withinMs = turn.setting.timing.pickupWithinMs;
  stopUnconfirmed(
    turn,
    name,
    `no agent took it within ${withinMs} ms. Start the one that looks for work there, or raise timing.pickupWithinMs.`,
  );
}

function stopUnconfirmed(turn: Turn, name: Assignment, reason: string): void {
  const slot = turn.slot(name);
  if (slot === undefined || slot.stop !== null) return;
  turn.sendOf(slot, { type: 'wake_result', ...frameName(slot), status: 'timeout', attempt: slot.wakes, reason });
  beginStop(turn, slot, stopFor('confirmation_timeout', reason));
}

export function onSilenceTimer(turn: Turn, name: Assignment): void {
  stopOverdue(turn, name, 'silent', SILENT);
}

export function onRunMaxTimer(turn: Turn, name: Assignment): void {
  const withinMs = turn.slot(name)?.runMaxMs ?? 0;
  stopOverdue(
    turn,
    name,
    'execution_timeout',
    `it was not finished within ${withinMs} ms of its acceptance. Submit it with a larger run_max_ms.`,
  );
}

function stopOverdue(turn: Turn, name: Assignment, cause: StopCause, reason: string): void {
  const slot = turn.slot(name);
  if (slot !== undefined && slot.status !== 'reporting') beginStop(turn, slot, stopFor(cause, reason));
}
