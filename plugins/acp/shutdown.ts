/** Ends a run of an agent with two-way pipes: asks it to cancel, closes its input, and only then sends signals. */
import { graceOf, type Clock, type ProcessExit, type StopSignal } from '../plugin.ts';
import type { AgentConnection } from './client-requests.ts';
import { within } from './with-deadline.ts';

/** How long an agent has to cancel and exit before it is sent a signal. All known agents cancelled within 260 ms. */
const CANCEL_WITHIN_MS = 2_000;

export interface ShutdownOptions {
  /** Aborted to stop the run; the reason may specify a grace period. */
  readonly signal: StopSignal;
  readonly listener: { readonly endSignal?: StopSignal | undefined };
  readonly exited: Promise<ProcessExit>;
  /** For the whole stop, unless its reason specifies another. */
  readonly graceMs: number;
  readonly deps: { readonly clock: Clock };
}

/** Passed to `watchRun`. `signal` and `endSignal` are aborted once the agent was asked to exit. */
export interface Shutdown {
  readonly signal: StopSignal;
  readonly endSignal: StopSignal;
  readonly exited: Promise<ProcessExit>;
  close(): void;
}

/** Half of the grace period, at most `CANCEL_WITHIN_MS`, is for asking; the rest is for the signal. */
export function gracefulShutdown(agent: AgentConnection, { signal, listener, exited, graceMs, deps }: ShutdownOptions): Shutdown {
  const { clock } = deps;
  const stop = new AbortController();
  const ending = new AbortController();
  const requestMs = (graceInAllMs: number): number => Math.min(CANCEL_WITHIN_MS, graceInAllMs / 2);
  const requestExit = async (withinMs: number): Promise<void> => {
    await agent.cancelAndClose(withinMs / 2);
    await within(clock, withinMs / 2, exited);
  };
  const stopNow = (): void => {
    const allMs = graceOf(signal, graceMs);
    stop.abort({ graceMs: allMs - requestMs(allMs) });
  };
  const onStop = (): void => {
    void requestExit(requestMs(graceOf(signal, graceMs))).then(stopNow);
  };
  const onEndSignal = (): void => {
    const requested = agent.isInputClosed() ? Promise.resolve() : requestExit(requestMs(graceMs));
    void requested.then(() => {
      ending.abort();
    });
  };
  signal.addEventListener('abort', onStop, { once: true });
  listener.endSignal?.addEventListener('abort', onEndSignal, { once: true });
  if (signal.aborted) onStop();
  return {
    signal: stop.signal,
    endSignal: ending.signal,
    // An agent that exits because it was asked counts as stopped, so the stop must be known before the exit is.
    exited: exited.then((end) => {
      if (signal.aborted) stopNow();
      return end;
    }),
    close() {
      signal.removeEventListener('abort', onStop);
      listener.endSignal?.removeEventListener('abort', onEndSignal);
    },
  };
}
