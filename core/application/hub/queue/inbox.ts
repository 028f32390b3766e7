/**
 * What waits for a commit, and whose turn it is. What fits into one batch goes together, in the order in which it arrived.
 * Of more than that, whoever asks gets a turn: each agent, each token and each duty of the hub has a lane, first in first
 * out, and lanes are served by deficit round-robin. A command's cost is the work that it makes, so that a thousand small
 * commands and one bulk of a thousand tasks count alike, and nobody waits for more than a turn of each other lane.
 */
import type { AgentId } from '../../../domain/ids.ts';
import type { Command } from '../batch/commands.ts';

/** What a turn of an agent's lane is worth, and one of any other lane. Work. */
const AGENT_TURN = 16;
const TURN = 256;
/** What a batch takes of what is behind: some milliseconds, which is what all others wait for it. */
const BEHIND = { commandsMax: 8, workMax: 16 };
/** So many batches of others may go before one takes of what is behind with it; fewer while a sweep waits for that. */
const BEHIND_PASSED_MAX = 16;
const BEHIND_SWEEP_PASSED_MAX = 2;
/** A sweep waits for what is behind, but for no more than so many batches, so that agents that flood the hub cannot hold it up. */
const SWEEP_PASSED_MAX = 24;
/** A lane lets go of what was taken out of it once it is so many entries. */
const LANE_TRIMMED_AT = 1_024;

export interface Waiting {
  readonly command: Command;
  /** Of memory. */
  readonly bytes: number;
  /** About how many rows of tasks it reads or writes; `Infinity`: it wants a batch of its own. */
  readonly work: number;
}

interface Numbered<E> {
  readonly entry: E;
  readonly number: number;
}

interface Lane<E> {
  readonly owner: string;
  readonly turn: number;
  readonly entries: Numbered<E>[];
  /** Those before it are taken. */
  next: number;
  /** Work that it may still do in its turns. */
  credit: number;
}

export class Inbox<E extends Waiting> {
  readonly #commandsMax: number;
  readonly #workMax: number;
  /** In no lane yet: all there is, as long as each batch takes it all. */
  #arrived: E[] = [];
  #arrivedWork = 0;
  readonly #lanes = new Map<string, Lane<E>>();
  /** Lanes in which something waits, whose turn it is first. */
  #ring: Lane<E>[] = [];
  #length = 0;
  #bytes = 0;
  #number = 0;

  /** A batch takes at most so many commands, and so much work unless one command alone is more. */
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
    this.#line();
    const taken = this.#takeInTurns().sort((one, other) => one.number - other.number);
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

  /** Puts what has arrived into its lanes. */
  #line(): void {
    for (const entry of this.#arrived) {
      const owner = ownerOf(entry.command);
      let lane = this.#lanes.get(owner);
      if (lane === undefined) {
        lane = { owner, turn: isAgents(owner) ? AGENT_TURN : TURN, entries: [], next: 0, credit: 0 };
        this.#lanes.set(owner, lane);
        this.#ring.push(lane);
      }
      lane.entries.push({ entry, number: (this.#number += 1) });
    }
    this.#arrived = [];
    this.#arrivedWork = 0;
  }

  #takeInTurns(): Numbered<E>[] {
    const taken: Numbered<E>[] = [];
    let work = 0;
    /** A sweep judges silence: what an agent said before it was asked for goes first. */
    const oldestOfAgents = this.#ring.reduce((least, lane) => (isAgents(lane.owner) ? Math.min(least, numberOf(lane)) : least), Infinity);
    let waiting = this.#ring;
    const again: Lane<E>[] = [];
    while (waiting.length > 0) {
      const left: Lane<E>[] = [];
      for (const [index, lane] of waiting.entries()) {
        lane.credit += lane.turn;
        for (;;) {
          const first = lane.entries[lane.next];
          if (first === undefined) {
            this.#lanes.delete(lane.owner);
            break;
          }
          const { command, work: its } = first.entry;
          if (command.kind === 'sweep' && oldestOfAgents < first.number) {
            again.push(lane);
            break;
          }
          // No lane has more credit than a batch takes: what is more than that goes alone, when its turn comes.
          if (Math.min(its, this.#workMax) > lane.credit) {
            left.push(lane);
            break;
          }
          const isFull = taken.length === this.#commandsMax || work + its > this.#workMax;
          if (taken.length > 0 && isFull) {
            lane.credit = Math.max(0, lane.credit - lane.turn);
            this.#ring = [...waiting.slice(index), ...left, ...again];
            return taken;
          }
          lane.next += 1;
          if (lane.next === LANE_TRIMMED_AT) {
            lane.entries.splice(0, lane.next);
            lane.next = 0;
          }
          // One that was larger than its credit is paid for by the turns after it.
          lane.credit -= Number.isFinite(its) ? its : this.#workMax;
          work += its;
          taken.push(first);
        }
      }
      waiting = left;
    }
    this.#ring = again;
    return taken;
  }
}

/** An inbox, and one for what goes behind it: a little of it at a time, with the others only when it has waited for enough of their batches. */
export class RankedInbox<E extends Waiting> {
  readonly #first: Inbox<E>;
  readonly #behind = new Inbox<E>(BEHIND);
  /** Batches since one took of what is behind. */
  #passed = 0;
  /** A sweep judges silence: what was said before it goes first, also of those who are behind. */
  #sweeps: E[] = [];
  /** Batches since the first of them came. */
  #passedSweep = 0;

  constructor(batch: { readonly commandsMax: number; readonly workMax: number }) {
    this.#first = new Inbox(batch);
  }

  get length(): number {
    return this.#first.length + this.#behind.length + this.#sweeps.length;
  }

  get bytes(): number {
    return this.#sweeps.reduce((sum, { bytes }) => sum + bytes, this.#first.bytes + this.#behind.bytes);
  }

  push(entry: E, behind: boolean): void {
    if (entry.command.kind === 'sweep' && this.#behind.length > 0) this.#sweeps.push(entry);
    else (behind ? this.#behind : this.#first).push(entry);
  }

  /** Whether nothing waits but what is behind. */
  get hasOnlyBehind(): boolean {
    return this.#first.length === 0 && this.#behind.length > 0;
  }

  take(): readonly E[] {
    const first = this.#first.take();
    if (first.some(({ work }) => work === Infinity)) return first;
    const batch = [...first, ...this.#takeBehind(first.length > 0)];
    if (this.#sweeps.length === 0) return batch;
    this.#passedSweep += 1;
    if (this.#behind.length > 0 && this.#passedSweep <= SWEEP_PASSED_MAX) return batch;
    this.#passedSweep = 0;
    return [...batch, ...this.#sweeps.splice(0)];
  }

  #takeBehind(areOthersWaiting: boolean): readonly E[] {
    if (this.#behind.length === 0) return [];
    this.#passed += 1;
    const passedMax = this.#sweeps.length > 0 ? BEHIND_SWEEP_PASSED_MAX : BEHIND_PASSED_MAX;
    if (areOthersWaiting && this.#passed <= passedMax) return [];
    this.#passed = 0;
    return this.#behind.take();
  }
}

const numberOf = ({ entries, next }: Lane<Waiting>): number => entries[next]?.number ?? Infinity;

const isAgents = (owner: string): boolean => owner.startsWith('agent ');

/** The agent that said it; null for what no agent says. */
export function speakerOf(command: Command): AgentId | null {
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

/** Whose turn it takes. Commands of one owner are carried out in the order in which they came. */
function ownerOf(command: Command): string {
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
      return `agent ${speakerOf(command)}`;
    case 'agent_standing':
    case 'sweep':
    case 'remove_old':
    case 'hub_started':
    case 'poll':
      return command.kind;
  }
}
