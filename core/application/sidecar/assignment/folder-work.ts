/** The work on an assignment's folders that answers later. */
import { recall } from '../../../domain/assignment/ended-assignments.ts';
import { nameOf, type Slot } from '../../../domain/assignment/slot.ts';
import type { Turn } from '../state/step-context.ts';

/** Makes its folders and task file; what that was for is decided when they are there. */
export function prepare(turn: Turn, slot: Slot): void {
  turn.patchLive(slot, { preparing: true });
  turn.outwardly({ type: 'prepare', name: nameOf(slot), task: slot.task });
}

/** Watches for its files. Beside an earlier run of its task that may be alive, a flat name must say whose it is. */
export function expect(turn: Turn, slot: Slot): void {
  const { outbox, ended } = turn.state.journal;
  const mayLive =
    recall(ended, slot.taskId)?.mayLive === true || outbox.some((entry) => entry.taskId === slot.taskId && entry.mayLive === true);
  turn.outwardly({ type: 'expect', name: nameOf(slot), flat: mayLive ? 'named' : 'all' });
}

/** Looks for what the agent wrote; only the newest look is answered to. */
export function look(turn: Turn, slot: Slot): void {
  const number = turn.live(slot).look + 1;
  turn.patchLive(slot, { look: number });
  turn.outwardly({ type: 'look', name: nameOf(slot), look: number });
}
