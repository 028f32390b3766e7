/** Which of a sidecar's assignments may be woken. */
import { entriesOf } from './assignment-list.ts';
import { mayBeRunning, type Slot } from './slot.ts';

/**
 * The accepted assignments that may be woken now, oldest first: as many as fit, and none while another generation of
 * the same task may still be running.
 */
export function wakeableSlots(slots: readonly Slot[], capacity: number): readonly Slot[] {
  let free = capacity;
  let waiting: Slot[] | null = null;
  for (const slot of slots) {
    if (mayBeRunning(slot)) free -= 1;
    else if (slot.stop === null) (waiting ??= []).push(slot);
  }
  if (waiting === null || free <= 0) return [];
  return waiting.filter(({ taskId }) => entriesOf(slots, taskId).length === 1).slice(0, free);
}
