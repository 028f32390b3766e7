/**
 * The inbox as sessions see it. Agents that make the hub work for nothing have their commands behind those of all others, and
 * each agent's are carried out in the order in which it sent them.
 */
import type { AgentId } from '../../../domain/ids.ts';
import type { SidecarFrame } from '../../../protocol/sidecar-frames.ts';
import type { Command, CommandInbox, Settled } from '../commands.ts';
import { speakerOf } from '../inbox.ts';
import type { FrameRates } from './frame-rates.ts';

export class WastefulBehind implements CommandInbox {
  readonly #inbox: CommandInbox;
  readonly #rates: FrameRates;
  readonly #waiting = new Map<AgentId, number>();
  /** Commands that are behind and wait for their commit. */
  waiting = 0;

  constructor(inbox: CommandInbox, rates: FrameRates) {
    this.#inbox = inbox;
    this.#rates = rates;
  }

  readonly do: CommandInbox['do'] = (command) => this.#inbox.do(command);

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
    this.waiting += 1;
    this.#waiting.set(agentId, ahead + 1);
    this.#inbox.post(
      command,
      (outcome) => {
        this.waiting -= 1;
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
