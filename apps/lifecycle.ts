/** Starts the parts of a program in order and stops them in reverse, each within a bounded time. */
import { AgentcomError, messageOf } from '../core/errors/agentcom-error.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { Log } from '../core/ports/log.ts';

/** A part of a program. */
export interface Service {
  /** Its name in the log and in errors. */
  readonly name: string;
  /** MUST leave nothing behind when it fails. Is called once. */
  start(): Promise<void>;
  /** MUST be safe while `start` is still running, even if it never ends. Is called once, after `start` was called. */
  stop(): Promise<void>;
}

export interface LifecycleOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** How long one service may take to stop. */
  readonly stopEachMs?: number | undefined;
  /** How long all of them may take together. */
  readonly stopAllMs?: number | undefined;
}

const STOP_EACH_MS = 5_000;
/** A stopping program must exit within 10 s; the rest is for what comes after the services. */
const STOP_ALL_MS = 9_000;

interface Part {
  readonly service: Service;
  state: 'starting' | 'running' | 'failed';
  /** Settles with the service's `start`. */
  readonly started: Promise<void>;
}

/**
 * new ─start─► starting ─all run─► running ─stop─► stopping ─► stopped. `stop` works in every state: before `start` it
 * makes sure that nothing starts; during `start` it waits for the current service and stops what has started.
 * Single use.
 */
export class Lifecycle {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stopEachMs: number;
  readonly #stopAllMs: number;
  /** In the order of their start. */
  readonly #parts: Part[] = [];
  #startCalled = false;
  #stopped: Promise<void> | undefined;

  constructor(options: LifecycleOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#stopEachMs = options.stopEachMs ?? STOP_EACH_MS;
    this.#stopAllMs = options.stopAllMs ?? STOP_ALL_MS;
  }

  /**
   * Starts each service once the previous one is running. Returns `stopped` if `stop` was called first or in between. If one fails, stops those
   * that run and throws with the service's name, the code of the cause (else `AC_INTERNAL`) and the cause; what failed while stopping is in
   * `details.stopFailures`. A second call is `AC_INTERNAL`.
   */
  async start(services: readonly Service[]): Promise<'running' | 'stopped'> {
    if (this.#startCalled) throw new AgentcomError('AC_INTERNAL', 'This lifecycle was already started. Create a new one.');
    this.#startCalled = true;
    for (const service of services) {
      if (this.#stopped !== undefined) return 'stopped';
      const sinceMs = this.#clock.monotonicMs();
      const part = begin(service);
      this.#parts.push(part);
      try {
        await part.started;
      } catch (cause) {
        if (this.#stopped === undefined) throw await this.#startFailure(service, cause);
        this.#log.warn('service failed to start while stopping', { service: service.name, error: messageOf(cause) });
        return 'stopped';
      }
      this.#log.debug('service started', { service: service.name, tookMs: this.#clock.monotonicMs() - sinceMs });
    }
    return this.#stopped === undefined ? 'running' : 'stopped';
  }

  /**
   * Stops what runs, last started first. May be called repeatedly and concurrently: every caller waits for the same stop. A service that fails
   * or hangs (`AC_STOP_TIMEOUT`) does not keep the others from being stopped; all failures are thrown in one `AggregateError`.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    const endMs = this.#clock.monotonicMs() + this.#stopAllMs;
    const boundMs = (): number => Math.max(0, Math.min(this.#stopEachMs, endMs - this.#clock.monotonicMs()));
    const last = this.#parts.at(-1);
    if (last?.state === 'starting') await this.#settledWithin(last.started, boundMs());
    const failures: AgentcomError[] = [];
    for (const { service, state } of this.#parts.toReversed()) {
      if (state === 'failed') continue;
      const failure = await this.#stopOne(service, boundMs());
      if (failure !== undefined) failures.push(failure);
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map((failure) => failure.message).join(' '));
  }

  async #stopOne(service: Service, withinMs: number): Promise<AgentcomError | undefined> {
    // An async function, so that a `stop` that throws synchronously counts as one that rejects.
    const stop = async (): Promise<void> => service.stop();
    const outcome = await this.#settledWithin(stop(), withinMs);
    if (outcome.kind === 'fulfilled') {
      this.#log.debug('service stopped', { service: service.name });
      return undefined;
    }
    const details = { service: service.name, withinMs };
    if (outcome.kind === 'pending') {
      const message = `Stopping "${service.name}" took longer than ${withinMs} ms; giving up on it.`;
      return new AgentcomError('AC_STOP_TIMEOUT', message, { details });
    }
    const message = `Cannot stop "${service.name}": ${messageOf(outcome.cause)}`;
    return new AgentcomError(codeOf(outcome.cause), message, { details, cause: outcome.cause });
  }

  async #startFailure(service: Service, cause: unknown): Promise<AgentcomError> {
    const stopFailures: string[] = [];
    try {
      await this.stop();
    } catch (failure) {
      stopFailures.push(...(failure instanceof AggregateError ? failure.errors : [failure]).map(messageOf));
    }
    const details = { service: service.name, ...(stopFailures.length > 0 ? { stopFailures } : {}) };
    // Our own errors say what cannot be done.
    const message = AgentcomError.is(cause) ? cause.message : `Cannot start "${service.name}": ${messageOf(cause)}`;
    return new AgentcomError(codeOf(cause), message, { details, cause });
  }

  /** The state of `work` once it has settled or `withinMs` have passed. Leaves no timer behind. */
  #settledWithin(work: Promise<void>, withinMs: number): Promise<Settled> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(withinMs, () => resolve({ kind: 'pending' }));
      const settle = (outcome: Settled): void => {
        timer.cancel();
        resolve(outcome);
      };
      work.then(
        () => settle({ kind: 'fulfilled' }),
        (cause: unknown) => settle({ kind: 'rejected', cause }),
      );
    });
  }
}

type Settled = { readonly kind: 'fulfilled' } | { readonly kind: 'pending' } | { readonly kind: 'rejected'; readonly cause: unknown };

function begin(service: Service): Part {
  const started = async (): Promise<void> => {
    // One microtask later, so that `part` is initialized when its state is set.
    await Promise.resolve();
    try {
      await service.start();
      part.state = 'running';
    } catch (cause) {
      part.state = 'failed';
      throw cause;
    }
  };
  const part: Part = { service, state: 'starting', started: started() };
  return part;
}

const codeOf = (cause: unknown): AgentcomError['code'] => (AgentcomError.is(cause) ? cause.code : 'AC_INTERNAL');
