/**
 * A long-running program around a Lifecycle: it prints a ready line on standard output and stops on SIGTERM, SIGINT or
 * SIGHUP (its terminal was closed); a second signal ends it at once.
 */
import { systemClock } from '../adapters/clock-system/system-clock.ts';
import { messageOf } from '../core/errors/agentcom-error.ts';
import type { Log } from '../core/ports/log.ts';
import { Lifecycle } from './lifecycle.ts';
import { serviceNotifier, type ServiceNotifier } from './service/service-notify.ts';

export interface RunningProgram {
  readonly lifecycle: Lifecycle;
  /** Aborted by the first signal. */
  readonly stopping: AbortSignal;
}

export interface Running {
  /** The line to print when it is ready. */
  readonly ready: Promise<string>;
  /** Rejects if the program cannot continue. */
  readonly finished?: Promise<void> | undefined;
}

export interface ProgramOptions {
  readonly log: Log;
  /** How long one part may take to stop, milliseconds. Default: the Lifecycle's own bound. */
  readonly stopEachMs?: number | undefined;
  /** Starts the parts; returns null if it was stopped in the meantime. */
  readonly start: (program: RunningProgram) => Promise<Running | null>;
}

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
/** The exit code of a program that gets a second signal: the same as that of a program killed by SIGTERM. */
const STOPPED_AT_ONCE = 143;
/** How long leftovers, such as a hung connection, may delay the exit of a stopped program. Milliseconds. */
const LEFT_BEHIND_MS = 1_000;

/** Resolves once the program has stopped after a signal; throws if it could not start, continue or stop. */
export async function runProgram({ log, start, stopEachMs }: ProgramOptions): Promise<void> {
  const lifecycle = new Lifecycle({ clock: systemClock(), log, stopEachMs, stopAllMs: stopEachMs });
  const service = serviceNotifier(process.env, log);
  const signal = stopOnSignal(lifecycle, log, service);
  let wasReady = false;
  try {
    const running = await start({ lifecycle, stopping: signal.aborted });
    if (running !== null) service.started();
    const finished = running?.finished ?? signal.stopped;
    // A program that cannot continue may never be ready.
    await Promise.race([sayReady(running, service), finished, signal.stopped]);
    wasReady = running !== null;
    await Promise.race([finished, signal.stopped]);
  } catch (error) {
    // A start that was interrupted by a signal is a normal stop.
    if (!signal.aborted.aborted) throw error;
    if (wasReady) log.error('could not stop cleanly', { error });
    else log.info('stopped before it was ready', isAbort(error) ? {} : { because: messageOf(error) });
  } finally {
    signal.forget();
    try {
      await lifecycle.stop();
    } finally {
      if (signal.aborted.aborted) setTimeout(() => process.exit(), LEFT_BEHIND_MS).unref();
    }
  }
}

/** An abort error only says that the signal was aborted. */
const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';

async function sayReady(running: Running | null, service: ServiceNotifier): Promise<void> {
  if (running === null) return;
  const line = await running.ready;
  service.status(line);
  process.stdout.write(`${line}\n`);
}

interface StopOnSignal {
  readonly aborted: AbortSignal;
  /** Settles when the stop that a signal requested has ended; never without a signal. */
  readonly stopped: Promise<void>;
  forget(): void;
}

function stopOnSignal(lifecycle: Lifecycle, log: Log, service: ServiceNotifier): StopOnSignal {
  const controller = new AbortController();
  let settle: (stopping: Promise<void>) => void = () => undefined;
  const stopped = new Promise<void>((resolve) => (settle = resolve));
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(STOPPED_AT_ONCE);
    log.info('stopping', { signal });
    service.stopping();
    controller.abort();
    settle(lifecycle.stop());
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    aborted: controller.signal,
    stopped,
    forget: () => {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    },
  };
}
