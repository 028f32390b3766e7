/** The journal of a worker without `journalDir`: it lasts as long as its process. */
import { assignmentKey } from '../../core/domain/assignment/slot.ts';
import type { Journal } from '../../core/ports/journal.ts';

const NOTHING = Promise.resolve();
const ROOM = Promise.resolve({ refusedBytes: 0, hasReserve: true });

/**
 * Only the bodies of unanswered reports are kept: the sidecar's own state is in its memory anyway. A refused report is dropped: it is in the
 * log.
 *
 * Every process of this agent is the same instance, wherever it runs, so that the next one is admitted at once; it holds nothing, so the hub
 * then reclaims what the last one held. Another instance would have to wait for the reconnect grace.
 */
export function volatileJournal(agentId: string): Journal {
  const instanceId = `worker-${agentId}`;
  const reports = new Map<string, string>();
  return {
    open: () => Promise.resolve({ state: undefined, damage: null, instanceId }),
    save: () => NOTHING,
    writeReport(assignment, text) {
      reports.set(assignmentKey(assignment), text);
      return NOTHING;
    },
    readReport: (assignment) => Promise.resolve(reports.get(assignmentKey(assignment)) ?? null),
    removeReport(assignment) {
      reports.delete(assignmentKey(assignment));
      return NOTHING;
    },
    refuseReport(assignment) {
      reports.delete(assignmentKey(assignment));
      return NOTHING;
    },
    room: () => ROOM,
    close: () => NOTHING,
  };
}
