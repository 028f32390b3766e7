/**
 * Reports with a body go out as fast as the hub takes them: they lie on the disk, so that one for which the socket has no room is
 * read and sent later, and none is queued twice, however often it is asked for meanwhile, nor beside itself in the socket.
 */
import { assignmentKey, isSameAssignment, type Assignment } from '../../../domain/assignment/slot.ts';

export interface PacedReports {
  /** Reads and sends it, now or as soon as there is room. Answers when that is done, or planned. */
  want(name: Assignment): Promise<void>;
  /** A frame goes into the socket; `report`: the report that it is. */
  sent(report: Assignment | null): void;
  /** The oldest frame in the socket has left it, and there may be room again. */
  taken(): void;
  /** The connection is gone, and with it what was wanted. */
  clear(): void;
}

export interface PacedReportsDeps {
  readonly hasRoom: () => boolean;
  readonly read: (name: Assignment) => Promise<void>;
  /** What waits in the socket, bytes. */
  readonly bufferedBytes: () => number;
  /** A report has left the socket: only now can its answer be waited for. */
  readonly onLeft: (name: Assignment) => void;
}

export function pacedReports(deps: PacedReportsDeps): PacedReports {
  const waiting = new Map<string, Assignment>();
  /** The frames in the socket, oldest first: which reports they are. */
  let inSocket: (Assignment | null)[] = [];
  let reading = false;

  async function goOn(): Promise<void> {
    if (reading) return;
    reading = true;
    for (const [key, name] of waiting) {
      if (!deps.hasRoom()) break;
      waiting.delete(key);
      await deps.read(name);
    }
    reading = false;
  }

  return {
    async want(name) {
      const isOnItsWay = deps.bufferedBytes() > 0 && inSocket.some((each) => each !== null && isSameAssignment(each, name));
      if (isOnItsWay) return;
      waiting.set(assignmentKey(name), name);
      await goOn();
    },
    sent(report) {
      inSocket.push(report);
    },
    taken() {
      const left = inSocket.shift();
      if (left !== undefined && left !== null) deps.onLeft(left);
      if (waiting.size > 0) void goOn();
    },
    clear() {
      waiting.clear();
      inSocket = [];
    },
  };
}
