/**
 * Drives the step function: one input at a time, its effects in order. Handlers of outside events only enqueue inputs;
 * there are no rules here.
 */
import { Fifo } from '../../../domain/fifo.ts';
import { AgentcomError, messageOf } from '../../../errors/agentcom-error.ts';
import type { Log } from '../../../ports/log.ts';
import type { AfterPersistEffect, DurableEffect, Effect } from '../state/effects.ts';
import type { SidecarInput, StepEnvironment } from '../state/inputs.ts';
import { releaseState, type SidecarState } from '../state/state.ts';
import type { Step } from '../state/step-context.ts';

/** Log message for a step or an effect that threw. */
export const STEP_FAILED = 'could not process an input';

export interface DriverParts {
  readonly step: Step;
  /** Rejects on a disk failure; the remaining effects are then skipped. Undefined as below. */
  readonly runDurable: (effect: DurableEffect) => Promise<void> | undefined;
  /**
   * Reports its outcome as an input. If it throws or rejects anyway, the effects after it still run. Undefined: it is already done, so
   * nothing is awaited. That is true of most effects, and an await costs more than they do.
   */
  readonly runAfterPersist: (effect: AfterPersistEffect) => Promise<void> | undefined;
  readonly environment: () => StepEnvironment;
  readonly log: Log;
}

export interface Driver {
  /** Enqueues an input. `done` is called once its effects have run. */
  take(input: SidecarInput, done?: () => void): void;
  /** The same, as a promise that resolves then. */
  deliver(input: SidecarInput): Promise<void>;
  /** Drops everything after the effect in progress. */
  halt(): void;
  /** Rejects when the loaded state cannot be resumed; no input is processed after that. */
  readonly broken: Promise<never>;
}

interface Waiting {
  readonly input: SidecarInput;
  readonly done: (() => void) | undefined;
}

/** An input whose step was taken. */
interface Taken {
  readonly input: SidecarInput;
  /** The state before it. */
  readonly before: SidecarState;
  readonly effects: readonly Effect[];
}

const NO_EFFECTS: readonly never[] = [];

export function createDriver(parts: DriverParts, loaded: SidecarState): Driver {
  let state = loaded;
  const inbox = new Fifo<Waiting>();
  /** Failures of steps, which are handled before everything that waits; the last one first. */
  const failures: Waiting[] = [];
  const nextWaiting = (): Waiting | undefined => failures.pop() ?? inbox.take();
  let isRunning = false;
  let isHalted = false;
  let breakWith: (error: AgentcomError) => void = () => undefined;
  const broken = new Promise<never>((_resolve, reject) => (breakWith = reject));

  /** Changes the state and returns the effects; none if the step threw. */
  function takeStep(input: SidecarInput): readonly Effect[] {
    try {
      const result = parts.step(state, input, parts.environment());
      state = result.state;
      return result.effects;
    } catch (thrown) {
      reportStepFailure(input, thrown);
      return [];
    }
  }

  /** An error fails only the assignment it concerns. If the start input throws, the sidecar cannot run at all. */
  function reportStepFailure(input: SidecarInput, thrown: unknown): void {
    if (input.type === 'start') throw thrown;
    const stack = thrown instanceof Error ? (thrown.stack ?? null) : null;
    const message = messageOf(thrown);
    parts.log.error(STEP_FAILED, { input: input.type, error: message, stack });
    if (input.type === 'step_failed') return;
    failures.push({ input: { type: 'step_failed', input, message }, done: undefined });
  }

  /**
   * Processes each input and its effects. When a durable effect fails, the remaining effects are skipped and the state from before the input
   * is restored. That is the last persisted state, since everything visible outside comes after persisting.
   */
  async function runInbox(): Promise<void> {
    isRunning = true;
    await Promise.resolve(); // Never run a step inside the caller of deliver().
    for (let next = nextWaiting(); next !== undefined; next = nextWaiting()) {
      const { input, done } = next;
      const before = state;
      try {
        const running = runEffects({ input, before, effects: isHalted ? NO_EFFECTS : takeStep(input) });
        if (running !== undefined) await running;
        if (state !== before) releaseState(before, state);
      } finally {
        done?.();
      }
    }
    isRunning = false;
  }

  /** Those from `first` on. Undefined: they are done, as they nearly always are, and an async function takes more time than most effects. */
  function runEffects(taken: Taken, first = 0): Promise<void> | undefined {
    const { effects } = taken;
    for (let at = first; at < effects.length && !isHalted; at += 1) {
      const effect = effects[at] as Effect;
      try {
        const running = isDurable(effect) ? parts.runDurable(effect) : parts.runAfterPersist(effect);
        if (running !== undefined) return runRest(taken, at, running);
      } catch (thrown) {
        if (!mayContinue(taken, effect, thrown)) return undefined;
      }
    }
    return undefined;
  }

  async function runRest(taken: Taken, at: number, running: Promise<void>): Promise<void> {
    try {
      await running;
    } catch (thrown) {
      if (!mayContinue(taken, taken.effects[at] as Effect, thrown)) return;
    }
    await runEffects(taken, at + 1);
  }

  /** Handles the failure of an effect, and returns whether those after it still run. */
  function mayContinue({ input, before }: Taken, effect: Effect, thrown: unknown): boolean {
    if (!isDurable(effect)) {
      reportStepFailure(input, thrown);
      return true;
    }
    state = before;
    failures.push({ input: { type: 'persist_failed', input, message: messageOf(thrown) }, done: undefined });
    return false;
  }

  function onBroken(thrown: unknown): void {
    isHalted = true;
    for (let waiting = nextWaiting(); waiting !== undefined; waiting = nextWaiting()) waiting.done?.();
    const error = new AgentcomError('AC_INTERNAL', `The sidecar cannot resume its journal: ${messageOf(thrown)}`, { cause: thrown });
    parts.log.error(error.message, { stack: thrown instanceof Error ? thrown.stack : null });
    breakWith(error);
  }

  function take(input: SidecarInput, done?: () => void): void {
    if (isHalted) return done?.();
    inbox.push({ input, done });
    if (!isRunning) runInbox().catch(onBroken);
  }

  return {
    take,
    deliver: (input) => new Promise((done) => take(input, done)),
    halt() {
      isHalted = true;
    },
    broken,
  };
}

const DURABLE: ReadonlySet<string> = new Set(
  Object.keys({
    persist: true,
    writeReport: true,
    refuseReport: true,
    removeReport: true,
    withdraw: true,
    unwatch: true,
    keepResult: true,
    removeFiles: true,
  } satisfies Record<DurableEffect['type'], true>),
);

const isDurable = (effect: Effect): effect is DurableEffect => DURABLE.has(effect.type);
