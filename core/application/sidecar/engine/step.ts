/**
 * The sidecar's rules as one pure function: `step(state, input) → { state, effects }`. This file only dispatches inputs
 * to their handlers.
 */
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import { acceptsHubFrame, type HubFrame, type HubFrameOf } from '../../../protocol/hub-frames.ts';
import { onStepFailed } from './step-failures.ts';
import { onCancelled } from '../assignment/cancels.ts';
import { isAwaitingFirstChecks, requestChecks, onCheckRequested, onRunnerChecked, onHubTime } from '../health/checks.ts';
import { onLingerTimer, onScanned } from '../assignment/end-of-run.ts';
import { defer, mustDefer, onPersistFailed, retryJournal } from './journal-failures.ts';
import type { SidecarInput, SignatureVerdict } from '../state/inputs.ts';
import { onFoldersFound } from '../assignment/orphaned-folders.ts';
import { onOutputTimer } from '../run/live-output.ts';
import { onLeaseTimer, onProgressTimer, resolveRunAges } from '../assignment/lease.ts';
import { onChallenge, onGreetingError, onLinkUp } from '../link/hub-handshake.ts';
import { connect, markAlive, onHubError, onIdentified, onIdentifyTimer, onLinkDown, onPingTimer, onPongTimer } from '../link/link.ts';
import { onAssign } from '../assignment/offers.ts';
import { onConfirmTimer, onPickupTimer, onRunMaxTimer, onSilenceTimer } from '../assignment/timeouts.ts';
import { onRepeatTimer, onReportRead, onTurnOver } from '../report/outbox-reports.ts';
import { onFileEvent } from '../assignment/results.ts';
import { onWakeStreamEnded, onWakeEvent, onInvalidWakeEvent } from '../assignment/run-events.ts';
import {
  clearDrain,
  measureDisk,
  onDrain,
  onDrainTimer,
  onOwnDrain,
  onDiskMeasured,
  onDiskTimer,
  onJournalLost,
  onResume,
  onStop,
  onStopTimer,
  stopWhenDone,
  sendDrained,
  sendDraining,
} from '../link/drain.ts';
import { onStart } from './resume-journal.ts';
import type { SidecarSettings } from '../state/state.ts';
import type { OwnTimer, RunTimer, TimerName } from '../state/timer-names.ts';
import { StepContext, type Step, type StepResult } from '../state/step-context.ts';
import { onAck, onInventoryAnswered, onNack } from '../assignment/hub-answers.ts';
import { onPrepared, onPrepareFailed, onRetryTimer, wakeReady } from '../assignment/wakes.ts';

/** The step function for these settings. */
export function sidecarStep(settings: SidecarSettings): Step {
  const takeStep: Step = (state, input, environment) => {
    if (state.phase === 'stopped' || (state.phase === 'new' && input.type !== 'start')) return { state, effects: [] };
    if (input.type === 'timer' && input.timer.purpose === 'journal') return retryJournal(settings, state, environment, takeStep);
    const step = new StepContext(settings, state, environment);
    handle(step, input);
    // What follows from an unchanged state was done when that state arose.
    if (step.state !== state) {
      wakeReady(step);
      sendDrained(step);
      stopWhenDone(step);
    }
    if (input.type === 'persist_failed') return alsoWith(step.end(), killsOf(takeStep(state, input.input, environment)));
    if (state.fault === null || !(step.needsDisk || mustDefer(state, input))) return step.end();
    return alsoWith(deferred(new StepContext(settings, state, environment), input), killsOf(step.end()));
  };
  return takeStep;
}

/** Stopping a run needs no journal and must not wait: its task may already be assigned to another agent. */
const killsOf = ({ effects }: StepResult): StepResult['effects'] => effects.filter(({ type }) => type === 'kill');

const alsoWith = ({ state, effects }: StepResult, more: StepResult['effects']): StepResult => ({ state, effects: [...effects, ...more] });

/** Defers inputs that need the journal while it cannot be written. But a frame shows at once that the hub is alive. */
function deferred(step: StepContext, input: SidecarInput): StepResult {
  if (input.type === 'frame') markAlive(step);
  defer(step, input);
  return step.end();
}

function handle(step: StepContext, input: SidecarInput): void {
  switch (input.type) {
    case 'start':
      return onStart(step);
    case 'link_up':
      return onLinkUp(step, input);
    case 'link_down':
      return onLinkDown(step, input);
    case 'frame':
      return onFrame(step, input.connectionId, input.frame, input.signature);
    case 'bad_frame':
      if (input.connectionId !== step.state.link.connectionId) return;
      markAlive(step);
      return step.log('warn', 'the hub sent a frame that this version does not know', input.logFields);
    case 'prepared':
      return onPrepared(step, input);
    case 'prepare_failed':
      return onPrepareFailed(step, input);
    case 'wake_event':
      return onWakeEvent(step, input);
    case 'invalid_wake_event':
      return onInvalidWakeEvent(step, input);
    case 'wake_stream_ended':
      return onWakeStreamEnded(step, input);
    case 'file_event':
      return onFileEvent(step, input.event);
    case 'scanned':
      return onScanned(step, input);
    case 'folders_found':
      return onFoldersFound(step, input);
    case 'turn_over':
      return onTurnOver(step, input.assignments);
    case 'report_read':
      return onReportRead(step, input);
    case 'disk_measured':
      return onDiskMeasured(step, input);
    case 'runner_checked': {
      const isFirst = isAwaitingFirstChecks(step.state);
      onRunnerChecked(step, input.checks);
      return isFirst ? connect(step) : undefined;
    }
    case 'timer':
      return onTimer(step, input.timer);
    case 'step_failed':
      return onStepFailed(step, input);
    case 'persist_failed':
      return onPersistFailed(step, input);
    case 'journal_lost':
      return onJournalLost(step);
    case 'drain':
      return onOwnDrain(step);
    case 'stop':
      return onStop(step);
  }
}

/** Frames count only on the current connection, in the phases that `HUB_FRAMES` lists. */
function onFrame(step: StepContext, connectionId: number, frame: HubFrame, signature: SignatureVerdict | undefined): void {
  if (connectionId !== step.state.link.connectionId) return;
  const { phase } = step.state.link;
  if (phase === 'identified') markAlive(step);
  if (!acceptsHubFrame(phase, frame.type)) return;
  switch (frame.type) {
    case 'challenge':
      return onChallenge(step, frame);
    case 'identified':
      return onIdentifiedFrame(step, frame);
    case 'task_assign':
      return onAssign(step, frame, signature);
    case 'task_ack':
      return onAck(step, frame);
    case 'task_nack':
      return onNack(step, frame);
    case 'task_cancelled':
      return onCancelled(step, frame);
    case 'probe':
      return step.send({ type: 'probe_ack', nonce: frame.nonce });
    case 'drain':
      return onDrain(step, frame);
    case 'resume':
      onResume(step);
      return onCheckRequested(step);
    case 'check':
      measureDisk(step);
      return onCheckRequested(step);
    case 'error':
      return phase === 'greeting' ? onGreetingError(step, frame) : onHubError(step, frame);
    case 'restart_sidecar':
      return step.log('warn', 'the hub requested a restart; an operator has to restart this sidecar', { reason: frame.reason ?? null });
    case 'pong':
      return onHubTime(step, frame.timestamp);
    case 'identify_checked':
      return;
  }
}

function onIdentifiedFrame(step: StepContext, frame: HubFrameOf<'identified'>): void {
  onIdentified(step, frame);
  if (frame.server_time !== undefined) {
    onHubTime(step, frame.server_time);
    resolveRunAges(step, frame.server_time);
  }
  clearDrain(step);
  sendDraining(step);
  onInventoryAnswered(step, frame);
}

const OWN_TIMERS: Readonly<Record<Exclude<OwnTimer, 'journal'>, (step: StepContext) => void>> = {
  reconnect: connect,
  identify: onIdentifyTimer,
  ping: onPingTimer,
  pong: onPongTimer,
  disk: onDiskTimer,
  drain: onDrainTimer,
  stop: onStopTimer,
  checks: requestChecks,
};

const RUN_TIMERS: Readonly<Record<RunTimer, (step: StepContext, assignment: AssignmentId) => void>> = {
  retry: onRetryTimer,
  confirm: onConfirmTimer,
  pickup: onPickupTimer,
  linger: onLingerTimer,
  lease: onLeaseTimer,
  silence: onSilenceTimer,
  run_max: onRunMaxTimer,
  progress: onProgressTimer,
  output: onOutputTimer,
  repeat: onRepeatTimer,
};

function onTimer(step: StepContext, timer: TimerName): void {
  if ('assignment' in timer) RUN_TIMERS[timer.purpose](step, timer.assignment);
  else if (timer.purpose !== 'journal') OWN_TIMERS[timer.purpose](step);
}
