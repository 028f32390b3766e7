/**
 * Sends reports with bodies under backpressure: a body stays on disk until the socket has room for it. A report that is already
 * queued, or still in the socket's buffer, is not queued again.
 */
import { assignmentKey, isSameAssignment, type AssignmentId } from '../../../domain/assignment/slot.ts';

export interface ReportSendQueue {
  /** Queues the report and sends what there is room for now. Never rejects. */
  enqueue(assignment: AssignmentId): Promise<void>;
  /** A frame was written to the socket; `report` identifies the report in it, if any. */
  onWritten(report: AssignmentId | null): void;
  /** The oldest frame has left the socket's buffer, so there may be room again. */
  onFlushed(): void;
  /** The connection is gone: empties the queue. */
  clear(): void;
}

export interface ReportSendQueueDeps {
  readonly hasRoom: () => boolean;
  /** Reads the report from disk and sends it. Resolves when it was written to the socket, or could not be. */
  readonly readAndSend: (assignment: AssignmentId) => Promise<void>;
  /** `readAndSend` rejected. The reports behind this one are still sent. */
  readonly failed: (assignment: AssignmentId, thrown: unknown) => void;
  /** Bytes buffered in the socket. */
  readonly bufferedBytes: () => number;
  /** A report has left the socket's buffer: only now can its answer come, and its resend delay begins. */
  readonly reportFlushed: (assignment: AssignmentId) => void;
}

export function reportSendQueue(deps: ReportSendQueueDeps): ReportSendQueue {
  const queue = new Map<string, AssignmentId>();
  /** The frames in the socket's buffer, oldest first; null for frames that are not reports. */
  let inSocket: (AssignmentId | null)[] = [];
  let isSending = false;

  async function sendQueued(): Promise<void> {
    if (isSending) return;
    isSending = true;
    for (const [key, assignment] of queue) {
      if (!deps.hasRoom()) break;
      queue.delete(key);
      try {
        await deps.readAndSend(assignment);
      } catch (thrown) {
        deps.failed(assignment, thrown);
      }
    }
    isSending = false;
  }

  return {
    async enqueue(assignment) {
      // With an empty buffer every frame has left it, even if `onFlushed` was not called for it yet, or never will be.
      const isInSocket = deps.bufferedBytes() > 0 && inSocket.some((each) => each !== null && isSameAssignment(each, assignment));
      if (isInSocket) return;
      queue.set(assignmentKey(assignment), assignment);
      await sendQueued();
    },
    onWritten(report) {
      inSocket.push(report);
    },
    onFlushed() {
      const flushed = inSocket.shift();
      if (flushed !== undefined && flushed !== null) deps.reportFlushed(flushed);
      if (queue.size > 0) void sendQueued();
    },
    clear() {
      queue.clear();
      inSocket = [];
    },
  };
}
