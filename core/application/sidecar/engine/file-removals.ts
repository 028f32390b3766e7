/** Removes the files of assignments in the background, one assignment at a time. */
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { Timer } from '../../../ports/clock.ts';
import { REMOVALS_WAITING_MAX, REMOVE_RETRY_MS } from '../state/constants.ts';
import type { SidecarPorts } from '../state/ports.ts';

export interface FileRemovals {
  /**
   * Runs `work`, by default the removal, in the background, since an agent may leave a million files that would delay every other task.
   * Waits only when too many removals are pending.
   */
  remove(assignment: AssignmentId, work?: () => Promise<void>): Promise<void>;
  /** Resolves once every removal requested so far was attempted. */
  done(): Promise<void>;
  /** Cancels the retries; a removal that fails later is not retried. */
  close(): void;
}

export function fileRemovals({ results, clock, log }: Pick<SidecarPorts, 'results' | 'clock' | 'log'>): FileRemovals {
  const retries = new Set<Timer>();
  /** Settles once all pending removals were attempted. */
  let removals: Promise<void> = Promise.resolve();
  let pending = 0;
  let isClosed = false;

  function remove(assignment: AssignmentId, work?: () => Promise<void>): Promise<void> {
    pending += 1;
    removals = removals.then(() => tryRemove(assignment, work)).then(() => void (pending -= 1));
    return pending > REMOVALS_WAITING_MAX ? removals : Promise.resolve();
  }

  /** Files that cannot be removed do no harm, so removing them is retried later. */
  async function tryRemove(assignment: AssignmentId, work = (): Promise<void> => results.remove(assignment)): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const fields = { task_id: assignment.taskId, generation: assignment.generation, error: messageOf(thrown) };
      if (isClosed || retries.size >= REMOVALS_WAITING_MAX)
        return log.warn('could not remove the files of an assignment; they stay', fields);
      log.warn('could not remove the files of an assignment; trying again later', { ...fields, retry_ms: REMOVE_RETRY_MS });
      const timer = clock.after(REMOVE_RETRY_MS, () => {
        retries.delete(timer);
        void remove(assignment, work);
      });
      retries.add(timer);
    }
  }

  return {
    remove,
    done: () => removals,
    close() {
      isClosed = true;
      for (const timer of retries) timer.cancel();
      retries.clear();
    },
  };
}
