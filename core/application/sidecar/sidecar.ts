/**
 * The sidecar: takes tasks from a hub, wakes the agent for each, watches for the results and reports them, over restarts
 * of all of them.
 */
import { isAgentId } from '../../domain/ids.ts';
import { AgentcomError, messageOf } from '../../errors/agentcom-error.ts';
import type { JournalOpened } from '../../ports/journal.ts';
import type { SidecarTiming } from '../../config/times.ts';
import { REFUSED_BYTES_MAX } from './state/bounds.ts';
import { carryOut, type CarryOut } from './engine/effect-runner.ts';
import { createDriver, type Driver, type DriverParts } from './engine/driver.ts';
import type { Event } from './state/inputs.ts';
import { readJournalState, stateOfCopy, type JournalState } from './state/journal-state.ts';
import type { SidecarPorts } from './state/ports.ts';
import { blotted, blotter } from './engine/redact-secrets.ts';
import { loadedState, type SidecarSetting } from './state/state.ts';
import { sidecarStep } from './engine/step.ts';

/** When a stopping sidecar gives up on whatever it waits for. */
const STOP_AT_LATEST_MS = 9_500;

export interface SidecarConfigPart {
  /** `ws://` or `wss://` addresses, tried in turn; at least one. */
  readonly hubs: readonly string[];
  readonly agentId: string;
  readonly name: string;
  readonly token: string;
  /** Sends the token to a hub that cannot prove itself. Default false. */
  readonly plainToken?: boolean | undefined;
  readonly capabilities: readonly string[];
  /** Tasks at the same time. */
  readonly slots: number;
  readonly timing: SidecarTiming;
  /** What `refused/` may hold before no task is taken any more, bytes. Default `REFUSED_BYTES_MAX`, 1 GiB. */
  readonly refusedBytesMax?: number | undefined;
  /** Blotted out of all that its agent says. */
  readonly secrets?: readonly string[] | undefined;
}

export interface SidecarOptions extends SidecarPorts {
  readonly config: SidecarConfigPart;
}

export interface Sidecar {
  /**
   * Reads the journal, takes up what is in it, and calls the hub; answers when that is under way. Twice is fine.
   * Fails as `Journal.open` and `ResultInbox.open` do, with `AC_SCHEMA_UNKNOWN` or `AC_JOURNAL_CORRUPT` for a journal
   * that is not ours to read, and with `AC_CONFIG_INVALID`.
   */
  start(): Promise<void>;
  /** The first `identified`. Waits as long as it takes; the log says why when the hub refuses. */
  readonly ready: Promise<void>;
  /** Ends with `stop`; fails with `AC_INTERNAL` when it cannot take up what it left. */
  readonly finished: Promise<void>;
  /**
   * Takes nothing new, waits up to 10 s for the last reports to be answered, and leaves agents running: the next process
   * goes on with them. May be called before `start`, twice, and while it starts.
   */
  stop(): Promise<void>;
}

export function createSidecar(options: SidecarOptions): Sidecar {
  const { config, journal, results, clock, log } = options;
  const ready = promise<void>();
  const finished = promise<void>();
  const stopped = promise<void>();
  let starting: Promise<void> | null = null;
  let stopping: Promise<void> | null = null;
  let running: { readonly driver: Driver; readonly carrying: CarryOut } | null = null;

  async function start(): Promise<void> {
    const setting = settingOf(options);
    try {
      await open(setting);
    } catch (thrown) {
      await close();
      throw thrown;
    }
  }

  async function open(setting: SidecarSetting): Promise<void> {
    const opened = await journal.open();
    const loaded = loadedState(await stateOf(opened), opened.instanceId);
    const blot = blotter(config.secrets ?? []);
    // The one way in: what is journalled, sent or logged of an agent has come through here.
    const take = (event: Event): Promise<void> => driver.deliver(blotted(event, blot));
    const carrying = carryOut({
      ...options,
      deliver: take,
      onReady: ready.resolve,
      onStopped: stopped.resolve,
    });
    const parts: DriverParts = {
      step: sidecarStep(setting),
      durably: (effect) => carrying.durably(effect),
      outwardly: (effect) => carrying.outwardly(effect),
      moment: () => ({ nowMs: clock.nowMs(), jitter: options.ids.jitter() }),
      log,
    };
    const driver = createDriver(parts, loaded);
    driver.broken.catch(finished.reject);
    await results.open((sighting) => void take({ type: 'sighting', sighting }));
    running = { driver, carrying };
    if (opened.damage !== null) log.error(opened.damage.message, { set_aside: opened.damage.setAside });
    await driver.deliver({ type: 'start' });
  }

  async function stateOf({ state, isCopy }: JournalOpened): Promise<JournalState> {
    const read = readJournalState(state);
    if (isCopy !== true) return read;
    const own = stateOfCopy(read);
    await journal.save(own);
    log.warn('what ran for the sidecar whose data directory was copied is left to it', { tasks: read.slots.map(({ taskId }) => taskId) });
    return own;
  }

  async function stop(): Promise<void> {
    // What went wrong at the start was told to who started it; here only its end matters.
    await Promise.allSettled([starting]);
    if (running !== null) {
      const { driver, carrying } = running;
      const late = promise<void>();
      const tooLate = clock.after(STOP_AT_LATEST_MS, late.resolve);
      void driver.deliver({ type: 'stop' });
      driver.broken.catch(stopped.resolve);
      await Promise.race([stopped.promise.then(() => carrying.removed()), late.promise]);
      tooLate.cancel();
      driver.halt();
      carrying.leave();
    }
    await close();
    finished.resolve();
  }

  async function close(): Promise<void> {
    for (const closing of await Promise.allSettled([results.close(), journal.close()])) {
      if (closing.status === 'rejected') log.warn('a part of the sidecar did not close', { error: messageOf(closing.reason) });
    }
  }

  return {
    start: () => (starting ??= stopping === null ? start() : Promise.reject(alreadyStopped(config.agentId))),
    stop: () => (stopping ??= stop()),
    ready: ready.promise,
    finished: finished.promise,
  };
}

function settingOf({ config, runner, digest, ids }: SidecarOptions): SidecarSetting {
  const { agentId, hubs } = config;
  if (!isAgentId(agentId) || hubs.length === 0) {
    throw new AgentcomError(
      'AC_CONFIG_INVALID',
      `Cannot start the sidecar "${agentId}": wanted an agent id of lower case letters, digits, ".", "_", "-" and at least one hub address.`,
    );
  }
  return {
    ...config,
    refusedBytesMax: config.refusedBytesMax ?? REFUSED_BYTES_MAX,
    agentId,
    processId: ids.random('process'),
    runner: runner === undefined ? null : { adoptable: runner.adoptable, hasCheck: runner.check !== undefined },
    sha256: (text) => digest.sha256(text),
    hmac: (key, text) => digest.hmac(key, text),
    plainToken: config.plainToken ?? false,
  };
}

const alreadyStopped = (agentId: string): AgentcomError =>
  new AgentcomError('AC_INTERNAL', `Cannot start the sidecar "${agentId}": it was stopped. Make a new one.`);

/** A promise with its ends outside. Nobody has to listen to it. */
function promise<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const made = new Promise<T>((resolveMade, rejectMade) => {
    resolve = resolveMade;
    reject = rejectMade;
  });
  // Who waits for it hears of the failure; it is in the log for all others.
  void Promise.allSettled([made]);
  return { promise: made, resolve, reject };
}
