/** The first input: everything in the journal is taken up again where it stands, and the hub is called. */
import { messageOf } from '../../../errors/agentcom-error.ts';
import { nameOf, wasWoken, type Slot } from '../../../domain/assignment/slot.ts';
import { ATTACH_RETRY_MS, CLOCK_DOUBT_MS } from '../state/bounds.ts';
import { endBroken } from './broken.ts';
import { lookAtRunner } from '../health/checks.ts';
import { expect, look, prepare } from '../assignment/folder-work.ts';
import { findLeftovers } from '../assignment/orphaned-folders.ts';
import { watchLifeAgain, watchSilence } from '../assignment/lease.ts';
import { connect } from '../link/link.ts';
import { stopRun } from '../assignment/end-of-run.ts';
import { wrapUp } from '../assignment/finish-assignment.ts';
import type { Turn } from '../state/step-context.ts';

export function onStart(turn: Turn): void {
  if (turn.state.phase !== 'new') return;
  turn.state = { ...turn.state, phase: 'running' };
  if (turn.setting.runner === null)
    turn.log('info', 'no wake runner in the config: the agent takes its tasks from the folder tasks/ by itself');
  const { slots } = turn.state.journal;
  turn.outwardly({ type: 'withdrawAllBut', names: slots.filter((slot) => isLaidOut(turn, slot)).map(nameOf) });
  findLeftovers(turn);
  for (const slot of slots) resumeOrEnd(turn, slot);
  turn.startTimer('room', 0);
  lookAtRunner(turn);
  connect(turn);
}

const isLaidOut = (turn: Turn, slot: Slot): boolean => turn.setting.runner === null && slot.expectedSinceMs !== null && slot.stop === null;

/** What throws about one of them would throw at each start: it ends that one. */
function resumeOrEnd(turn: Turn, slot: Slot): void {
  try {
    resume(turn, slot);
  } catch (thrown) {
    const error = messageOf(thrown);
    turn.log('error', 'an assignment could not be taken up', { task_id: slot.taskId, generation: slot.generation, error });
    if (slot.status !== 'reporting' && slot.stop === null)
      return endBroken(turn, slot, { kind: 'agent_failed', error: `the sidecar could not take it up after a restart: ${error}` });
    // Its end is known: only its run is to be found and stopped.
    turn.startTimerOf(slot, 'retry', ATTACH_RETRY_MS);
  }
}

function resume(turn: Turn, slot: Slot): void {
  // By the process that woke it. One that died between its journal and its hub said nothing, and the story lacks a line.
  if (wasWoken(slot)) turn.patchLive(slot, { wakeTold: true });
  if (slot.expectedSinceMs !== null) expect(turn, slot);
  if (slot.status === 'reporting') return slot.run === null ? wrapUp(turn, slot) : stopRun(turn, slot);
  if (slot.stop !== null) return slot.run === null ? look(turn, slot) : stopRun(turn, slot);
  watchLifeAgain(turn, slot);
  if (slot.run !== null) return resumeRun(turn, slot);
  if (slot.status === 'waking') {
    const { wakeRetriesMs } = turn.setting.timing;
    return turn.startTimerOf(slot, 'retry', wakeRetriesMs[slot.wakes - 1] ?? 0);
  }
  if (slot.status !== 'accepted') resumeLaidOut(turn, slot);
}

/** A run of an earlier process: adopted, or stopped and lost. What it wrote meanwhile is seen by who watches for it. */
function resumeRun(turn: Turn, slot: Slot): void {
  if (turn.setting.runner === null) return stopRun(turn, slot);
  if (!slot.run?.detached) prepare(turn, slot);
  watchSilence(turn, slot);
  if (slot.status === 'waking_confirmation') turn.startTimerOf(slot, 'confirm', turn.setting.timing.confirmWithinMs);
}

/**
 * The agent polls: either it has taken the task, or it may still. The process before may have died between its journal and the
 * task's file, so it is published again, which changes nothing where it lies there or was taken.
 */
function resumeLaidOut(turn: Turn, slot: Slot): void {
  if (slot.status === 'working') return watchSilence(turn, slot);
  turn.outwardly({ type: 'publish', name: nameOf(slot), task: slot.task });
  const { pickupWithinMs } = turn.setting.timing;
  const leftMs = (slot.expectedSinceMs ?? turn.nowMs) + pickupWithinMs - turn.nowMs;
  turn.startTimerOf(slot, 'pickup', Math.min(pickupWithinMs, Math.max(CLOCK_DOUBT_MS, leftMs)));
}
