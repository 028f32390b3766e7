/** How a run of an agent that is talked to is ended: it is asked to break off, then its input ends, and only then come signals. */
import { graceOf, type Clock, type ProcessEnd, type StopSignal } from '../plugin.ts';
import type { Talk } from './client-requests.ts';
import { within } from './with-deadline.ts';

/** How long an agent has to break off and end by itself before it is sent a signal. All that were seen broke off within 260 ms. */
const BREAK_OFF_MS = 2_000;

export interface PartingOptions {
  /** Aborted when the run is to be stopped; its reason may give a grace. */
  readonly signal: StopSignal;
  readonly ears: { readonly enough?: StopSignal | undefined };
  readonly ended: Promise<ProcessEnd>;
  /** For all of a stop, where its reason gives none. */
  readonly graceMs: number;
  readonly deps: { readonly clock: Clock };
}

/** What `watchRun` needs to know, each told once the agent was asked. */
export interface Parting {
  readonly signal: StopSignal;
  readonly enough: StopSignal;
  readonly ended: Promise<ProcessEnd>;
  close(): void;
}

/** Half of the grace, and no more than `BREAK_OFF_MS`, is for asking; the rest is for its signal. */
export function politely(talk: Talk, { signal, ears, ended, graceMs, deps }: PartingOptions): Parting {
  const { clock } = deps;
  const stop = new AbortController();
  const enough = new AbortController();
  const askedMs = (graceInAllMs: number): number => Math.min(BREAK_OFF_MS, graceInAllMs / 2);
  const ask = async (withinMs: number): Promise<void> => {
    await talk.goodbye(withinMs / 2);
    await within(clock, withinMs / 2, ended);
  };
  const stopNow = (): void => {
    const allMs = graceOf(signal, graceMs);
    stop.abort({ graceMs: allMs - askedMs(allMs) });
  };
  const onStop = (): void => {
    void ask(askedMs(graceOf(signal, graceMs))).then(stopNow);
  };
  const onEnough = (): void => {
    const isAsked = talk.hasHungUp() ? Promise.resolve() : ask(askedMs(graceMs));
    void isAsked.then(() => {
      enough.abort();
    });
  };
  signal.addEventListener('abort', onStop, { once: true });
  ears.enough?.addEventListener('abort', onEnough, { once: true });
  if (signal.aborted) onStop();
  return {
    signal: stop.signal,
    enough: enough.signal,
    // One that ends because it was asked has been stopped; that must be known before its end is.
    ended: ended.then((end) => {
      if (signal.aborted) stopNow();
      return end;
    }),
    close() {
      signal.removeEventListener('abort', onStop);
      ears.enough?.removeEventListener('abort', onEnough);
    },
  };
}
