/**
 * Flow control: how much an agent may be sent that it has not answered. Without a bound, tasks for all free slots of an agent would be sent
 * at once, a socket with more than `socketQueueBytes` would be closed, and the same tasks resent after each reconnect.
 */
import type { HubLimits } from '../../../config/limits.ts';
import { encodedBytes, utf8Bytes } from '../../../domain/encoded-text.ts';
import type { Agent } from '../../../domain/agent/agent.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import { bodyCharacters, type TaskBody } from '../../../domain/task/task.ts';
import type { Batch } from './batch.ts';
import type { HubContext } from './hub-context.ts';

/** Shorter assignments do not count: all slots of an agent together can hold little of them. Characters. */
const COUNTED_CHARACTERS_MIN = 1_024;

/**
 * Bytes of unanswered assignments from which an agent gets no further ones: with one more frame they fill at most three quarters of its
 * socket's queue, if a frame fills at most half of it.
 */
const windowBytes = ({ socketQueueBytes, frameBytes }: HubLimits): number => (socketQueueBytes - frameBytes) / 2;

/** Whether an agent with so many unanswered bytes gets no further task. One task of any size is always allowed. */
export const isWindowFull = (unansweredBytes: number, limits: HubLimits): boolean =>
  unansweredBytes > 0 && unansweredBytes >= windowBytes(limits);

/** The assignments sent in one session that its agent has not answered. */
export class Unanswered {
  readonly #bytesOf = new Map<TaskId, number>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** An assignment of this task was sent. */
  add(taskId: TaskId, text: string): void {
    this.delete(taskId);
    if (text.length < COUNTED_CHARACTERS_MIN) return;
    const bytes = utf8Bytes(text);
    this.#bytesOf.set(taskId, bytes);
    this.#bytes += bytes;
  }

  /** The agent has sent something about the task, or the assignment is over. */
  delete(taskId: TaskId): void {
    this.#bytes -= this.#bytesOf.get(taskId) ?? 0;
    this.#bytesOf.delete(taskId);
  }
}

/** The unanswered bytes that agents will have after this batch. */
export class BatchWindows {
  readonly #context: HubContext;
  readonly #bytes = new Map<AgentId, number>();

  /** `batch`: with the bodies of its assignments. */
  constructor(batch: Batch, context: HubContext) {
    this.#context = context;
    for (const { agentId, task } of batch.assignments) {
      const agent = batch.agent(agentId);
      if (agent !== undefined) this.add(agent, countedBodyBytes(batch.body(task.id)));
    }
  }

  isFull(agent: Agent): boolean {
    return isWindowFull(this.#unanswered(agent), this.#context.limits);
  }

  hasUnanswered(agent: Agent | undefined): boolean {
    return agent !== undefined && this.#unanswered(agent) > 0;
  }

  /** Whether this batch sends it something that counts: how much is known exactly only once it is sent. */
  isEstimate({ id }: Agent): boolean {
    return this.#bytes.has(id);
  }

  /** It is sent a task with a body of so many counted bytes. */
  add(agent: Agent, bytes: number): void {
    if (bytes > 0) this.#bytes.set(agent.id, this.#unanswered(agent) + bytes);
  }

  #unanswered({ id, sessionNumber }: Agent): number {
    return this.#bytes.get(id) ?? this.#context.unansweredBytes(id, sessionNumber);
  }
}

/** What a body adds to the unanswered bytes, without the rest of its frame. */
export const countedBodyBytes = (body: TaskBody | undefined): number =>
  body === undefined || bodyCharacters(body) < COUNTED_CHARACTERS_MIN ? 0 : encodedBytes(body);
