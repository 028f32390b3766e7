/**
 * A long-running program around a Lifecycle: it says that it is ready on standard output, stops on SIGTERM or SIGINT, and
 * a second signal ends it at once.
 */
import { systemClock } from '../adapters/clock-system/system-clock.ts';
import type { Log } from '../core/ports/log.ts';
import { Lifecycle } from './lifecycle.ts';

export interface RunningProgram {
  readonly lifecycle: Lifecycle;
}

export interface ProgramOptions {
  readonly log: Log;
  /** Starts the parts; answers the line that says that it is ready, or null when it was stopped meanwhile. */
  readonly start: (program: RunningProgram) => Promise<string | null>;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** The exit code of a program that was told twice to stop: the same as of one that died by the signal. */
const STOPPED_AT_ONCE = 143;

/** Answers when the program has stopped after a signal; throws what kept it from starting or stopping. */
export async function runProgram({ log, start }: ProgramOptions): Promise<void> {
  const lifecycle = new Lifecycle({ clock: systemClock(), log });
  const stopped = stopOnSignal(lifecycle, log);
  try {
    const ready = await start({ lifecycle });
    if (ready !== null) process.stdout.write(`${ready}\n`);
  } catch (error) {
    stopped.forget();
    throw error;
  }
  await stopped.done;
}

function stopOnSignal(lifecycle: Lifecycle, log: Log): { readonly done: Promise<void>; forget(): void } {
  let told = false;
  let settle: (stopping: Promise<void>) => void = () => undefined;
  const done = new Promise<void>((resolve) => (settle = resolve));
  const onSignal = (signal: NodeJS.Signals): void => {
    if (told) process.exit(STOPPED_AT_ONCE);
    told = true;
    log.info('stopping', { signal });
    settle(lifecycle.stop());
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const forget = (): void => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  return { done: done.finally(forget), forget };
}
