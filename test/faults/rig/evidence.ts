/**
 * What was told and done in one run, and what must follow from it. Frames are judged as they are sent: at that moment
 * what they report must be on disk.
 */
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import type { AssignmentId } from '../../../core/domain/assignment/slot.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import { isGeneration, isTaskId } from '../../../core/domain/ids.ts';
import type { Disk } from './disk.ts';

export interface Acknowledgement extends AssignmentId {
  readonly agentId: string;
  readonly type: string;
  readonly status: string;
}

export interface Finished extends AssignmentId {
  readonly marker: string;
}

interface Run extends AssignmentId {
  readonly runId: string;
  readonly agentId: string;
  readonly lives: () => boolean;
}

export class Evidence {
  /** `rule: what`. */
  readonly violations: string[] = [];
  /** Submits that were answered: the key of each, and its outcome. */
  readonly answered = new Map<string, readonly TaskId[]>();
  /** What sidecars were told about assignments. */
  readonly acknowledgements: Acknowledgement[] = [];
  readonly finishedRuns: Finished[] = [];
  readonly #runs: Run[] = [];

  violate(rule: string, what: string): void {
    this.violations.push(`${rule}: ${what}`);
  }

  submitAnswered(key: string, ids: readonly TaskId[]): void {
    const before = this.answered.get(key);
    if (before !== undefined && before.join() !== ids.join())
      this.violate('R1', `the key ${key} made ${before.join()} and then ${ids.join()}`);
    this.answered.set(key, ids);
  }

  /** J4, R10. */
  spawned({ taskId, generation, runId, agentId }: WakeRequest, lives: () => boolean): void {
    for (const other of this.#runs) {
      if (other.taskId !== taskId || !other.lives()) continue;
      if (other.agentId === agentId || other.generation === generation)
        this.violate('J4', `${runId} of ${taskId}.g${generation} beside ${other.runId} of g${other.generation}`);
    }
    if (this.#runs.some((other) => other.taskId === taskId && other.generation > generation))
      this.violate('R10', `${taskId}.g${generation} is run after a later generation was`);
    this.#runs.push({ taskId, generation, runId, agentId, lives });
  }

  finished({ taskId, generation }: AssignmentId, marker: string): void {
    this.finishedRuns.push({ taskId, generation, marker });
  }

  /** R3, R4, J5: a sidecar sends this; what it says must survive a power failure at this very moment. */
  sends(text: string, disk: Disk): void {
    const { type, ...fields } = JSON.parse(text) as { readonly type: string };
    const name = nameIn(fields);
    if (name === null) return;
    if (type === 'task_accepted' && !disk.holds(name)) this.violate('R3', `${assignmentText(name)} was accepted but is not in the journal`);
    // Once it was answered its files are removed, before the journal forgets it: what is sent in between gets the first
    // answer again.
    if ((type === 'task_complete' || type === 'task_failed') && !this.#isAnswered(name) && !(disk.holds(name) && disk.holdsReport(name)))
      this.violate('R4', `${type} of ${assignmentText(name)} was sent before it was stored`);
  }

  #isAnswered({ taskId, generation }: AssignmentId): boolean {
    return this.acknowledgements.some(
      (one) => one.taskId === taskId && one.generation === generation && (one.type === 'task_nack' || ENDS.has(one.status)),
    );
  }

  /** A sidecar, or a peer, receives this. */
  receives(agentId: string, text: string): void {
    const { type, ...fields } = JSON.parse(text) as { readonly type: string; readonly status?: string };
    const name = nameIn(fields);
    if (name !== null) this.acknowledgements.push({ ...name, agentId, type, status: fields.status ?? '' });
  }

  /** R2, J3: everything told so far is in this history. */
  checkAcknowledged(historyOf: (id: TaskId) => readonly StoredEvent[]): void {
    for (const { agentId, type, status, taskId, generation } of this.acknowledgements) {
      const wanted = type === 'task_ack' ? ACK_EVENTS[status] : type === 'task_assign' ? ['assigned'] : [];
      if (wanted === undefined) this.violate('J3', `an unknown acknowledgement "${status}"`);
      if (wanted === undefined || wanted.length === 0) continue;
      const isThere = historyOf(taskId).some(
        (event) => wanted.includes(event.event) && event.generation === generation && event.agentId === agentId,
      );
      if (!isThere) this.violate('R2', `${agentId} was told ${type} ${status} of ${taskId}.g${generation}, of which nothing is committed`);
    }
  }
}

/** What must be in the history before an acknowledgement of this status is sent. */
const ACK_EVENTS: Readonly<Record<string, readonly string[]>> = {
  accepted: ['accepted'],
  complete: ['completed'],
  retried: ['failed'],
  dead_letter: ['failed'],
  rejected: ['rejected'],
  released: ['released'],
  late: ['late_result'],
};

const ENDS: ReadonlySet<string> = new Set(['complete', 'retried', 'dead_letter', 'late']);

function nameIn(fields: object): AssignmentId | null {
  const { task_id: taskId, generation } = fields as { readonly task_id?: unknown; readonly generation?: unknown };
  return isTaskId(taskId) && isGeneration(generation) ? { taskId, generation } : null;
}
