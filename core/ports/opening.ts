/** How `open` and `close` behave, for every port that has them: written once, so that all adapters keep the same promise. */
import { AgentcomError } from '../errors/agentcom-error.ts';

export interface Opening<T> {
  /** Opens, or joins the opening that is under way, or answers what is open. Waits for a `close` under way. */
  open(): Promise<T>;
  /** Closes, or joins the closing that is under way. Waits for an `open` under way. Nothing happens when it is closed. */
  close(): Promise<void>;
  /** What is open; undefined before `open` and from the first moment of `close`. */
  current(): T | undefined;
  /** What is open; throws `AC_STORE_CLOSED` before `open` and from the first moment of `close`. */
  use(): T;
}

/**
 * closed ── open ──► opening ── it worked ──► open ── close ──► closing ──► closed
 *                       └────── it failed ──► closed
 *
 * `last` is the newest of the calls that did something; each waits for the one before it.
 */
export function opening<T>(part: { readonly name: string; open(): Promise<T>; close(opened: T): Promise<void> }): Opening<T> {
  type Last = { readonly kind: 'open'; readonly done: Promise<T> } | { readonly kind: 'close'; readonly done: Promise<void> };
  let last: Last = { kind: 'close', done: Promise.resolve() };
  let current: { readonly opened: T } | undefined;

  return {
    open() {
      if (last.kind === 'open') return last.done;
      // A close that failed was told to who asked for it; what is opened now is new.
      const closed = Promise.allSettled([last.done]);
      const made: Last = {
        kind: 'open',
        done: closed.then(async () => {
          try {
            const opened = await part.open();
            if (last === made) current = { opened };
            return opened;
          } catch (thrown) {
            if (last === made) last = { kind: 'close', done: Promise.resolve() };
            throw thrown;
          }
        }),
      };
      last = made;
      return made.done;
    },

    close() {
      if (last.kind === 'close') return last.done;
      current = undefined;
      // An open that failed left nothing to close, and told why to who asked for it.
      const opened = last.done.then(
        (value) => ({ value }),
        () => undefined,
      );
      last = { kind: 'close', done: opened.then((found) => (found === undefined ? undefined : part.close(found.value))) };
      return last.done;
    },

    current: () => current?.opened,

    use() {
      if (current !== undefined) return current.opened;
      throw new AgentcomError('AC_STORE_CLOSED', `Cannot use ${part.name}: it is not open. Call open() first, and nothing after close().`);
    },
  };
}

/** Runs what it is given one after the other, in the order of the calls; a failure is its caller's and stops nobody. */
export function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    // Its caller has the failure; whoever comes next only waits for the end.
    last = Promise.allSettled([turn]);
    return turn;
  };
}
