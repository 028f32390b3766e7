/**
 * The sidecar's rules as one pure function: `step(state, input) → { state, effects }`. Here inputs only find their
 * handlers; each subject has a file of its own.
 */
import type { Assignment } from '../../../domain/assignment/slot.ts';
import type { HubFrame } from '../../../protocol/hub-frames.ts';
import { onStepFailed } from './broken.ts';
import { onCancelled } from '../assignment/cancels.ts';
import { isUnlooked, lookAtRunner, onCheckAsked, onChecked, onHubTime } from '../health/checks.ts';
import { onLingerTimer, onLooked } from '../assignment/end-of-run.ts';
import { defer, mustWait, onPersistFailed, retryJournal } from './journal-failures.ts';
import type { Event, Input } from '../state/inputs.ts';
import { onFoldersFound } from '../assignment/orphaned-folders.ts';
import { onLeaseTimer, onProgressTimer, settleDoubt } from '../assignment/lease.ts';
import { onChallenge, onGreetingError, onLinkUp } from '../link/hub-handshake.ts';
import { connect, establish, heard, onHubError, onIdentifyTimer, onLinkDown, onPingTimer, onPongTimer } from '../link/link.ts';
import { onAssign } from '../assignment/offers.ts';
import { onConfirmTimer, onPickupTimer, onRunMaxTimer, onSilenceTimer } from '../assignment/timeouts.ts';
import { onRepeatTimer, onReportRead } from '../report/outbox-reports.ts';
import { onSighting } from '../assignment/results.ts';
import { onRunOver, onWake, onWakeRefused } from '../assignment/run-events.ts';
import {
  forgetDrain,
  measureRoom,
  onDrain,
  onDrainTimer,
  onRoomMeasured,
  onRoomTimer,
  onResume,
  onStop,
  onStopTimer,
  stopWhenAnswered,
  tellDrained,
  tellDraining,
} from '../link/drain.ts';
import { onStart } from './resume-journal.ts';
import type { SidecarSetting, SidecarState } from '../state/state.ts';
import type { OwnTimer, RunTimer, TimerName } from '../state/timer-names.ts';
import { Turn, type Step } from '../state/step-context.ts';
import { onAck, onInventoryAnswered, onNack } from '../assignment/hub-answers.ts';
import { onPrepared, onPrepareFailed, onRetryTimer, wakeWhereThereIsRoom } from '../assignment/wakes.ts';

export type { Step } from '../state/step-context.ts';

/** The step function for a sidecar with this setting. */
export function sidecarStep(setting: SidecarSetting): (state: SidecarState, input: Input) => Step {
  const step = (state: SidecarState, input: Input): Step => {
    if (state.phase === 'stopped' || (state.phase === 'new' && input.type !== 'start')) return { state, effects: [] };
    if (input.type === 'timer' && input.timer.purpose === 'journal') return retryJournal(setting, state, input, step);
    const turn = new Turn(setting, state, input);
    handle(turn, input);
    wakeWhereThereIsRoom(turn);
    tellDrained(turn);
    stopWhenAnswered(turn);
    if (input.type === 'persist_failed') return alsoWith(turn.end(), killsOf(step(state, { ...input, ...input.during })));
    if (state.fault === null || !(turn.isDurable || mustWait(state, input))) return turn.end();
    return alsoWith(deferred(setting, state, input), killsOf(turn.end()));
  };
  return step;
}

/** A run that is to be stopped is stopped at once: that needs no journal, and its task may be given to another meanwhile. */
const killsOf = ({ effects }: Step): Step['effects'] => effects.filter(({ type }) => type === 'kill');

const alsoWith = ({ state, effects }: Step, more: Step['effects']): Step => ({ state, effects: [...effects, ...more] });

/** What needs the journal waits while it cannot be written; that the hub was heard does not. */
function deferred(setting: SidecarSetting, state: SidecarState, input: Input): Step {
  const turn = new Turn(setting, state, input);
  if (input.type === 'frame') heard(turn);
  const { nowMs: _nowMs, jitter: _jitter, ...event } = input;
  defer(turn, event as Event);
  return turn.end();
}

function handle(turn: Turn, input: Input): void {
  switch (input.type) {
    case 'start':
      return onStart(turn);
    case 'link_up':
      return onLinkUp(turn, input);
    case 'link_down':
      return onLinkDown(turn, input);
    case 'frame':
      return onFrame(turn, input.link, input.frame);
    case 'bad_frame':
      if (input.link !== turn.state.link.number) return;
      heard(turn);
      return turn.log('warn', 'the hub sent a frame that this version does not know', input.what);
    case 'prepared':
      return onPrepared(turn, input);
    case 'prepare_failed':
      return onPrepareFailed(turn, input);
    case 'wake':
      return onWake(turn, input);
    case 'wake_refused':
      return onWakeRefused(turn, input);
    case 'run_over':
      return onRunOver(turn, input);
    case 'sighting':
      return onSighting(turn, input.sighting);
    case 'looked':
      return onLooked(turn, input);
    case 'folders_found':
      return onFoldersFound(turn, input);
    case 'report_read':
      return onReportRead(turn, input);
    case 'room_measured':
      return onRoomMeasured(turn, input);
    case 'checked': {
      const isFirst = isUnlooked(turn.state);
      onChecked(turn, input.checks);
      return isFirst ? connect(turn) : undefined;
    }
    case 'timer':
      return onTimer(turn, input.timer);
    case 'step_failed':
      return onStepFailed(turn, input);
    case 'persist_failed':
      return onPersistFailed(turn, input);
    case 'stop':
      return onStop(turn);
  }
}

/** A frame counts only on the link that is current, and before `identified` only what answers what was said, or an error. */
function onFrame(turn: Turn, link: number, frame: HubFrame): void {
  if (link !== turn.state.link.number) return;
  const { phase } = turn.state.link;
  if (phase === 'greeting') {
    if (frame.type === 'error') return onGreetingError(turn, frame);
    return frame.type === 'challenge' ? onChallenge(turn, frame) : undefined;
  }
  if (phase === 'identifying') {
    if (frame.type === 'error') return onHubError(turn, frame);
    if (frame.type !== 'identified') return;
    establish(turn, frame);
    if (frame.server_time !== undefined) {
      onHubTime(turn, frame.server_time);
      settleDoubt(turn, frame.server_time);
    }
    forgetDrain(turn);
    tellDraining(turn);
    return onInventoryAnswered(turn, frame);
  }
  if (phase !== 'identified') return;
  heard(turn);
  switch (frame.type) {
    case 'task_assign':
      return onAssign(turn, frame);
    case 'task_ack':
      return onAck(turn, frame);
    case 'task_nack':
      return onNack(turn, frame);
    case 'task_cancelled':
      return onCancelled(turn, frame);
    case 'probe':
      return turn.send({ type: 'probe_ack', nonce: frame.nonce });
    case 'drain':
      return onDrain(turn, frame);
    case 'resume':
      onResume(turn);
      return onCheckAsked(turn);
    case 'check':
      measureRoom(turn);
      return onCheckAsked(turn);
    case 'error':
      return onHubError(turn, frame);
    case 'restart_sidecar':
      return turn.log('warn', 'the hub asks for a restart; that is for the operator of this machine', { reason: frame.reason ?? null });
    case 'pong':
      return onHubTime(turn, frame.timestamp);
    case 'challenge':
    case 'identified':
      return;
  }
}

const OWN_TIMERS: Readonly<Record<Exclude<OwnTimer, 'journal'>, (turn: Turn) => void>> = {
  reconnect: connect,
  identify: onIdentifyTimer,
  ping: onPingTimer,
  pong: onPongTimer,
  room: onRoomTimer,
  drain: onDrainTimer,
  stop: onStopTimer,
  checks: lookAtRunner,
};

const RUN_TIMERS: Readonly<Record<RunTimer, (turn: Turn, name: Assignment) => void>> = {
  retry: onRetryTimer,
  confirm: onConfirmTimer,
  pickup: onPickupTimer,
  linger: onLingerTimer,
  lease: onLeaseTimer,
  silence: onSilenceTimer,
  run_max: onRunMaxTimer,
  progress: onProgressTimer,
  repeat: onRepeatTimer,
};

function onTimer(turn: Turn, timer: TimerName): void {
  if ('name' in timer) RUN_TIMERS[timer.purpose](turn, timer.name);
  else if (timer.purpose !== 'journal') OWN_TIMERS[timer.purpose](turn);
}
