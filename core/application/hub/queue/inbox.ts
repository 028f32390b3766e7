/**
 * Commands that wait for a commit, and whose turn it is. While one batch can take everything, it takes it in the order of arrival.
 * Beyond that the inbox is fair: each agent, each token and each internal command kind has a FIFO queue of its own, and the queues
 * are served by deficit round robin. A command's cost is its work, so that a thousand single submits and one bulk of a thousand tasks
 * cost the same, and nobody waits for more than one turn of each other queue.
 */
import { Fifo } from '../../../domain/fifo.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Command } from '../batch/commands.ts';

/** The quantum of an agent's queue, and of any other. Work. */
const AGENT_QUANTUM = 16;
const QUANTUM = 256;
/** How many low-priority commands a batch takes: some milliseconds of work, for which all others wait. */
const LOW_PRIORITY_BATCH = { commandsMax: 8, workMax: 16 };
/** After this many batches without one, low-priority commands join a batch of others; sooner while a sweep waits for them. */
const LOW_PRIORITY_SKIPPED_MAX = 16;
const LOW_PRIORITY_SWEEP_SKIPPED_MAX = 2;
/** A sweep waits for low-priority commands, but for this many batches at most, so that agents that flood the hub cannot hold it up. */
const SWEEP_SKIPPED_MAX = 24;

export interface InboxEntry {
  readonly command: Command;
  /** Its size in memory. */
  readonly bytes: number;
  /** Roughly how many task rows it reads or writes; `Infinity`: it needs a batch of its own. */
  readonly work: number;
}

interface Waiting {
  readonly commands: number;
  readonly bytes: number;
}

/** An entry with its place in the order of arrival. */
interface Numbered<E> {
  readonly entry: E;
  readonly number: number;
}

interface SenderQueue<E> {
  readonly key: string;
  readonly quantum: number;
  readonly entries: Fifo<Numbered<E>>;
  /** Of these entries. */
  bytes: number;
  /** Work that it may still take in its turns. */
  credit: number;
}

export class Inbox<E extends InboxEntry> {
  readonly #commandsMax: number;
  readonly #workMax: number;
  /** Entries that are not sorted into queues yet: all of them, as long as each batch takes everything. */
  #arrived: E[] = [];
  #arrivedWork = 0;
  readonly #queues = new Map<string, SenderQueue<E>>();
  /** Queues with entries, in the order of their turns. */
  #ring: SenderQueue<E>[] = [];
  #length = 0;
  #bytes = 0;
  #number = 0;

  /** Bounds of a batch. A single command may exceed `workMax`. */
  constructor(batch: { readonly commandsMax: number; readonly workMax: number }) {
    this.#commandsMax = batch.commandsMax;
    this.#workMax = batch.workMax;
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What waits of the sender of this command. */
  waitingOf(command: Command): Waiting {
    this.#sortIntoQueues();
    const queue = this.#queues.get(queueKeyOf(command));
    return { commands: queue?.entries.length ?? 0, bytes: queue?.bytes ?? 0 };
  }

  push(entry: E): void {
    this.#arrived.push(entry);
    this.#arrivedWork += entry.work;
    this.#length += 1;
    this.#bytes += entry.bytes;
  }

  /** The next batch; empty when nothing waits. */
  take(): readonly E[] {
    const fits = this.#arrived.length <= this.#commandsMax && this.#arrivedWork <= this.#workMax;
    if (this.#ring.length === 0 && (fits || this.#arrived.length === 1)) return this.#takeArrived();
    this.#sortIntoQueues();
    const taken = this.#takeRoundRobin().sort((one, other) => one.number - other.number);
    this.#length -= taken.length;
    for (const { entry } of taken) this.#bytes -= entry.bytes;
    return taken.map(({ entry }) => entry);
  }

  #takeArrived(): readonly E[] {
    const taken = this.#arrived;
    this.#arrived = [];
    this.#arrivedWork = 0;
    this.#length = 0;
    this.#bytes = 0;
    return taken;
  }

  #sortIntoQueues(): void {
    for (const entry of this.#arrived) {
      const key = queueKeyOf(entry.command);
      let queue = this.#queues.get(key);
      if (queue === undefined) {
        queue = { key, quantum: isAgentQueue(key) ? AGENT_QUANTUM : QUANTUM, entries: new Fifo(), bytes: 0, credit: 0 };
        this.#queues.set(key, queue);
        this.#ring.push(queue);
      }
      queue.entries.push({ entry, number: (this.#number += 1) });
      queue.bytes += entry.bytes;
    }
    this.#arrived = [];
    this.#arrivedWork = 0;
  }

  #takeRoundRobin(): Numbered<E>[] {
    const taken: Numbered<E>[] = [];
    let work = 0;
    /** A sweep judges missed deadlines: agents' frames that arrived before it go first. */
    const oldestOfAgents = this.#ring.reduce(
      (least, queue) => (isAgentQueue(queue.key) ? Math.min(least, numberOf(queue)) : least),
      Infinity,
    );
    let waiting = this.#ring;
    const deferred: SenderQueue<E>[] = [];
    while (waiting.length > 0) {
      const left: SenderQueue<E>[] = [];
      for (const [index, queue] of waiting.entries()) {
        queue.credit += queue.quantum;
        for (;;) {
          const { first } = queue.entries;
          if (first === undefined) {
            this.#queues.delete(queue.key);
            break;
          }
          const { command, work: cost } = first.entry;
          if (command.kind === 'sweep' && oldestOfAgents < first.number) {
            deferred.push(queue);
            break;
          }
          // Credit never exceeds what a batch takes: a larger command goes alone, when its turn comes.
          if (Math.min(cost, this.#workMax) > queue.credit) {
            left.push(queue);
            break;
          }
          const isFull = taken.length === this.#commandsMax || work + cost > this.#workMax;
          if (taken.length > 0 && isFull) {
            queue.credit = Math.max(0, queue.credit - queue.quantum);
            this.#ring = [...waiting.slice(index), ...left, ...deferred];
            return taken;
          }
          queue.entries.take();
          queue.bytes -= first.entry.bytes;
          // A command that cost more than the credit is paid off in the next turns.
          queue.credit -= Number.isFinite(cost) ? cost : this.#workMax;
          work += cost;
          taken.push(first);
        }
      }
      waiting = left;
    }
    this.#ring = deferred;
    return taken;
  }
}

/** An inbox with a second one for low-priority commands: taken a few at a time, and with others only after enough batches without any. */
export class PriorityInbox<E extends InboxEntry> {
  readonly #normal: Inbox<E>;
  readonly #low = new Inbox<E>(LOW_PRIORITY_BATCH);
  /** Batches since the last one with low-priority commands. */
  #skipped = 0;
  /** A sweep judges missed deadlines: frames that arrived before it go first, including those of low priority. */
  #sweeps: E[] = [];
  /** Batches since the first of these sweeps arrived. */
  #sweepSkipped = 0;
  /** The second half of a batch that was halved: the next batch. */
  #half: readonly E[] = [];
  #halfBytes = 0;

  constructor(batch: { readonly commandsMax: number; readonly workMax: number }) {
    this.#normal = new Inbox(batch);
  }

  get length(): number {
    return this.#normal.length + this.#low.length + this.#sweeps.length + this.#half.length;
  }

  get bytes(): number {
    return bytesOf(this.#sweeps) + this.#halfBytes + this.#normal.bytes + this.#low.bytes;
  }

  waitingOf(command: Command, isLowPriority: boolean): Waiting {
    return (isLowPriority ? this.#low : this.#normal).waitingOf(command);
  }

  push(entry: E, isLowPriority: boolean): void {
    if (entry.command.kind === 'sweep' && this.#low.length > 0) this.#sweeps.push(entry);
    else (isLowPriority ? this.#low : this.#normal).push(entry);
  }

  /** Whether only low-priority commands wait. */
  get hasOnlyLowPriority(): boolean {
    return this.#normal.length === 0 && this.#half.length === 0 && this.#low.length > 0;
  }

  /** The next batch. `isHalved`: whether only its first half is to be taken now, and the second half by the next call. */
  take(isHalved: (batch: readonly E[]) => boolean = () => false): readonly E[] {
    if (this.#half.length > 0) {
      const half = this.#half;
      this.#half = [];
      this.#halfBytes = 0;
      return half;
    }
    const batch = this.#takeWhole();
    if (!isHalved(batch)) return batch;
    const middle = Math.floor(batch.length / 2);
    this.#half = batch.slice(middle);
    this.#halfBytes = bytesOf(this.#half);
    return batch.slice(0, middle);
  }

  #takeWhole(): readonly E[] {
    const normal = this.#normal.take();
    if (normal.some(({ work }) => work === Infinity)) return normal;
    const batch = [...normal, ...this.#takeLowPriority(normal.length > 0)];
    if (this.#sweeps.length === 0) return batch;
    this.#sweepSkipped += 1;
    if (this.#low.length > 0 && this.#sweepSkipped <= SWEEP_SKIPPED_MAX) return batch;
    this.#sweepSkipped = 0;
    return [...batch, ...this.#sweeps.splice(0)];
  }

  #takeLowPriority(areOthersWaiting: boolean): readonly E[] {
    if (this.#low.length === 0) return [];
    this.#skipped += 1;
    const skippedMax = this.#sweeps.length > 0 ? LOW_PRIORITY_SWEEP_SKIPPED_MAX : LOW_PRIORITY_SKIPPED_MAX;
    if (areOthersWaiting && this.#skipped <= skippedMax) return [];
    this.#skipped = 0;
    return this.#low.take();
  }
}

const bytesOf = (entries: readonly InboxEntry[]): number => entries.reduce((sum, { bytes }) => sum + bytes, 0);

const numberOf = ({ entries }: Pick<SenderQueue<InboxEntry>, 'entries'>): number => entries.first?.number ?? Infinity;

const isAgentQueue = (key: string): boolean => key.startsWith('agent ');

/** The agent that sent the command; null where no agent did. */
export function senderOf(command: Command): AgentId | null {
  switch (command.kind) {
    case 'report':
    case 'recover':
    case 'stop_confirmed':
    case 'disconnect':
    case 'presence':
      return command.from.agentId;
    case 'identify':
      return command.agentId;
    case 'mail':
      return command.from;
    default:
      return null;
  }
}

/** The queue that the command goes to. Commands of one queue run in the order of their arrival. */
function queueKeyOf(command: Command): string {
  switch (command.kind) {
    case 'submit':
    case 'push':
      return `token ${command.submittedBy}`;
    case 'cancel':
    case 'retry':
    case 'adopt':
      return `token ${command.by}`;
    case 'report':
    case 'recover':
    case 'stop_confirmed':
    case 'disconnect':
    case 'presence':
    case 'identify':
    case 'mail':
      return `agent ${senderOf(command)}`;
    case 'agent_control':
    case 'sweep':
    case 'remove_old':
    case 'hub_started':
    case 'poll':
      return command.kind;
    // After a poll that waits, which would renew the lease.
    case 'hub_stopped':
      return 'poll';
  }
}
