/**
 * Sends reports with bodies as fast as the hub drains the socket. Bodies stay on disk until the socket has room, and no
 * report is queued twice or while a copy of it is still in the socket.
 */
import { assignmentKey, isSameAssignment, type Assignment } from '../../../domain/assignment/slot.ts';

export interface PacedReports {
  /** Reads and sends the report now, or as soon as there is room. Resolves when it is sent or queued. */
  enqueue(name: Assignment): Promise<void>;
  /** A frame was written to the socket; `report` says which report it is, if any. */
  written(report: Assignment | null): void;
  /** The oldest frame has left the socket, so there may be room again. */
  flushed(): void;
  /** The connection is gone; drops the queue. */
  clear(): void;
}

export interface PacedReportsDeps {
  readonly hasRoom: () => boolean;
  readonly read: (name: Assignment) => Promise<void>;
  /** Bytes buffered in the socket. */
  readonly bufferedBytes: () => number;
  /** A report has left the socket; from now on its answer can arrive. */
  readonly onFlushed: (name: Assignment) => void;
}

export function pacedReports(deps: PacedReportsDeps): PacedReports {
  const queue = new Map<string, Assignment>();
  /** The frames in the socket, oldest first; null for frames that are not reports. */
  let inSocket: (Assignment | null)[] = [];
  let reading = false;

  async function sendNext(): Promise<void> {
    if (reading) return;
    reading = true;
    for (const [key, name] of queue) {
      if (!deps.hasRoom()) break;
      queue.delete(key);
      await deps.read(name);
    }
    reading = false;
  }

  return {
    async enqueue(name) {
      const isInSocket = deps.bufferedBytes() > 0 && inSocket.some((each) => each !== null && isSameAssignment(each, name));
      if (isInSocket) return;
      queue.set(assignmentKey(name), name);
      await sendNext();
    },
    written(report) {
      inSocket.push(report);
    },
    flushed() {
      const flushed = inSocket.shift();
      if (flushed !== undefined && flushed !== null) deps.onFlushed(flushed);
      if (queue.size > 0) void sendNext();
    },
    clear() {
      queue.clear();
      inSocket = [];
    },
  };
}
