/** Signs of life, the lease that they renew, and the progress that is told. */
import { hasStarted, runLeftByHubMs, runLeftMs, type Assignment, type Slot } from '../../../domain/assignment/slot.ts';
import { PROGRESS_EVERY_MS } from '../../../config/times.ts';
import { CLOCK_DOUBT_MS } from '../state/bounds.ts';
import { reasonText } from '../report/report-frames.ts';
import { maxUsage, isNoUsage, usageFields, type Usage } from '../../../domain/usage.ts';
import { frameName, type ProgressFields } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';
import { attemptUsage } from '../run/run-usage.ts';

/** Begins what an assignment that is not settled needs for as long as it lasts. */
export function watchLife(turn: Turn, slot: Slot): void {
  turn.startTimerOf(slot, 'lease', renewEveryMs(turn));
  const leftMs = runLeftMs(slot, turn.nowMs);
  if (leftMs !== null) turn.startTimerOf(slot, 'run_max', leftMs);
}

/** After a start this clock alone ends no run: a step forward while nobody looked would end all. */
export function watchLifeAgain(turn: Turn, slot: Slot): void {
  watchLife(turn, slot);
  const leftMs = runLeftMs(slot, turn.nowMs);
  if (leftMs === null || leftMs >= CLOCK_DOUBT_MS) return;
  turn.patchLive(slot, { inDoubt: true });
  turn.startTimerOf(slot, 'run_max', CLOCK_DOUBT_MS);
}

/** The hub says what time it is: a run is over its time by both clocks, or goes on. */
export function settleDoubt(turn: Turn, hubMs: number): void {
  for (const slot of turn.state.journal.slots) {
    if (!turn.live(slot).inDoubt) continue;
    turn.patchLive(slot, { inDoubt: false });
    if (slot.status === 'reporting' || slot.stop !== null) continue;
    const [byThis, byHub] = [runLeftMs(slot, turn.nowMs), runLeftByHubMs(slot, hubMs)];
    if (byThis !== null && byHub !== null) turn.startTimerOf(slot, 'run_max', Math.max(byThis, byHub));
  }
}

const renewEveryMs = (turn: Turn): number => Math.max(1, Math.floor(turn.state.link.policy.lease_ms / 3));

/**
 * From acceptance until its end is reported; from then on the repeats of the report speak for it. A run that shows no
 * life does not get here: it is stopped.
 */
export function onLeaseTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot === undefined || slot.status === 'reporting' || slot.stop !== null) return;
  renew(turn, slot);
}

export function renew(turn: Turn, slot: Slot): void {
  turn.sendOf(slot, { type: 'task_progress', ...frameName(slot) });
  turn.startTimerOf(slot, 'lease', renewEveryMs(turn));
}

/**
 * The next sign of life is due within this time; null when a living process is enough. `idleMs` for an agent that its
 * runner listens to, `silenceMs` where only files can tell.
 */
function silenceAllowedMs(turn: Turn, slot: Slot): number | null {
  const { idleMs, silenceMs } = turn.setting.timing;
  if (turn.setting.runner === null) return hasStarted(slot) ? silenceMs : null;
  if (slot.run === null) return null;
  if (slot.run.detached) return silenceMs;
  return slot.run.woken ? null : idleMs;
}

/** A sign of life was seen, or the rule for it has changed. */
export function watchSilence(turn: Turn, slot: Slot): void {
  if (slot.status === 'reporting' || slot.stop !== null) return;
  const allowedMs = silenceAllowedMs(turn, slot);
  if (allowedMs === null) turn.cancelTimersOf(slot, ['silence']);
  else turn.startTimerOf(slot, 'silence', allowedMs);
}

/** The agent was heard of: it has taken the task. Answers the slot as it is now. */
export function confirmStarted(turn: Turn, slot: Slot): Slot {
  tellWoken(turn, slot);
  if (hasStarted(slot) || slot.stop !== null) return slot;
  const working: Slot = { ...slot, status: 'working' };
  turn.putSlot(working);
  turn.cancelTimersOf(slot, ['confirm', 'pickup']);
  turn.log('info', 'the agent started', { task_id: slot.taskId, generation: slot.generation });
  return working;
}

/** Tells the hub, for the story, that the wake went well; once for each run, now or after the next `identified`. */
export function tellWoken(turn: Turn, slot: Slot): void {
  if (turn.live(slot).wakeTold || slot.status === 'reporting' || turn.state.link.phase !== 'identified') return;
  turn.patchLive(slot, { wakeTold: true });
  turn.sendOf(slot, { type: 'wake_result', ...frameName(slot), status: 'success', attempt: slot.wakes });
}

export interface Progress {
  readonly percent?: number | null | undefined;
  readonly message?: string | null | undefined;
  /** Of the run until now. */
  readonly used?: Usage | undefined;
  readonly sessionId?: string | undefined;
}

/** Tells it, at most once a second; what comes meanwhile waits, the newest of each field wins. */
export function progress(turn: Turn, slot: Slot, said: Progress): void {
  const live = turn.live(slot);
  if (said.used !== undefined) turn.patchLive(slot, { used: maxUsage(live.used, said.used) });
  // What the hub hears is of the whole attempt, whatever this run said.
  const used = said.used === undefined || isNoUsage(said.used) ? {} : usageFields(attemptUsage(turn, slot));
  const fields: ProgressFields = { ...live.progress, ...progressFields(said), ...used };
  if (slot.status === 'reporting' || slot.stop !== null || Object.keys(fields).length === 0) return;
  if (live.progressHeld) turn.patchLive(slot, { progress: fields });
  else sendProgress(turn, slot, fields);
}

function sendProgress(turn: Turn, slot: Slot, fields: ProgressFields): void {
  turn.sendOf(slot, { type: 'task_progress', ...frameName(slot), ...fields });
  turn.patchLive(slot, { progress: null, progressHeld: true });
  turn.startTimerOf(slot, 'progress', PROGRESS_EVERY_MS);
}

export function onProgressTimer(turn: Turn, name: Assignment): void {
  const slot = turn.slot(name);
  if (slot === undefined) return;
  const { progress: waiting } = turn.live(slot);
  if (waiting === null || slot.status === 'reporting' || slot.stop !== null) turn.patchLive(slot, { progress: null, progressHeld: false });
  else sendProgress(turn, slot, waiting);
}

function progressFields(said: Progress): ProgressFields {
  const { percent, message, sessionId } = said;
  return {
    ...(typeof percent === 'number' && Number.isFinite(percent) ? { percent: Math.min(100, Math.max(0, percent)) } : {}),
    ...(typeof message === 'string' ? { message: reasonText(message) } : {}),
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
  };
}
