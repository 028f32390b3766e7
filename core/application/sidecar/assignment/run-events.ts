/** What the runner tells of a run. Events of a run that the slot no longer has are dropped. */
import { isAgentFault } from '../../../domain/agent/breaker.ts';
import {
  hasStarted,
  nameOf,
  stopFor,
  type Assignment,
  type Slot,
  type SlotInability,
  type SlotRun,
} from '../../../domain/assignment/slot.ts';
import type { WakeEvent } from '../../../ports/wake-runner.ts';
import { isSessionId } from '../../../protocol/fields.ts';
import type { RefusedWord } from '../state/runner-events.ts';
import { RETRY_AFTER_MS_MAX } from '../state/bounds.ts';
import { lookAtRunner } from '../health/checks.ts';
import { beginStop, endRun, failUnlessResult, stopRun, UNKNOWN_END } from './end-of-run.ts';
import { hear } from '../run/last-words.ts';
import { confirmStarted, progress, tellWoken, watchSilence } from './lease.ts';
import { heardResult } from './results.ts';
import { reasonText } from '../report/report-frames.ts';
import { fail } from './finish-assignment.ts';
import type { Turn } from '../state/step-context.ts';
import { readUsage } from '../run/run-usage.ts';
import { attachLater, wakeFailed } from './wakes.ts';

/** The slot as long as it has this very run, and that has not ended. */
function slotOfRun(turn: Turn, name: Assignment, runId: string): (Slot & { readonly run: SlotRun }) | null {
  const slot = turn.slot(name);
  if (slot?.run?.runId !== runId || turn.live(name).end !== null) return null;
  return { ...slot, run: slot.run };
}

export function onWake(turn: Turn, input: { readonly name: Assignment; readonly runId: string; readonly event: WakeEvent }): void {
  const slot = slotOfRun(turn, input.name, input.runId);
  if (slot === null) return;
  const { event } = input;
  switch (event.type) {
    case 'spawned':
      turn.putSlot({ ...slot, run: { ...slot.run, process: event.process } });
      return watchSilence(turn, slot);
    case 'woken':
      return onWoken(turn, slot);
    case 'started':
      return onStarted(turn, slot, event.sessionId);
    case 'output':
      hear(turn, slot, event.stream === 'stderr' ? 'stderr' : 'output', event.text);
      return watchSilence(turn, slot);
    case 'progress': {
      const started = confirmStarted(turn, slot);
      hear(turn, slot, 'output', event.message);
      watchSilence(turn, started);
      return progress(turn, started, { percent: event.percent, message: event.message });
    }
    case 'usage':
      watchSilence(turn, slot);
      return progress(turn, slot, { used: readUsage(event) });
    case 'completed':
      progress(turn, { ...slot, status: 'reporting' }, { used: readUsage(event) });
      return heardResult(turn, slot, event.output ?? null);
    case 'failed':
      return event.phase === 'spawn' ? onSpawnFailed(turn, slot, event) : onAgentFailed(turn, slot, event);
    case 'exited':
      return endRun(turn, slot, {
        ...UNKNOWN_END,
        exitCode: event.exitCode,
        signal: event.signal,
        stderrTail: event.stderrTail,
        survivors: event.survivors ?? [],
        sessionGone: event.sessionGone,
      });
    case 'stopped':
      return endRun(turn, slot, { ...UNKNOWN_END, stopped: true, survivors: event.survivors });
  }
}

/**
 * The runner said what cannot be taken. Its run ends with that, as a failure of its own: an agent that lives is stopped, and
 * never woken beside itself. A result that is none is the agent's, which ends as after any other.
 */
export function onWakeRefused(
  turn: Turn,
  input: { readonly name: Assignment; readonly runId: string; readonly reason: RefusedWord; readonly message: string },
): void {
  const slot = slotOfRun(turn, input.name, input.runId);
  if (slot === null) return;
  const { reason, message } = input;
  const fields = { task_id: slot.taskId, generation: slot.generation, reason, error: message };
  turn.log('error', 'the wake runner said what cannot be taken', fields);
  if (slot.status === 'reporting' || slot.stop !== null || turn.live(slot).failure !== null) return;
  if (reason !== 'bad_word') return failUnlessResult(turn, slot, { kind: reason, error: message, keepFiles: true, keepStreams: true });
  const kind = slot.run.process === null ? 'wake_failed' : 'agent_failed';
  failUnlessResult(turn, slot, { kind, error: `the wake runner broke: ${message}`, retryable: true, keepFiles: true, keepStreams: true });
  stopRun(turn, slot);
}

/** What the agent's program can go on with is the hub's to keep, for another attempt on this machine. */
function onStarted(turn: Turn, slot: Slot, sessionId: string | undefined): void {
  const isFit = sessionId !== undefined && isSessionId(sessionId);
  if (sessionId !== undefined && !isFit) turn.log('warn', 'a session of this name cannot be gone on with', { task_id: slot.taskId });
  const named = isFit && sessionId !== slot.sessionId ? { ...slot, sessionId } : slot;
  if (named !== slot) turn.putSlot(named);
  const started = confirmStarted(turn, named);
  watchSilence(turn, started);
  if (isFit) progress(turn, started, { sessionId });
}

/** The agent is on its own: from now on its files tell, and the first must come in time. */
function onWoken(turn: Turn, slot: Slot & { readonly run: SlotRun }): void {
  const status = slot.status === 'waking' ? 'waking_confirmation' : slot.status;
  const woken: Slot = { ...slot, status, run: { ...slot.run, woken: true } };
  turn.putSlot(woken);
  turn.patchLive(slot, { handedOver: turn.live(slot).attached });
  tellWoken(turn, woken);
  watchSilence(turn, woken);
  if (!hasStarted(woken) && woken.stop === null) turn.startTimerOf(slot, 'confirm', turn.setting.timing.confirmWithinMs);
}

type Failed = Extract<WakeEvent, { readonly type: 'failed' }>;

function onSpawnFailed(turn: Turn, slot: Slot & { readonly run: SlotRun }, event: Omit<Failed, 'type' | 'phase'>): void {
  // What has a process was spawned once, whatever its runner calls it now; and a stop wants only the end.
  const wasSpawned = turn.live(slot).attached && slot.run.process !== null;
  if (slot.stop !== null || slot.status === 'reporting' || wasSpawned) return endRun(turn, slot, UNKNOWN_END);
  const { wakeError, failure } = turn.live(slot);
  if (failure !== null) return endRun(turn, slot, UNKNOWN_END);
  turn.patchLive(slot, { following: false, attached: false });
  // A call whose answer got lost may have woken it: the same assignment is tried again first.
  const isOutage = event.kind === 'model_unavailable' && event.retryable;
  if (isAgentFault(event.kind ?? null) && !isOutage) return handBack(turn, { ...slot, run: null }, event);
  // The task is more than the program takes, or what it is called with refuses it: that says nothing of this machine.
  if (event.kind === 'limit' || (event.kind === 'agent_failed' && !event.retryable)) {
    const { kind: cause, message: error, retryable, details } = event;
    return fail(turn, { ...slot, run: null }, { kind: 'agent_failed', cause, error, retryable, details });
  }
  const inability = isOutage ? inabilityOf(turn, event) : undefined;
  const { retryable, details } = event;
  wakeFailed(turn, { ...slot, run: null }, { message: wakeError ?? event.message, retryable, details, inability });
}

function onAgentFailed(turn: Turn, slot: Slot, event: Omit<Failed, 'type' | 'phase'>): void {
  if (slot.status === 'reporting' || slot.stop !== null) return;
  const { message, retryable, retryAfterMs, details, kind: cause } = event;
  // What is the agent's fault says nothing of the task.
  if (isAgentFault(cause ?? null) && turn.live(slot).failure === null) return handBack(turn, slot, event);
  const kind = cause === 'unresponsive' ? 'silent' : 'agent_failed';
  failUnlessResult(turn, slot, { kind, error: message, retryable, cause, retryAfterMs: waitOf(retryAfterMs), details });
}

/**
 * The agent can do nothing now, or nothing more: its task is handed back unspent, once its run is known to be gone, and the hub
 * gives this agent nothing for as long as it says. What was begun goes on in its session where the runner resumes.
 */
function handBack(turn: Turn, slot: Slot, event: Omit<Failed, 'type' | 'phase'>): void {
  const { kind = 'agent_failed', message } = event;
  turn.log('warn', 'the agent can do nothing now', { task_id: slot.taskId, generation: slot.generation, cause: kind, error: message });
  beginStop(turn, slot, { ...stopFor('released', reasonText(message)), inability: inabilityOf(turn, event, slot.run !== null) });
  lookAtRunner(turn);
}

function inabilityOf(
  turn: Turn,
  { kind = 'agent_failed', retryAfterMs, beforeWork }: Omit<Failed, 'type' | 'phase'>,
  mayHaveWorked = false,
): SlotInability {
  const waitMs = waitOf(retryAfterMs);
  const afterWork = mayHaveWorked && beforeWork !== true ? { afterWork: true } : {};
  return { cause: kind, retryAtMs: waitMs === undefined ? null : turn.nowMs + waitMs, ...afterWork };
}

/** A wait that a frame can say. */
const waitOf = (ms: number | undefined): number | undefined =>
  ms === undefined || !Number.isFinite(ms) ? undefined : Math.min(RETRY_AFTER_MS_MAX, Math.max(1, Math.ceil(ms)));

/**
 * The runner's stream is over. After a word of the run's end that is all; without one, a woken agent is on its own, and
 * any other run counts as ended in a way that nobody saw.
 */
export function onRunOver(turn: Turn, input: { readonly name: Assignment; readonly runId: string; readonly error: string | null }): void {
  const slot = slotOfRun(turn, input.name, input.runId);
  if (slot === null) return;
  const { attached, handedOver } = turn.live(slot);
  turn.patchLive(slot, { following: false });
  if (input.error !== null) return onRunnerThrew(turn, slot, input.error);
  if (!slot.run.woken || (attached && !handedOver)) return endRun(turn, slot, UNKNOWN_END);
  const detached: Slot = { ...slot, run: { ...slot.run, detached: true } };
  turn.putSlot(detached);
  if (slot.stop !== null) stopRun(turn, detached);
  else watchSilence(turn, detached);
}

/** It may have started something before it threw: what carries the id of the run is found and stopped before another try. */
function stopUntold(turn: Turn, slot: Slot & { readonly run: SlotRun }, error: string): void {
  turn.patchLive(slot, { wakeError: error });
  stopRun(turn, slot);
}

function onRunnerThrew(turn: Turn, slot: Slot & { readonly run: SlotRun }, error: string): void {
  turn.log('error', 'the wake runner threw', { task_id: slot.taskId, generation: slot.generation, error });
  if (turn.live(slot).attached || slot.stop !== null) return attachLater(turn, slot, error);
  if (slot.run.process === null) return stopUntold(turn, slot, error);
  onAgentFailed(turn, slot, { message: `the wake runner broke: ${error}`, retryable: true });
  // Nothing follows its process any more, so it is stopped now and not after its moment of grace.
  const settled = turn.slot(nameOf(slot));
  if (settled !== undefined) stopRun(turn, settled);
}
