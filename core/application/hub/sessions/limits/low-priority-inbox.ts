/**
 * The command inbox as sessions see it: commands of wasteful agents, whose frames are mostly refused, get low priority. The commands
 * of each agent still run in the order in which it sent them.
 */
import type { AgentId } from '../../../../domain/ids.ts';
import type { SidecarFrame } from '../../../../protocol/sidecar-frames.ts';
import { sizeOf } from '../../batch/command-size.ts';
import type { Command, CommandInbox, Settled } from '../../batch/commands.ts';
import { senderOf } from '../../queue/inbox.ts';
import type { FrameRates } from './frame-rates.ts';

/** Low-priority commands that may wait for a commit, and their bytes; beyond that the frames of wasteful agents wait. */
const WAITING_MAX = 256;
const WAITING_BYTES_MAX = 2_097_152;

export class LowPriorityInbox implements CommandInbox {
  readonly #inbox: CommandInbox;
  readonly #rates: FrameRates;
  /** Low-priority commands that wait for their commit: by agent, in total, and their bytes in memory. */
  readonly #waitingByAgent = new Map<AgentId, number>();
  #waiting = 0;
  #waitingBytes = 0;

  constructor(inbox: CommandInbox, rates: FrameRates) {
    this.#inbox = inbox;
    this.#rates = rates;
  }

  readonly do: CommandInbox['do'] = (command) => this.#inbox.do(command);

  readonly doAll: CommandInbox['doAll'] = (commands) => this.#inbox.doAll(commands);

  /** Whether the frames of wasteful agents must wait until some of their commands are committed. */
  get isFull(): boolean {
    return this.#waiting >= WAITING_MAX || this.#waitingBytes >= WAITING_BYTES_MAX;
  }

  readonly expect = (): (() => void) => this.#inbox.expect();

  readonly hasWaiters = (): boolean => this.#inbox.hasWaiters();

  post<C extends Command>(command: C, settled: (outcome: Settled<C>) => void): void {
    const agentId = senderOf(command);
    if (agentId === null) return this.#inbox.post(command, settled);
    const rate = this.#rates.of(agentId);
    const isReport = command.kind === 'report';
    const settledReport = (outcome: Settled<C>): void => {
      if (isReport && isRefused(outcome)) rate.countWasted();
      settled(outcome);
    };
    const earlier = this.#waitingByAgent.get(agentId) ?? 0;
    if (earlier === 0 && !rate.isWasteful) return this.#inbox.post(command, isReport ? settledReport : settled);
    const bytes = sizeOf(command);
    this.#waiting += 1;
    this.#waitingBytes += bytes;
    this.#waitingByAgent.set(agentId, earlier + 1);
    this.#inbox.post(
      command,
      (outcome) => {
        this.#waiting -= 1;
        this.#waitingBytes -= bytes;
        const left = (this.#waitingByAgent.get(agentId) ?? 1) - 1;
        if (left === 0) this.#waitingByAgent.delete(agentId);
        else this.#waitingByAgent.set(agentId, left);
        settledReport(outcome);
      },
      true,
    );
  }
}

const isRefused = (outcome: Settled<Command>): boolean =>
  outcome.ok && 'kind' in outcome.answer && (outcome.answer.kind === 'refused' || outcome.answer.kind === 'replaced');

/** Whether the frame is a report: a report counts as wasted only when its answer refuses it. */
export const isReport = (type: SidecarFrame['type']): boolean => REPORTS.has(type);
const REPORTS: ReadonlySet<string> = new Set<SidecarFrame['type']>([
  'task_accepted',
  'task_rejected',
  'task_released',
  'task_complete',
  'task_failed',
  'task_progress',
  'wake_result',
  'task_cancel_ack',
]);
