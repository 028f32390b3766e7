/** The journal of a worker without `journalDir`: it lasts as long as its process. */
import type { SidecarJournal } from '../../core/application/sidecar/state/ports.ts';
import { RenewedMap } from '../../core/domain/renewed-map.ts';
import { assignmentKey } from '../../core/domain/assignment/slot.ts';

const NOTHING = Promise.resolve();
const ROOM = Promise.resolve({ refusedBytes: 0, hasReserve: true });

/**
 * Only the bodies of unanswered reports are kept: the sidecar's own state is in its memory anyway. A refused report is dropped: it is in the
 * log.
 *
 * Every process of this agent is the same instance, wherever it runs, so that the next one is admitted at once; it holds nothing, so the hub
 * then reclaims what the last one held. Another instance would have to wait for the reconnect grace.
 */
export function volatileJournal(agentId: string): SidecarJournal {
  const instanceId = `worker-${agentId}`;
  const reports = new RenewedMap<string, string>();
  return {
    open: () => Promise.resolve({ state: undefined, damage: null, instanceId }),
    save: () => undefined,
    writeReport(assignment, text) {
      reports.set(assignmentKey(assignment), text);
      return undefined;
    },
    readReport: (assignment) => Promise.resolve(reports.get(assignmentKey(assignment)) ?? null),
    removeReport(assignment) {
      reports.delete(assignmentKey(assignment));
      return undefined;
    },
    refuseReport(assignment) {
      reports.delete(assignmentKey(assignment));
      return undefined;
    },
    room: () => ROOM,
    close: () => NOTHING,
  };
}
