/** A queue of transactions in which the next one may begin while the previous one is being committed. */
import { AgentcomError } from '../../errors/agentcom-error.ts';

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
