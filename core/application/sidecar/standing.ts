/** Whether the sidecar takes tasks: draining, and stopping. */
import { isEndOfRun } from '../../domain/outbox.ts';
import type { HubFrameOf } from '../../protocol/hub-frames.ts';
import { stopFor } from '../../domain/slot.ts';
import { STOP_WITHIN_MS } from './bounds.ts';
import { beginStop } from './ends.ts';
import type { Turn } from './turn.ts';

/** Takes nothing new; what is still here when the deadline comes is stopped and handed back. */
export function onDrain(turn: Turn, frame: HubFrameOf<'drain'>): void {
  turn.state = { ...turn.state, drain: { reason: 'drained by an operator', drainedTold: false } };
  tellDraining(turn);
  if (frame.deadline_ms !== undefined) turn.startTimer('drain', frame.deadline_ms);
}

export function onResume(turn: Turn): void {
  turn.state = { ...turn.state, drain: null };
  turn.cancelTimers('drain');
  turn.log('info', 'takes tasks again');
}

export function onDrainTimer(turn: Turn): void {
  if (turn.state.drain === null) return;
  for (const slot of turn.state.journal.slots) {
    if (slot.status !== 'reporting') beginStop(turn, slot, stopFor('released', turn.state.drain.reason));
  }
}

/** Said when it begins, and to every hub that it identifies with. */
export function tellDraining(turn: Turn): void {
  if (turn.state.fault !== null) turn.send({ type: 'draining', reason: 'journal_unwritable' });
  else if (turn.state.drain !== null) turn.send({ type: 'draining', reason: turn.state.drain.reason });
}

/** After every input: says once that nothing is left. */
export function tellDrained(turn: Turn): void {
  const { drain, journal, link } = turn.state;
  if (drain === null || drain.drainedTold || link.phase !== 'identified') return;
  if (journal.slots.length > 0 || journal.outbox.some(isEndOfRun)) return;
  turn.state = { ...turn.state, drain: { ...drain, drainedTold: true } };
  turn.send({ type: 'drained' });
}

/** Takes nothing new and wakes nobody; agents at work are left to the next process. */
export function onStop(turn: Turn): void {
  if (turn.state.phase === 'stopping' || turn.state.phase === 'stopped') return;
  turn.state = { ...turn.state, phase: 'stopping' };
  turn.cancelTimers('reconnect');
  turn.startTimer('stop', STOP_WITHIN_MS);
  turn.log('info', 'the sidecar stops; agents at work are left to its next process', {
    slots: turn.state.journal.slots.length,
    reports: turn.state.journal.outbox.length,
  });
}

/** The last reports were not answered in time: they are in the journal. */
export function onStopTimer(turn: Turn): void {
  if (turn.state.phase === 'stopping') finish(turn);
}

/** After every input: whether a stopping sidecar has nothing left to hear. */
export function stopWhenAnswered(turn: Turn): void {
  const { phase, link, journal } = turn.state;
  if (phase === 'stopping' && (link.phase !== 'identified' || journal.outbox.length === 0)) finish(turn);
}

function finish(turn: Turn): void {
  turn.state = { ...turn.state, phase: 'stopped' };
  turn.outwardly({ type: 'disconnect' });
  turn.cancelTimers('stop');
  turn.outwardly({ type: 'stopped' });
}
