/**
 * Handles a journal that cannot be written. New tasks are rejected; every other input that must be journalled is
 * deferred, in order, until writing works again.
 */
import { messageOf } from '../../../errors/agentcom-error.ts';
import { assignmentOf, isRunEvent, deferKey } from '../state/input-subject.ts';
import { DEFERRED_MAX, JOURNAL_RETRY_MS } from '../state/bounds.ts';
import { watch } from '../assignment/folder-work.ts';
import type { Event, Input, Moment } from '../state/inputs.ts';
import { frameIds, type SidecarSetting, type SidecarState } from '../state/state.ts';
import { measureRoom, sendDraining } from '../link/drain.ts';
import { StepContext, type StepResult } from '../state/step-context.ts';
import { assignmentKey } from '../../../domain/assignment/slot.ts';
import { decideOffer } from '../../../domain/assignment/offer.ts';
import type { Generation, TaskId } from '../../../domain/ids.ts';

type PersistFailed = Extract<Event, { readonly type: 'persist_failed' }>;

/** `step` starts from the state before the input whose effects failed. */
export function onPersistFailed(step: StepContext, input: PersistFailed): void {
  const isFirst = step.state.fault === null;
  if (isFirst) step.log('error', 'cannot write the journal; rejecting tasks until it is writable', { error: input.message });
  if (isFirst) step.state = { ...step.state, fault: { deferred: [] }, awaitsReserve: true };
  if (isFirst) sendDraining(step);
  step.startTimer('journal', JOURNAL_RETRY_MS);
  // The failed list may already have unwatched the folder, and its input (a frame, say) may never come again.
  for (const slot of step.state.journal.slots) if (slot.expectedSinceMs !== null) watch(step, slot);
  const { during } = input;
  if (during.type === 'timer' && during.timer.purpose === 'journal') return;
  if (isNewOffer(step.state, during)) {
    return step.send({ type: 'task_rejected', ...frameIds(nameOfOffer(during)), reason: 'journal_unwritable' });
  }
  defer(step, during);
}

type Offer = Extract<Event, { readonly type: 'frame' }> & { readonly frame: { readonly type: 'task_assign' } };

const isOffer = (event: Event): event is Offer => event.type === 'frame' && event.frame.type === 'task_assign';

const nameOfOffer = (offer: Offer): { readonly taskId: TaskId; readonly generation: Generation } => {
  const { task_id: taskId, generation } = offer.frame as ReturnType<typeof frameIds>;
  return { taskId, generation };
};

const isNewOffer = (state: SidecarState, event: Event): event is Offer =>
  isOffer(event) && ['accept', 'busy'].includes(decideOffer(state.journal, nameOfOffer(event), Number.MAX_SAFE_INTEGER).kind);

/** A run event waits behind deferred events of the same run; otherwise its end could overtake its output. */
export function mustDefer({ fault }: SidecarState, event: Event): boolean {
  if (fault === null || !isRunEvent(event)) return false;
  const key = keyOf(event);
  return fault.deferred.some((waiting) => keyOf(waiting) === key);
}

const keyOf = (event: Event): string | null => {
  const name = assignmentOf(event);
  return name === null ? null : assignmentKey(name);
};

/**
 * Defers an input. When too many wait, hub frames are dropped, since the hub repeats them. Of all other inputs only one
 * per kind and run is kept, which bounds them.
 */
export function defer(step: StepContext, event: Event): void {
  const deferred = step.state.fault?.deferred ?? [];
  const waiting = deferKey(event);
  if (waiting === null && deferred.length >= DEFERRED_MAX)
    return step.log('warn', 'too many inputs wait for the journal; dropped a hub frame');
  const isSame = (other: Event): boolean => waiting !== null && deferKey(other)?.key === waiting.key;
  if (waiting?.newest === false && deferred.some(isSame)) return;
  step.state = { ...step.state, fault: { deferred: [...deferred.filter((other) => !isSame(other)), event] } };
}

/**
 * Retries with the oldest deferred input or, if there is none, by writing the current state. On failure the state is
 * unchanged and this runs again.
 */
export function retryJournal(
  setting: SidecarSetting,
  state: SidecarState,
  input: Input,
  takeStep: (state: SidecarState, input: Input) => StepResult,
): StepResult {
  if (state.fault === null) return { state, effects: [] };
  const [oldest, ...rest] = state.fault.deferred;
  if (oldest === undefined) {
    const step = new StepContext(setting, { ...state, fault: null }, input);
    step.state = { ...step.state, journal: { ...step.state.journal } };
    step.log('info', 'the journal is writable again; accepting tasks once there is space for reports');
    measureRoom(step);
    return step.end();
  }
  const { nowMs, jitter } = input;
  const result = stepOrFail(takeStep, { ...state, fault: null }, oldest, { nowMs, jitter });
  const remaining = new StepContext(setting, { ...result.state, fault: { deferred: rest } }, input);
  remaining.startTimer('journal', 0);
  return { state: remaining.state, effects: [...result.effects, ...remaining.end().effects] };
}

/** An input that throws would block those behind it forever, so its run fails instead. */
function stepOrFail(
  takeStep: (state: SidecarState, input: Input) => StepResult,
  state: SidecarState,
  event: Event,
  moment: Moment,
): StepResult {
  try {
    return takeStep(state, { ...event, ...moment });
  } catch (thrown) {
    if (event.type === 'step_failed') return { state, effects: [] };
    return stepOrFail(takeStep, state, { type: 'step_failed', during: event, message: messageOf(thrown) }, moment);
  }
}
