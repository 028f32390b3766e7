/**
 * Runs beside an agent: takes tasks from a hub, wakes the agent for each, watches for results and reports them.
 * Survives restarts of hub, agent and sidecar.
 */
import { isAgentId } from '../../domain/ids.ts';
import { AgentcomError, messageOf } from '../../errors/agentcom-error.ts';
import type { JournalOpened } from '../../ports/journal.ts';
import { within } from '../../ports/timing/within.ts';
import type { ResolvedAccept } from '../../config/accept.ts';
import type { SidecarTiming } from '../../config/times.ts';
import { REFUSED_BYTES_MAX } from './state/constants.ts';
import { effectRunner, type EffectRunner } from './engine/effect-runner.ts';
import { createDriver, type Driver, type DriverParts } from './engine/driver.ts';
import type { SidecarInput } from './state/inputs.ts';
import { readJournalState, stateOfCopy, type JournalState } from './state/journal-state.ts';
import type { SidecarPorts } from './state/ports.ts';
import { createRedactor, redactInput } from './engine/redact-secrets.ts';
import { loadedState, type SidecarSettings } from './state/state.ts';
import { sidecarStep } from './engine/step.ts';

/** Upper bound on `stop()`, even if it is still waiting for something. */
const STOP_AT_LATEST_MS = 9_500;

export interface SidecarConfigPart {
  /** `ws://` or `wss://` URLs, tried in turn; at least one. */
  readonly hubs: readonly string[];
  readonly agentId: string;
  readonly name: string;
  readonly token: string;
  /** Send the token even to a hub that cannot prove that it knows it. Default false. */
  readonly plainToken?: boolean | undefined;
  readonly capabilities: readonly string[];
  /** Maximum number of concurrent tasks. */
  readonly slots: number;
  readonly timing: SidecarTiming;
  /** Maximum size of `refused/` in bytes; above it no task is accepted. Default `REFUSED_BYTES_MAX`, 1 GiB. */
  readonly refusedBytesMax?: number | undefined;
  /**
   * The agent is a function of this process: it works as soon as it is woken, so no start is awaited or reported, and a `completed` ends
   * its run. Default false.
   */
  readonly inProcess?: boolean | undefined;
  /** Its journal ends with its process, so a task that it began without an answer cannot be distinguished from one that it never got. Default false. */
  readonly isVolatile?: boolean | undefined;
  /** Which tasks it accepts. Default: all. */
  readonly accept?: ResolvedAccept | undefined;
  /** Redacted from everything the agent writes. */
  readonly secrets?: readonly string[] | undefined;
}

export interface SidecarOptions extends SidecarPorts {
  readonly config: SidecarConfigPart;
  /** Called when a hub has identified it (true), and when that connection is gone (false). MUST NOT throw. */
  readonly onLink?: ((isIdentified: boolean) => void) | undefined;
}

export interface Sidecar {
  /**
   * Reads the journal, resumes what it holds, and connects to the hub. Resolves once that is under way; safe to call twice.
   * Rejects like `Journal.open` and `ResultInbox.open`; with `AC_SCHEMA_UNKNOWN` or `AC_JOURNAL_CORRUPT` for a journal
   * that this version cannot read; and with `AC_CONFIG_INVALID`.
   */
  start(): Promise<void>;
  /** Resolves at the first `identified`. Never times out; the log says why a hub refuses. */
  readonly ready: Promise<void>;
  /**
   * Resolves after `stop`. Rejects with `AC_INTERNAL` if the journaled work cannot be resumed; with `AC_DATA_DIR` if the data directory was
   * removed, and with `AC_JOURNAL_LOCKED` if another process took it over: then the connection is closed and the agents are stopped.
   */
  readonly finished: Promise<void>;
  /**
   * Accepts no more tasks, and tells the hub. Resolves once no assignment is left and the hub has answered their reports, which may be
   * never: `stop` does not wait for it. May be called more than once, after `start` has resolved.
   */
  drain(): Promise<void>;
  /**
   * Accepts no new task, stops agents whose end is reported, waits up to 8 s for the hub to answer the last reports and for agents that are
   * being stopped, and leaves all others running for the next process to adopt. May be called before or during `start`, and more than once.
   */
  stop(): Promise<void>;
}

export function createSidecar(options: SidecarOptions): Sidecar {
  const { config, journal, results, clock, log } = options;
  const ready = promise<void>();
  const finished = promise<void>();
  const stopped = promise<void>();
  const drained = promise<void>();
  let starting: Promise<void> | null = null;
  let stopping: Promise<void> | null = null;
  let running: { readonly driver: Driver; readonly effects: EffectRunner } | null = null;

  async function start(): Promise<void> {
    const settings = settingsOf(options);
    try {
      await open(settings);
    } catch (thrown) {
      await close();
      throw thrown;
    }
  }

  async function open(settings: SidecarSettings): Promise<void> {
    const opened = await journal.open((error) => void giveUp(error));
    await options.signatures?.open();
    const loaded = loadedState(await stateOf(opened), opened.instanceId);
    const redactor = createRedactor(config.secrets ?? []);
    // The only entry point for inputs: secrets are redacted before anything is journaled, sent or logged.
    const hasSecrets = (config.secrets ?? []).length > 0 || options.readToken !== undefined;
    const take = (input: SidecarInput, done?: () => void): void => driver.take(hasSecrets ? redactInput(input, redactor) : input, done);
    const effects = effectRunner({
      ...options,
      settings,
      take,
      onSecret: (secret) => redactor.add(secret),
      onReady: ready.resolve,
      onStopped: stopped.resolve,
      onDrained: drained.resolve,
    });
    const parts: DriverParts = {
      step: notifyingLink(sidecarStep(settings), options.onLink),
      runDurable: (effect) => effects.runDurable(effect),
      runAfterPersist: (effect) => effects.runAfterPersist(effect),
      environment: () => ({ nowMs: clock.nowMs(), random: options.ids.jitter() }),
      log,
    };
    const driver = createDriver(parts, loaded);
    driver.broken.catch(finished.reject);
    await results.open((event) => take({ type: 'file_event', event }));
    running = { driver, effects };
    if (opened.damage !== null) log.error(opened.damage.message, { set_aside: opened.damage.setAside });
    await driver.deliver({ type: 'start' });
  }

  async function stateOf({ state, isCopy }: JournalOpened): Promise<JournalState> {
    const read = readJournalState(state);
    if (isCopy !== true) return read;
    const own = stateOfCopy(read);
    await journal.save(own);
    log.warn('the data directory was copied; runs are left to the original sidecar', { tasks: read.slots.map(({ taskId }) => taskId) });
    return own;
  }

  /** Not even an end could be journaled, so nothing may be held: the next process begins without these tasks. */
  async function giveUp(error: AgentcomError): Promise<void> {
    log.error(error.message);
    if (running !== null) {
      const { driver, effects } = running;
      await driver.deliver({ type: 'journal_lost' });
      const isOver = await within(clock, STOP_AT_LATEST_MS, effects.runsOver());
      if (!isOver) log.error('agents are still running, and this sidecar can no longer wait for their ends');
    }
    finished.reject(error);
  }

  async function stop(): Promise<void> {
    // A failed start was already reported to its caller.
    await Promise.allSettled([starting]);
    if (running !== null) {
      const { driver, effects } = running;
      void driver.deliver({ type: 'stop' });
      driver.broken.catch(stopped.resolve);
      await within(
        clock,
        STOP_AT_LATEST_MS,
        stopped.promise.then(() => effects.removalsDone()),
      );
      driver.halt();
      effects.close();
    }
    await close();
    finished.resolve();
  }

  async function close(): Promise<void> {
    for (const closing of await Promise.allSettled([results.close(), options.signatures?.close(), journal.close()])) {
      if (closing.status === 'rejected') log.warn('could not close a part of the sidecar', { error: messageOf(closing.reason) });
    }
  }

  function drain(): Promise<void> {
    if (running === null || stopping !== null) return Promise.resolve();
    void running.driver.deliver({ type: 'drain' });
    return Promise.race([drained.promise, stopped.promise]);
  }

  return {
    drain,
    start: () => (starting ??= stopping === null ? start() : Promise.reject(alreadyStopped(config.agentId))),
    stop: () => (stopping ??= stop()),
    ready: ready.promise,
    finished: finished.promise,
  };
}

/** Wraps the step: calls `onLink` when the sidecar becomes identified and when it no longer is. */
function notifyingLink(step: DriverParts['step'], onLink: SidecarOptions['onLink']): DriverParts['step'] {
  if (onLink === undefined) return step;
  let wasIdentified = false;
  return (state, input, environment) => {
    const result = step(state, input, environment);
    const isIdentified = result.state.link.phase === 'identified';
    if (isIdentified !== wasIdentified) {
      wasIdentified = isIdentified;
      onLink(isIdentified);
    }
    return result;
  };
}

function settingsOf({ config, runner, digest, ids, signatures, deviceKey, afterTurn }: SidecarOptions): SidecarSettings {
  const { agentId, hubs } = config;
  if (!isAgentId(agentId) || hubs.length === 0) {
    throw new AgentcomError(
      'AC_CONFIG_INVALID',
      `Cannot start the sidecar "${agentId}": expected an agent ID of lowercase letters, digits, ".", "_", "-" and at least one hub address.`,
    );
  }
  if ((config.accept?.signedBy.length ?? 0) > 0 && signatures === undefined)
    throw new AgentcomError(
      'AC_INTERNAL',
      `The sidecar "${agentId}" is to accept signed tasks only, and has nothing to check signatures with.`,
    );
  return {
    ...config,
    refusedBytesMax: config.refusedBytesMax ?? REFUSED_BYTES_MAX,
    agentId,
    processId: ids.random('process'),
    runner: runner === undefined ? null : { adoptable: runner.adoptable, hasCheck: runner.check !== undefined },
    sha256: (text) => digest.sha256(text),
    hmac: (key, text) => digest.hmac(key, text),
    plainToken: config.plainToken ?? false,
    deviceKey: deviceKey ?? null,
    acceptPolicy: config.accept?.policy ?? null,
    requiresSignature: signatures !== undefined,
    audiences: config.accept?.audiences ?? [],
    inProcess: config.inProcess ?? false,
    isVolatile: config.isVolatile ?? false,
    awaitsTurns: afterTurn !== undefined,
  };
}

const alreadyStopped = (agentId: string): AgentcomError =>
  new AgentcomError('AC_INTERNAL', `Cannot start the sidecar "${agentId}": it was stopped. Create a new one.`);

/** A deferred promise; a rejection that nobody handles is not an unhandled rejection. */
function promise<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const made = new Promise<T>((resolveMade, rejectMade) => {
    resolve = resolveMade;
    reject = rejectMade;
  });
  // Callers that await the promise get the error; it is also in the log.
  void Promise.allSettled([made]);
  return { promise: made, resolve, reject };
}
