/**
 * Runs the step function: takes one input after the other, and the effects of each in order. Handlers of outside events
 * only put an input into the inbox. No rule is here.
 */
import { AgentcomError, messageOf } from '../../../errors/agentcom-error.ts';
import type { Log } from '../../../ports/log.ts';
import type { DurableEffect, Effect, OutwardEffect, PersistEffect } from '../state/effects.ts';
import type { Event, Input, Moment } from '../state/inputs.ts';
import type { SidecarState } from '../state/state.ts';
import type { Step } from '../state/step-context.ts';

/** What the log says of a rule of ours that was broken. */
export const NOT_TAKEN_IN = 'what happened could not be taken in';

export interface DriverParts {
  readonly step: (state: SidecarState, input: Input) => Step;
  /** Fails when the disk does; then the rest of the list is not run. */
  readonly durably: (effect: DurableEffect | PersistEffect) => Promise<void>;
  /** How it went is told by an input. If it throws all the same, the effects after it still run. */
  readonly outwardly: (effect: OutwardEffect) => Promise<void>;
  readonly moment: () => Moment;
  readonly log: Log;
}

export interface Driver {
  /** Puts an event behind those that wait; the promise resolves once its effects have run. */
  deliver(event: Event): Promise<void>;
  /** Takes nothing more; what is being done is done to its end. */
  halt(): void;
  /** Fails when what was loaded cannot be taken up; nothing is taken after that. */
  readonly broken: Promise<never>;
}

interface Waiting {
  readonly event: Event;
  readonly taken: () => void;
}

export function createDriver(parts: DriverParts, loaded: SidecarState): Driver {
  let state = loaded;
  const inbox: Waiting[] = [];
  let isRunning = false;
  let isHalted = false;
  let breakWith: (error: AgentcomError) => void = () => undefined;
  const broken = new Promise<never>((_resolve, reject) => (breakWith = reject));

  /**
   * One input and its effects. A durable effect that fails ends the list: the state is the one from before the input,
   * which is the one last persisted, since only outward effects follow the journal.
   */
  async function take(event: Event): Promise<void> {
    const before = state;
    let step: Step;
    try {
      step = parts.step(before, { ...event, ...parts.moment() });
    } catch (thrown) {
      return endWhatItIsAbout(event, thrown);
    }
    state = step.state;
    for (const effect of step.effects) {
      if (!isDurable(effect)) {
        await parts.outwardly(effect).catch((thrown: unknown) => endWhatItIsAbout(event, thrown));
        continue;
      }
      try {
        await parts.durably(effect);
      } catch (thrown) {
        state = before;
        inbox.unshift({ event: { type: 'persist_failed', during: event, message: messageOf(thrown) }, taken: () => undefined });
        return;
      }
    }
  }

  /** What throws ends the run that it is about, and nothing else; without the first input there is no sidecar. */
  function endWhatItIsAbout(event: Event, thrown: unknown): void {
    if (event.type === 'start') throw thrown;
    const stack = thrown instanceof Error ? (thrown.stack ?? null) : null;
    const message = messageOf(thrown);
    parts.log.error(NOT_TAKEN_IN, { input: event.type, error: message, stack });
    if (event.type === 'step_failed') return;
    inbox.unshift({ event: { type: 'step_failed', during: event, message }, taken: () => undefined });
  }

  async function runInbox(): Promise<void> {
    isRunning = true;
    await Promise.resolve(); // Whoever delivers is not made to wait for a step.
    for (let next = inbox.shift(); next !== undefined; next = inbox.shift()) {
      try {
        if (!isHalted) await take(next.event);
      } finally {
        next.taken();
      }
    }
    isRunning = false;
  }

  return {
    deliver: (event) =>
      new Promise((taken) => {
        if (isHalted) return taken();
        inbox.push({ event, taken });
        if (isRunning) return;
        runInbox().catch((thrown: unknown) => {
          isHalted = true;
          for (const waiting of inbox.splice(0)) waiting.taken();
          const error = new AgentcomError('AC_INTERNAL', `The sidecar cannot take up what it left: ${messageOf(thrown)}`, {
            cause: thrown,
          });
          parts.log.error(error.message, { stack: thrown instanceof Error ? thrown.stack : null });
          breakWith(error);
        });
      }),
    halt() {
      isHalted = true;
    },
    broken,
  };
}

const DURABLE: Readonly<Record<(DurableEffect | PersistEffect)['type'], true>> = {
  persist: true,
  writeReport: true,
  refuseReport: true,
  removeReport: true,
  withdraw: true,
  forget: true,
  keepResult: true,
  removeFiles: true,
};

const isDurable = (effect: Effect): effect is DurableEffect | PersistEffect => Object.hasOwn(DURABLE, effect.type);
