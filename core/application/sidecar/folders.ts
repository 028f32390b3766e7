/** The work on an assignment's folders that answers later. */
import { nameOf, type Slot } from '../../domain/slot.ts';
import type { Turn } from './turn.ts';

/** Makes its folders and task file; what that was for is decided when they are there. */
export function prepare(turn: Turn, slot: Slot): void {
  turn.patchLive(slot, { preparing: true });
  turn.outwardly({ type: 'prepare', name: nameOf(slot), task: slot.task });
}

/** Looks for what the agent wrote; only the newest look is answered to. */
export function look(turn: Turn, slot: Slot): void {
  const number = turn.live(slot).look + 1;
  turn.patchLive(slot, { look: number });
  turn.outwardly({ type: 'look', name: nameOf(slot), look: number });
}
