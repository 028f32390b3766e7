/** `open` and `close` for every port that has them, so that all adapters behave alike. */
import { AgentcomError } from '../errors/agentcom-error.ts';

/** Something that is opened once and closed once, by any caller and after any number of calls. */
export interface Opening<T> {
  /** Opens it, joins an `open` in progress, or returns what is open. Waits for a `close` in progress. */
  open(): Promise<T>;
  /** Closes it, or joins a `close` in progress. Waits for an `open` in progress. A no-op if it is closed. */
  close(): Promise<void>;
  /** What is open; undefined before `open`, and as soon as `close` is called. */
  current(): T | undefined;
  /** What is open; throws `AC_STORE_CLOSED` before `open`, and as soon as `close` is called. */
  use(): T;
}

/**
 * closed ── open ──► opening ── succeeded ──► open ── close ──► closing ──► closed
 *                       └────── failed ─────► closed
 *
 * `last` is the latest call that had an effect. Each call waits for the one before it.
 */
export function opening<T>(part: { readonly name: string; open(): Promise<T>; close(opened: T): Promise<void> }): Opening<T> {
  type Last = { readonly kind: 'open'; readonly done: Promise<T> } | { readonly kind: 'close'; readonly done: Promise<void> };
  let last: Last = { kind: 'close', done: Promise.resolve() };
  let current: { readonly opened: T } | undefined;

  return {
    open() {
      if (last.kind === 'open') return last.done;
      // A failed close was reported to its own caller, and does not affect this open.
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
      // A failed open leaves nothing to close, and was reported to its own caller.
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
