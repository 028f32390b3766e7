/** Whether the sidecar takes tasks: draining, and stopping. */
import { SIDECAR_STOPPED } from '../../../domain/agent/breaker.ts';
import { withFiles } from '../../../domain/assignment/ended-assignments.ts';
import { isEndOfRun } from '../../../domain/assignment/outbox.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import { nameOf, stopFor, type Slot } from '../../../domain/assignment/slot.ts';
import { JOURNAL_RETRY_MS, ROOM_LOOK_MS, STOP_WITHIN_MS } from '../state/bounds.ts';
import { beginStop } from '../assignment/end-of-run.ts';
import { onReserve } from '../health/checks.ts';
import type { SidecarState } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

/** Takes nothing new; what is still here when the deadline comes is stopped and handed back. */
export function onDrain(turn: Turn, frame: HubFrameOf<'drain'>): void {
  turn.state = { ...turn.state, drain: { reason: 'drained by an operator', drainedTold: false } };
  tellDraining(turn);
  if (frame.deadline_ms === undefined) turn.cancelTimers('drain');
  else turn.startTimer('drain', frame.deadline_ms);
}

export function onResume(turn: Turn): void {
  turn.state = { ...turn.state, drain: null };
  turn.cancelTimers('drain');
  if (ownReason(turn.state) !== null) return tellDraining(turn);
  turn.log('info', 'takes tasks again');
  tellResumed(turn);
}

export function onDrainTimer(turn: Turn): void {
  if (turn.state.drain === null) return;
  for (const slot of turn.state.journal.slots) {
    if (slot.status !== 'reporting') beginStop(turn, slot, stopFor('released', turn.state.drain.reason));
  }
}

/** Why it takes nothing, if that is for a reason of its own. */
export const ownReason = (state: SidecarState): 'journal_unwritable' | 'refused_full' | null =>
  state.fault !== null || state.isShort ? 'journal_unwritable' : state.refusedFull ? 'refused_full' : null;

/** Said when it begins, and for a reason of its own to every hub that it identifies with: an operator's is the hub's to say. */
export function tellDraining(turn: Turn): void {
  const reason = ownReason(turn.state) ?? turn.state.drain?.reason;
  if (reason !== undefined) turn.send({ type: 'draining', reason });
}

/** Said when no reason of its own is left. It ends no drain of an operator. */
export function tellResumed(turn: Turn): void {
  if (ownReason(turn.state) === null) turn.send({ type: 'resumed' });
}

/** A hub that was just met says anew whether an operator drains, and until when. */
export function forgetDrain(turn: Turn): void {
  turn.state = { ...turn.state, drain: null };
  turn.cancelTimers('drain');
}

/** A result that was recorded has only its cut off part on this disk; of any other the hub has less than that, or nothing. */
export function measureRoom(turn: Turn): void {
  const { ended, outbox } = turn.state.journal;
  const kept = withFiles(ended);
  const unread = [...kept.filter(({ fate }) => fate !== 'complete'), ...outbox.filter(({ keepFiles }) => keepFiles)].map(nameOf);
  turn.outwardly({ type: 'measureRoom', unread, read: kept.filter(({ fate }) => fate === 'complete').map(nameOf) });
}

export function onRoomTimer(turn: Turn): void {
  measureRoom(turn);
  turn.startTimer('room', ROOM_LOOK_MS);
}

/**
 * What the hub refused is kept for a person. When it is too much, no more of it may come about: no task is taken. Nor is one
 * taken after the disk was full, until there is room for the reports of those that are here.
 */
export function onRoomMeasured(turn: Turn, room: { readonly refusedBytes: number; readonly hasReserve: boolean }): void {
  const { refusedBytesMax } = turn.setting;
  const before = ownReason(turn.state);
  const refusedFull = room.refusedBytes > refusedBytesMax;
  const isShort = turn.state.isShort && !(room.hasReserve && turn.state.fault === null);
  if (refusedFull && !turn.state.refusedFull) {
    const fields = { bytes: room.refusedBytes, bytes_max: refusedBytesMax };
    const what = 'refused/ and the files of failed assignments in results/ and runs/ hold more than they may';
    turn.log('error', `${what}; no task is taken until somebody looks at them and takes them away`, fields);
  }
  turn.state = { ...turn.state, refusedFull, isShort };
  onReserve(turn, room.hasReserve);
  if (isShort || !room.hasReserve) turn.startTimer('room', JOURNAL_RETRY_MS);
  const after = ownReason(turn.state);
  if (after === before) return;
  if (after !== null) return tellDraining(turn);
  turn.log('info', 'takes tasks again');
  tellResumed(turn);
}

/** After every input: says once that nothing is left. */
export function tellDrained(turn: Turn): void {
  const { drain, journal, link } = turn.state;
  if (drain === null || drain.drainedTold || link.phase !== 'identified') return;
  if (journal.slots.length > 0 || journal.outbox.some(isEndOfRun)) return;
  turn.state = { ...turn.state, drain: { ...drain, drainedTold: true } };
  turn.send({ type: 'drained' });
}

/** Takes nothing new and wakes nobody; agents at work are left to the next process, where its runner can go on with them. */
export function onStop(turn: Turn): void {
  if (turn.state.phase === 'stopping' || turn.state.phase === 'stopped') return;
  turn.state = { ...turn.state, phase: 'stopping' };
  turn.cancelTimers('reconnect');
  turn.startTimer('stop', STOP_WITHIN_MS);
  turn.log('info', 'the sidecar stops; agents at work are left to its next process', {
    slots: turn.state.journal.slots.length,
    reports: turn.state.journal.outbox.length,
  });
  if (turn.setting.runner?.adoptable === false) handBackRuns(turn);
}

/** No later process could go on with them: stopped now and handed back they cost no attempt, and their sessions are kept. */
function handBackRuns(turn: Turn): void {
  const reason = 'its sidecar was stopped, and the runner cannot go on with a run of an earlier sidecar';
  const inability = { cause: SIDECAR_STOPPED, retryAtMs: null };
  for (const slot of turn.state.journal.slots) {
    if (slot.run !== null && slot.status !== 'reporting') beginStop(turn, slot, { ...stopFor('released', reason), inability });
  }
}

/** A run that is handed back for the stop and is not known to be gone yet. */
const isLeaving = ({ stop }: Slot): boolean => stop?.cause === 'released' && stop.inability?.cause === SIDECAR_STOPPED;

/** The last reports were not answered in time: they are in the journal. */
export function onStopTimer(turn: Turn): void {
  if (turn.state.phase === 'stopping') finish(turn);
}

/** After every input: whether a stopping sidecar has nothing left to hear. */
export function stopWhenAnswered(turn: Turn): void {
  const { phase, link, journal } = turn.state;
  if (journal.slots.some(isLeaving)) return;
  if (phase === 'stopping' && (link.phase !== 'identified' || journal.outbox.length === 0)) finish(turn);
}

function finish(turn: Turn): void {
  turn.state = { ...turn.state, phase: 'stopped' };
  turn.outwardly({ type: 'disconnect' });
  turn.cancelTimers('stop');
  turn.outwardly({ type: 'stopped' });
}
