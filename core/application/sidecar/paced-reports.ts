/**
 * Reports with a body go out as fast as the hub takes them: they lie on the disk, so that one for which the socket has no room is
 * read and sent later, and none is queued twice, however often it is asked for meanwhile.
 */
import { assignmentKey, type Assignment } from '../../domain/slot.ts';

export interface PacedReports {
  /** Reads and sends it, now or as soon as there is room. Answers when that is done, or planned. */
  want(name: Assignment): Promise<void>;
  /** There may be room again. */
  taken(): void;
  /** The connection is gone, and with it what was wanted. */
  clear(): void;
}

export function pacedReports(deps: { readonly hasRoom: () => boolean; readonly read: (name: Assignment) => Promise<void> }): PacedReports {
  const waiting = new Map<string, Assignment>();
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
      waiting.set(assignmentKey(name), name);
      await goOn();
    },
    taken() {
      if (waiting.size > 0) void goOn();
    },
    clear: () => waiting.clear(),
  };
}
