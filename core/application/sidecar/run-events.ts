/** What the runner tells of a run. Events of a run that the slot no longer has are dropped. */
import { hasStarted, nameOf, type Assignment, type Slot, type SlotRun } from '../../domain/slot.ts';
import type { WakeEvent } from '../../ports/wake-runner.ts';
import { endRun, stopRun, UNKNOWN_END } from './ends.ts';
import { confirmStarted, progress, tellWoken, watchSilence } from './life.ts';
import { heardResult } from './results.ts';
import { fail } from './settling.ts';
import type { Turn } from './turn.ts';
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
      return watchSilence(turn, confirmStarted(turn, slot));
    case 'output':
      return watchSilence(turn, slot);
    case 'progress': {
      const started = confirmStarted(turn, slot);
      watchSilence(turn, started);
      return progress(turn, started, { percent: event.percent, message: event.message });
    }
    case 'usage':
      watchSilence(turn, slot);
      return progress(turn, slot, { tokensUsed: event.tokensUsed, costUsd: event.costUsd });
    case 'completed':
      progress(turn, { ...slot, status: 'reporting' }, { tokensUsed: event.tokensUsed, costUsd: event.costUsd });
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
      });
    case 'stopped':
      return endRun(turn, slot, { ...UNKNOWN_END, stopped: true, survivors: event.survivors });
  }
}

/** The agent is on its own: from now on its files tell, and the first must come in time. */
function onWoken(turn: Turn, slot: Slot & { readonly run: SlotRun }): void {
  const status = slot.status === 'waking' ? 'waking_confirmation' : slot.status;
  const woken: Slot = { ...slot, status, run: { ...slot.run, woken: true } };
  turn.putSlot(woken);
  tellWoken(turn, woken);
  watchSilence(turn, woken);
  if (!hasStarted(woken) && woken.stop === null) turn.startTimerOf(slot, 'confirm', turn.setting.timing.confirmWithinMs);
}

type Failed = Extract<WakeEvent, { readonly type: 'failed' }>;

function onSpawnFailed(turn: Turn, slot: Slot & { readonly run: SlotRun }, event: Omit<Failed, 'type' | 'phase'>): void {
  // What has a process was spawned once, whatever its runner calls it now; and a stop wants only the end.
  const wasSpawned = turn.live(slot).attached && slot.run.process !== null;
  if (slot.stop !== null || slot.status === 'reporting' || wasSpawned) return endRun(turn, slot, UNKNOWN_END);
  turn.patchLive(slot, { following: false, attached: false });
  wakeFailed(turn, { ...slot, run: null }, { message: event.message, retryable: event.retryable, details: event.details });
}

function onAgentFailed(turn: Turn, slot: Slot, event: Omit<Failed, 'type' | 'phase'>): void {
  if (slot.status === 'reporting' || slot.stop !== null) return;
  const { message, retryable, details } = event;
  fail(turn, slot, { kind: 'agent_failed', error: message, retryable, details });
}

/**
 * The runner's stream is over. After a word of the run's end that is all; without one, a woken agent is on its own, and
 * any other run counts as ended in a way that nobody saw.
 */
export function onRunOver(turn: Turn, input: { readonly name: Assignment; readonly runId: string; readonly error: string | null }): void {
  const slot = slotOfRun(turn, input.name, input.runId);
  if (slot === null) return;
  const { attached } = turn.live(slot);
  turn.patchLive(slot, { following: false });
  if (input.error !== null) return onRunnerThrew(turn, slot, input.error);
  if (!slot.run.woken || attached) return endRun(turn, slot, UNKNOWN_END);
  const detached: Slot = { ...slot, run: { ...slot.run, detached: true } };
  turn.putSlot(detached);
  if (slot.stop !== null) stopRun(turn, detached);
  else watchSilence(turn, detached);
}

function onRunnerThrew(turn: Turn, slot: Slot & { readonly run: SlotRun }, error: string): void {
  turn.log('error', 'the wake runner threw', { task_id: slot.taskId, generation: slot.generation, error });
  if (turn.live(slot).attached || slot.stop !== null) return attachLater(turn, slot, error);
  if (slot.run.process === null) return onSpawnFailed(turn, slot, { message: error, retryable: true });
  onAgentFailed(turn, slot, { message: `the wake runner broke: ${error}`, retryable: true });
  // Nothing follows its process any more, so it is stopped now and not after its moment of grace.
  const settled = turn.slot(nameOf(slot));
  if (settled !== undefined) stopRun(turn, settled);
}
