/**
 * The journal cannot be written. No task is taken then; everything else that must be journalled waits, in the order in
 * which it happened, and is taken up when the disk lets it.
 */
import { messageOf } from '../../../errors/agentcom-error.ts';
import { assignmentOf, isOfRun, waitingName } from '../state/input-subject.ts';
import { DEFERRED_MAX, JOURNAL_RETRY_MS } from '../state/bounds.ts';
import { expect } from '../assignment/folder-work.ts';
import type { Event, Input, Moment } from '../state/inputs.ts';
import { frameName, type SidecarState } from '../state/state.ts';
import { measureRoom, tellDraining } from '../link/drain.ts';
import { Turn, type Step } from '../state/step-context.ts';
import { assignmentKey } from '../../../domain/assignment/slot.ts';
import { decideOffer } from '../../../domain/assignment/offer.ts';
import type { Generation, TaskId } from '../../../domain/ids.ts';

type PersistFailed = Extract<Event, { readonly type: 'persist_failed' }>;

/** `turn` begins from the state before the input whose effects failed. */
export function onPersistFailed(turn: Turn, input: PersistFailed): void {
  const isFirst = turn.state.fault === null;
  if (isFirst) turn.log('error', 'the journal cannot be written; no task is taken until it can', { error: input.message });
  if (isFirst) turn.state = { ...turn.state, fault: { deferred: [] }, isShort: true };
  if (isFirst) tellDraining(turn);
  turn.startTimer('journal', JOURNAL_RETRY_MS);
  // The list may have stopped watching for files before it failed, and its input, a frame perhaps, may never be taken again.
  for (const slot of turn.state.journal.slots) if (slot.expectedSinceMs !== null) expect(turn, slot);
  const { during } = input;
  if (during.type === 'timer' && during.timer.purpose === 'journal') return;
  if (isNewOffer(turn.state, during)) {
    return turn.send({ type: 'task_rejected', ...frameName(nameOfOffer(during)), reason: 'journal_unwritable' });
  }
  defer(turn, during);
}

type Offer = Extract<Event, { readonly type: 'frame' }> & { readonly frame: { readonly type: 'task_assign' } };

const isOffer = (event: Event): event is Offer => event.type === 'frame' && event.frame.type === 'task_assign';

const nameOfOffer = (offer: Offer): { readonly taskId: TaskId; readonly generation: Generation } => {
  const frame = offer.frame as { readonly task_id: string; readonly generation: number };
  return { taskId: frame.task_id as TaskId, generation: frame.generation as Generation };
};

const isNewOffer = (state: SidecarState, event: Event): event is Offer =>
  isOffer(event) && ['accept', 'busy'].includes(decideOffer(state.journal, nameOfOffer(event), Number.MAX_SAFE_INTEGER).kind);

/** What is told of a run waits behind what of it waits already: its end is no end before its last word. */
export function mustWait({ fault }: SidecarState, event: Event): boolean {
  if (fault === null || !isOfRun(event)) return false;
  const key = keyOf(event);
  return fault.deferred.some((waiting) => keyOf(waiting) === key);
}

const keyOf = (event: Event): string | null => {
  const name = assignmentOf(event);
  return name === null ? null : assignmentKey(name);
};

/**
 * Keeps an input for later. Of too many, frames are let go, since the hub says them again; of all others one of a kind is kept for
 * each run, so that there are never more than kinds.
 */
export function defer(turn: Turn, event: Event): void {
  const deferred = turn.state.fault?.deferred ?? [];
  const waiting = waitingName(event);
  if (waiting === null && deferred.length >= DEFERRED_MAX)
    return turn.log('warn', 'too much waits for the journal: dropped a frame of the hub');
  const isSame = (other: Event): boolean => waiting !== null && waitingName(other)?.key === waiting.key;
  if (waiting?.newest === false && deferred.some(isSame)) return;
  turn.state = { ...turn.state, fault: { deferred: [...deferred.filter((other) => !isSame(other)), event] } };
}

/**
 * Tries the journal with the oldest input that waits for it, or, when none does, by writing what is there. If it fails,
 * the state is as it was, and this comes again.
 */
export function retryJournal(
  setting: Turn['setting'],
  state: SidecarState,
  input: Input,
  step: (state: SidecarState, input: Input) => Step,
): Step {
  if (state.fault === null) return { state, effects: [] };
  const [oldest, ...rest] = state.fault.deferred;
  if (oldest === undefined) {
    const turn = new Turn(setting, { ...state, fault: null }, input);
    turn.state = { ...turn.state, journal: { ...turn.state.journal } };
    turn.log('info', 'the journal can be written again; tasks are taken once there is room for reports too');
    measureRoom(turn);
    return turn.end();
  }
  const { nowMs, jitter } = input;
  const taken = takeOne(step, { ...state, fault: null }, oldest, { nowMs, jitter });
  const stillWaiting = new Turn(setting, { ...taken.state, fault: { deferred: rest } }, input);
  stillWaiting.startTimer('journal', 0);
  return { state: stillWaiting.state, effects: [...taken.effects, ...stillWaiting.end().effects] };
}

/** One that throws would be tried for ever, and what waits behind it with it: the run that it is about ends instead. */
function takeOne(step: (state: SidecarState, input: Input) => Step, state: SidecarState, event: Event, moment: Moment): Step {
  try {
    return step(state, { ...event, ...moment });
  } catch (thrown) {
    if (event.type === 'step_failed') return { state, effects: [] };
    return takeOne(step, state, { type: 'step_failed', during: event, message: messageOf(thrown) }, moment);
  }
}
