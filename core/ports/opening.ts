/** `open` and `close` for every port that has them, so that all adapters behave alike. */
import { AgentcomError } from '../errors/agentcom-error.ts';

/** Something that is opened once and closed once, whoever asks and however often. */
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

/** A queue that runs work serially, in the order of the calls. A failure rejects only its own call. */
export function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    // The next call only waits for the end: a failure is reported to its own caller.
    last = Promise.allSettled([turn]);
    return turn;
  };
}

/** A transaction that may begin early, and may let the next one begin early. Its methods MUST NOT throw. */
export interface EarlyTransaction {
  /** MAY be called once: it began early, its work is done, and it waits for the end of the previous transaction. */
  waiting(): void;
  /** MAY be called once: it is being committed, so that a `transact` with `early` would begin now. */
  saving(): void;
}

/** A turn in a queue. */
export interface Turn {
  /** It began before the previous turn had ended. */
  readonly isEarly: boolean;
  /**
   * Waits for the end of the previous turn, if this one began early. Fails with `AC_STORE_RETRY` if that one failed: what was done based on
   * the state that it would have left is void.
   */
  requireBefore(): Promise<void>;
  /** Lets the next turn begin, if it may begin early. */
  letNextBegin(): void;
  /** Voids what the next turn was based on if it began early, even if this one succeeds: its `requireBefore` fails. */
  voidNext(): void;
}

/**
 * A queue that runs work serially, in the order of the calls. Work that may begin early begins once the previous turn lets it, and MUST
 * await `requireBefore` before it makes anything visible. A failure rejects only its own call.
 */
export function turns(): <T>(work: (turn: Turn) => Promise<T>, mayBeEarly?: boolean) => Promise<T> {
  let last: { readonly succeeded: Promise<boolean>; readonly lets: Promise<void>; hasEnded: boolean; voidsNext: boolean } = {
    succeeded: Promise.resolve(true),
    lets: Promise.resolve(),
    hasEnded: true,
    voidsNext: false,
  };
  return (work, mayBeEarly = false) => {
    const before = last;
    let letNextBegin = (): void => undefined;
    const lets = new Promise<void>((resolve) => (letNextBegin = resolve));
    const begin = mayBeEarly ? Promise.race([before.lets, before.succeeded]) : before.succeeded;
    const requireBefore = async (): Promise<void> => {
      if ((await before.succeeded) && !before.voidsNext) return;
      const message = 'This transaction began on changes of the one before it that were not committed.';
      throw new AgentcomError('AC_STORE_RETRY', message, { details: { early: 'void' } });
    };
    const voidNext = (): void => void (turn.voidsNext = true);
    const done = begin.then(() =>
      before.hasEnded
        ? work({ isEarly: false, requireBefore: () => Promise.resolve(), letNextBegin, voidNext })
        : work({ isEarly: true, requireBefore, letNextBegin, voidNext }),
    );
    // A turn that began early may fail before the previous one has ended. It counts as ended only after that one, so that the next one waits.
    const succeeded = Promise.allSettled([done, before.succeeded]).then(([outcome]) => outcome.status === 'fulfilled');
    const turn = { lets, hasEnded: false, succeeded, voidsNext: false };
    void turn.succeeded.then(() => (turn.hasEnded = true));
    last = turn;
    return done;
  };
}
