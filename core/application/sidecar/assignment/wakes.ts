/** Waking the agent: when there is room, as often as its times allow, and going on with runs of an earlier sidecar. */
import {
  nameOf,
  stopFor,
  wakeableSlots,
  type Assignment,
  type Slot,
  type SlotInability,
  type SlotRun,
} from '../../../domain/assignment/slot.ts';
import type { PreparedRun } from '../../../ports/result-inbox.ts';
import type { WakeRequest } from '../../../ports/wake-runner.ts';
import { ATTACH_RETRY_MS } from '../state/bounds.ts';
import { stopReasonOf } from '../state/effects.ts';
import { expect, prepare } from './folder-work.ts';
import { watchSilence } from './lease.ts';
import { reasonText } from '../report/report-frames.ts';
import { fail, release } from './finish-assignment.ts';
import { frameName, NOTHING_HEARD } from '../state/state.ts';
import { isNoUsage, NO_USAGE } from '../../../domain/usage.ts';
import type { Turn } from '../state/step-context.ts';
import { attemptUsage } from '../run/run-usage.ts';

/** After every input: begins with each assignment that may be woken now. */
export function wakeWhereThereIsRoom(turn: Turn): void {
  if (turn.state.phase !== 'running') return;
  for (const slot of wakeableSlots(turn.state.journal.slots, turn.setting.slots)) {
    if (!turn.live(slot).preparing) prepare(turn, slot);
  }
}

/** Its folders are there: wakes, publishes, or goes on with its run, as it now stands. */
export function onPrepared(turn: Turn, input: { readonly name: Assignment; readonly paths: PreparedRun; readonly runId: string }): void {
  const slot = turn.slot(input.name);
  if (slot === undefined || !turn.live(slot).preparing) return;
  turn.patchLive(slot, { preparing: false, paths: input.paths });
  if (slot.run !== null) attach(turn, slot, slot.run, input.paths);
  else if (slot.stop !== null || slot.status === 'reporting') return;
  else if (turn.setting.runner === null) publish(turn, slot, input.paths);
  else wake(turn, slot, input);
}

function wake(turn: Turn, slot: Slot, input: { readonly paths: PreparedRun; readonly runId: string }): void {
  const run: SlotRun = { runId: input.runId, startedAtMs: turn.nowMs, process: null, woken: false, detached: false };
  const waking: Slot = { ...slot, status: 'waking', wakes: slot.wakes + 1, run, expectedSinceMs: slot.expectedSinceMs ?? turn.nowMs };
  turn.putSlot(waking);
  turn.patchLive(slot, { following: true, attached: false, end: null, wakeError: null, wakeTold: false, heard: NOTHING_HEARD });
  if (slot.expectedSinceMs === null) expect(turn, slot);
  turn.outwardly({ type: 'wake', request: requestFor(turn, waking, run, input.paths) });
  watchSilence(turn, waking);
}

/** Lays the task out for an agent that polls. */
function publish(turn: Turn, slot: Slot, paths: PreparedRun): void {
  const sinceMs = slot.expectedSinceMs ?? turn.nowMs;
  turn.putSlot({ ...slot, status: 'waking_confirmation', wakes: slot.wakes + 1, expectedSinceMs: sinceMs });
  if (slot.expectedSinceMs === null) expect(turn, slot);
  turn.outwardly({ type: 'publish', name: nameOf(slot), task: { ...slot.task, results_dir: paths.resultsDir } });
  turn.startTimerOf(slot, 'pickup', turn.setting.timing.pickupWithinMs);
}

/** Goes on with a run that nothing follows: to its end, or, where it is unwanted or cannot be followed, to stop it. */
function attach(turn: Turn, slot: Slot, run: SlotRun, paths: PreparedRun): void {
  const { following, end, wakeError, failure } = turn.live(slot);
  if (following || end !== null || turn.setting.runner === null) return;
  const isUnwanted = slot.stop !== null || slot.status === 'reporting' || failure !== null;
  const cannotGoOn = turn.setting.runner.adoptable ? null : { reason: 'its runner cannot go on with a run of an earlier sidecar' };
  const isUntold = wakeError === null ? null : { reason: 'its runner threw before it had told of a process' };
  const stop = isUnwanted ? stopReasonOf(slot) : (cannotGoOn ?? isUntold);
  turn.patchLive(slot, { following: true, attached: true, handedOver: false });
  turn.log('info', stop === null ? 'taking up a run where it is' : 'finding a run to stop it', {
    task_id: slot.taskId,
    generation: slot.generation,
  });
  turn.outwardly({ type: 'attach', run: { ...requestFor(turn, slot, run, paths), process: run.process }, stop });
}

function requestFor(turn: Turn, slot: Slot, run: SlotRun, paths: PreparedRun): WakeRequest {
  const session = slot.sessionId === undefined ? {} : { session: slot.sessionId };
  return { ...nameOf(slot), agentId: turn.setting.agentId, runId: run.runId, task: slot.task, ...session, ...paths };
}

export function onPrepareFailed(
  turn: Turn,
  input: { readonly name: Assignment; readonly paths: PreparedRun; readonly message: string },
): void {
  const slot = turn.slot(input.name);
  if (slot === undefined) return;
  turn.patchLive(slot, { preparing: false });
  if (slot.run !== null) return attachAllTheSame(turn, slot, slot.run, input);
  if (slot.stop !== null || slot.status === 'reporting') return;
  // A published task was counted when it was laid out.
  const wakes = slot.status === 'waking_confirmation' ? slot.wakes : slot.wakes + 1;
  wakeFailed(turn, { ...slot, wakes }, { message: input.message, retryable: true });
}

/** Its agent may have spoilt its own folders, or the disk is full: that is no reason to leave a run that was begun to itself. */
function attachAllTheSame(turn: Turn, slot: Slot, run: SlotRun, input: { readonly paths: PreparedRun; readonly message: string }): void {
  const fields = { task_id: slot.taskId, generation: slot.generation, error: input.message };
  turn.log('warn', 'the folders of a run cannot be made again; going on with it as they are', fields);
  turn.patchLive(slot, { paths: input.paths });
  attach(turn, slot, run, input.paths);
}

/** A run that cannot be followed may be alive: its slot is kept, and the runner is asked again. */
export function attachLater(turn: Turn, slot: Slot, message: string): void {
  turn.log('error', 'cannot find out about a run; trying again', {
    task_id: slot.taskId,
    generation: slot.generation,
    error: message,
    retry_ms: ATTACH_RETRY_MS,
  });
  turn.startTimerOf(slot, 'retry', ATTACH_RETRY_MS);
}

export interface WakeFailure {
  readonly message: string;
  /** False: trying again cannot help. */
  readonly retryable: boolean;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** What wakes it is away, which says nothing of the task: it is handed back once its tries are used up. */
  readonly inability?: SlotInability | undefined;
}

/** Nothing was woken, and nothing of the try is alive. `slot` has no run any more. */
export function wakeFailed(turn: Turn, slot: Slot, failure: WakeFailure): void {
  const { wakeRetriesMs } = turn.setting.timing;
  const error = reasonText(failure.message);
  turn.sendOf(slot, { type: 'wake_result', ...frameName(slot), status: 'failed', attempt: slot.wakes, error });
  turn.log('warn', 'the agent was not woken', { task_id: slot.taskId, generation: slot.generation, attempt: slot.wakes, error });
  const used = attemptUsage(turn, slot);
  const gone: Slot = { ...slot, run: null, ...(isNoUsage(used) ? {} : { spent: used }) };
  turn.patchLive(slot, { used: NO_USAGE });
  if (!failure.retryable) return fail(turn, gone, { kind: 'wake_failed', error, details: failure.details });
  const delayMs = wakeRetriesMs[slot.wakes - 1];
  if (delayMs === undefined && failure.inability !== undefined) {
    return release(turn, { ...gone, stop: { ...stopFor('released', error), inability: failure.inability } }, error);
  }
  if (delayMs === undefined) {
    const details = { ...failure.details, attempts: slot.wakes, last_message: error };
    return fail(turn, gone, {
      kind: 'wake_failed',
      error: reasonText(`wake_failed_after_${wakeRetriesMs.length}_attempts: ${error}`),
      details,
    });
  }
  turn.putSlot({ ...gone, status: 'waking' });
  turn.patchLive(slot, { following: false, end: null, wakeError: null, wakeTold: false });
  turn.cancelTimersOf(slot, ['confirm', 'pickup', 'silence']);
  turn.startTimerOf(slot, 'retry', delayMs);
}

/** The next try to wake, or to find out about a run. */
export function onRetryTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot === undefined || turn.live(slot).preparing || turn.live(slot).following) return;
  const isWaiting = slot.run === null && slot.status === 'waking' && slot.stop === null && turn.state.phase === 'running';
  if (isWaiting || (slot.run !== null && turn.live(slot).end === null)) prepare(turn, slot);
}
