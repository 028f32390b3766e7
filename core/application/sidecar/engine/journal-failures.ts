/**
 * Handles a journal that cannot be written. New tasks are rejected; every other input that must be journaled is
 * deferred, in order, until writing works again.
 */
import { encodedBytesAtMost } from '../../../domain/encoded-text.ts';
import { messageOf } from '../../../errors/agentcom-error.ts';
import { assignmentOf, isRunEvent, deferKey } from '../state/input-subject.ts';
import { DEFERRED_BYTES_MAX, DEFERRED_MAX, JOURNAL_RETRY_MS } from '../state/constants.ts';
import { watch } from '../assignment/folder-work.ts';
import type { SidecarInput, StepEnvironment } from '../state/inputs.ts';
import { assignmentIdIn, type SidecarSettings, type SidecarState } from '../state/state.ts';
import { measureDisk, sendDraining } from '../link/drain.ts';
import { StepContext, type Step, type StepResult } from '../state/step-context.ts';
import { assignmentKey } from '../../../domain/assignment/slot.ts';
import { decideOffer } from '../../../domain/assignment/offer.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';

type PersistFailed = Extract<SidecarInput, { readonly type: 'persist_failed' }>;

/** `step` starts from the state before the input whose effects failed. */
export function onPersistFailed(step: StepContext, { input, message }: PersistFailed): void {
  const isFirst = step.state.fault === null;
  if (isFirst) step.log('error', 'cannot write the journal; rejecting tasks until it is writable', { error: message });
  if (isFirst) step.state = { ...step.state, fault: { deferred: [] }, awaitsReserve: true };
  if (isFirst) sendDraining(step);
  step.startTimer('journal', JOURNAL_RETRY_MS);
  // The failed list may already have unwatched the folder, and its input (for example, a frame) may never come again.
  for (const slot of step.state.journal.slots) if (slot.expectedSinceMs !== null) watch(step, slot);
  if (input.type === 'timer' && input.timer.purpose === 'journal') return;
  if (isNewOffer(step.state, input)) {
    const { task_id, generation } = input.frame;
    return step.send({ type: 'task_rejected', task_id, generation, reason: 'journal_unwritable' });
  }
  defer(step, input);
}

type Offer = Extract<SidecarInput, { readonly type: 'frame' }> & { readonly frame: HubFrameOf<'task_assign'> };

const isOffer = (input: SidecarInput): input is Offer => input.type === 'frame' && input.frame.type === 'task_assign';

const isNewOffer = (state: SidecarState, input: SidecarInput): input is Offer =>
  isOffer(input) && ['accept', 'busy'].includes(decideOffer(state.journal, assignmentIdIn(input.frame), Number.MAX_SAFE_INTEGER).kind);

/** A run event waits behind deferred events of the same run; otherwise its end could overtake its output. */
export function mustDefer({ fault }: SidecarState, input: SidecarInput): boolean {
  if (fault === null || !isRunEvent(input)) return false;
  const key = keyOf(input);
  return fault.deferred.some((waiting) => keyOf(waiting) === key);
}

const keyOf = (input: SidecarInput): string | null => {
  const assignment = assignmentOf(input);
  return assignment === null ? null : assignmentKey(assignment);
};

/**
 * Defers an input. When too many wait, or too large ones, hub frames are dropped, since the hub repeats them. Of all other inputs only
 * one per kind and run is kept, which bounds them.
 */
export function defer(step: StepContext, input: SidecarInput): void {
  const deferred = step.state.fault?.deferred ?? [];
  const waiting = deferKey(input);
  if (waiting === null && (deferred.length >= DEFERRED_MAX || isTooMuch(deferred, input)))
    return step.log('warn', 'too many inputs wait for the journal; dropped a hub frame');
  const isSame = (other: SidecarInput): boolean => waiting !== null && deferKey(other)?.key === waiting.key;
  if (waiting?.newest === false && deferred.some(isSame)) return;
  step.state = { ...step.state, fault: { deferred: [...deferred.filter((other) => !isSame(other)), input] } };
}

/** A frame that is too large by itself is deferred if it is the only one; otherwise it would never be handled. */
function isTooMuch(deferred: readonly SidecarInput[], input: SidecarInput): boolean {
  const bytes = deferred.reduce((sum, other) => sum + frameBytes(other), 0);
  return bytes > 0 && bytes + frameBytes(input) > DEFERRED_BYTES_MAX;
}

const frameBytes = (input: SidecarInput): number => (input.type === 'frame' ? encodedBytesAtMost(input.frame) : 0);

/**
 * Retries with the oldest deferred input or, if there is none, by writing the current state. On failure the state is
 * unchanged and this runs again.
 */
export function retryJournal(settings: SidecarSettings, state: SidecarState, environment: StepEnvironment, takeStep: Step): StepResult {
  if (state.fault === null) return { state, effects: [] };
  const [oldest, ...rest] = state.fault.deferred;
  if (oldest === undefined) {
    const step = new StepContext(settings, { ...state, fault: null }, environment);
    step.state = { ...step.state, journal: { ...step.state.journal } };
    step.log('info', 'the journal is writable again; accepting tasks once there is space for reports');
    measureDisk(step);
    return step.end();
  }
  const result = stepOrFail(takeStep, { ...state, fault: null }, oldest, environment);
  const remaining = new StepContext(settings, { ...result.state, fault: { deferred: rest } }, environment);
  remaining.startTimer('journal', 0);
  return { state: remaining.state, effects: [...result.effects, ...remaining.end().effects] };
}

/** An input that throws would block those behind it forever, so its run fails instead. */
function stepOrFail(takeStep: Step, state: SidecarState, input: SidecarInput, environment: StepEnvironment): StepResult {
  try {
    return takeStep(state, input, environment);
  } catch (thrown) {
    if (input.type === 'step_failed') return { state, effects: [] };
    return stepOrFail(takeStep, state, { type: 'step_failed', input, message: messageOf(thrown) }, environment);
  }
}
