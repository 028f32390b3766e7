/** The journal of a worker without `journalDir`: it lasts as long as its process. */
import type { SidecarJournal } from '../../core/application/sidecar/state/ports.ts';
import { RenewedMap } from '../../core/domain/renewed-map.ts';
import type { AssignmentId } from '../../core/domain/assignment/slot.ts';

interface Report {
  readonly generation: number;
  readonly text: string;
}

const NONE: readonly never[] = [];
const NOTHING = Promise.resolve();
const ROOM = Promise.resolve({ refusedBytes: 0, hasReserve: true });

/**
 * Only the bodies of unanswered reports are kept: the sidecar's own state is in its memory anyway. A refused report is dropped: it is
 * in the log, and a listener of the worker has got it.
 *
 * Every process of this agent has the same instance ID, wherever it runs, so that the hub admits the next one at once. That one holds nothing,
 * so the hub reclaims what the last one held. Another instance ID would have to wait for the reconnect grace.
 */
export function volatileJournal(agentId: string): SidecarJournal {
  const instanceId = `worker-${agentId}`;
  /** By task. A task has more than one report only for moments. */
  const reports = new RenewedMap<string, readonly Report[]>();
  const othersOf = ({ taskId, generation }: AssignmentId): readonly Report[] => {
    const known = reports.get(taskId);
    if (known === undefined || (known.length === 1 && known[0]?.generation === generation)) return NONE;
    return known.filter((each) => each.generation !== generation);
  };
  const remove = (assignment: AssignmentId): undefined => {
    const others = othersOf(assignment);
    if (others.length === 0) reports.delete(assignment.taskId);
    else reports.set(assignment.taskId, others);
  };
  return {
    open: () => Promise.resolve({ state: undefined, damage: null, instanceId }),
    save: () => undefined,
    writeReport(assignment, text) {
      reports.set(assignment.taskId, [...othersOf(assignment), { generation: assignment.generation, text }]);
      return undefined;
    },
    readReport: (assignment) =>
      Promise.resolve(reports.get(assignment.taskId)?.find(({ generation }) => generation === assignment.generation)?.text ?? null),
    removeReport: remove,
    refuseReport: remove,
    room: () => ROOM,
    close: () => NOTHING,
  };
}
