/**
 * The inbox as sessions see it. Agents that make the hub work for nothing have their commands behind those of all others, and
 * each agent's are carried out in the order in which it sent them.
 */
import type { AgentId } from '../../../../domain/ids.ts';
import type { SidecarFrame } from '../../../../protocol/sidecar-frames.ts';
import { sizeOf } from '../../batch/command-size.ts';
import type { Command, CommandInbox, Settled } from '../../batch/commands.ts';
import { speakerOf } from '../../queue/inbox.ts';
import type { FrameRates } from './frame-rates.ts';

/** Commands of wasteful agents that wait for a commit, and their bytes; with more, their frames wait. */
const BEHIND_MAX = 256;
const BEHIND_BYTES_MAX = 2_097_152;

export class WastefulBehind implements CommandInbox {
  readonly #inbox: CommandInbox;
  readonly #rates: FrameRates;
  readonly #waiting = new Map<AgentId, number>();
  /** Commands that are behind and wait for their commit, and their bytes in memory. */
  #behind = 0;
  #behindBytes = 0;

  constructor(inbox: CommandInbox, rates: FrameRates) {
    this.#inbox = inbox;
    this.#rates = rates;
  }

  readonly do: CommandInbox['do'] = (command) => this.#inbox.do(command);

  /** Whether frames of wasteful agents are to wait until some of their commands are committed. */
  get isFull(): boolean {
    return this.#behind >= BEHIND_MAX || this.#behindBytes >= BEHIND_BYTES_MAX;
  }

  readonly expect = (): (() => void) => this.#inbox.expect();

  readonly isAwaited = (): boolean => this.#inbox.isAwaited();

  post<C extends Command>(command: C, settled: (outcome: Settled<C>) => void): void {
    const agentId = speakerOf(command);
    if (agentId === null) return this.#inbox.post(command, settled);
    const rate = this.#rates.of(agentId);
    const isReport = command.kind === 'report';
    const noted = (outcome: Settled<C>): void => {
      if (isReport && isRefused(outcome)) rate.wasted();
      settled(outcome);
    };
    const ahead = this.#waiting.get(agentId) ?? 0;
    if (ahead === 0 && !rate.isWasteful) return this.#inbox.post(command, isReport ? noted : settled);
    const bytes = sizeOf(command);
    this.#behind += 1;
    this.#behindBytes += bytes;
    this.#waiting.set(agentId, ahead + 1);
    this.#inbox.post(
      command,
      (outcome) => {
        this.#behind -= 1;
        this.#behindBytes -= bytes;
        const left = (this.#waiting.get(agentId) ?? 1) - 1;
        if (left === 0) this.#waiting.delete(agentId);
        else this.#waiting.set(agentId, left);
        noted(outcome);
      },
      true,
    );
  }
}

const isRefused = (outcome: Settled<Command>): boolean =>
  outcome.ok && 'kind' in outcome.answer && (outcome.answer.kind === 'refused' || outcome.answer.kind === 'replaced');

/** Reports count as wasted when they are refused, which their answer shows. */
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
