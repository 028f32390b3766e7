/**
 * Locks on rows, by name, as a database with several writers has them: each is had by one transaction until its end, and
 * goes to whoever has waited longest. Who would wait for a transaction that waits for it fails instead.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

export interface RowLocks {
  /** The locks of a new transaction of `owner`, which has one at a time. */
  begin(owner: object): TransactionLocks;
  /** Ends the owner's transaction, if there is one: whatever it does from now on fails with `error`. */
  abort(owner: object, error: AgentcomError): void;
  /** Whether some transaction has the row. */
  isTaken(name: string): boolean;
}

export interface TransactionLocks {
  /** Takes these rows one after the other, waiting for whoever has one. Fails with `AC_STORE_RETRY` in a deadlock. */
  wait(names: Iterable<string>): Promise<void>;
  /** Takes the row unless another transaction has it; answers whether this one has it now. */
  take(name: string): boolean;
  /** Throws what it was aborted with. */
  requireAlive(): void;
  /** Lets go of all. */
  end(): void;
}

interface Holder {
  readonly held: Set<string>;
  /** The one row that it waits for, and how that ends. */
  waiting: { readonly name: string; readonly resolve: () => void; readonly reject: (error: Error) => void } | null;
  failure: AgentcomError | null;
}

export function rowLocks(): RowLocks {
  const holders = new Map<string, Holder>();
  const queues = new Map<string, Holder[]>();
  const running = new Map<object, Holder>();

  const give = (name: string, to: Holder): void => {
    holders.set(name, to);
    to.held.add(name);
  };

  const take = (name: string, by: Holder): boolean => {
    const holder = holders.get(name);
    if (holder === undefined) give(name, by);
    return holder === undefined || holder === by;
  };

  /** To the first that waits for it, or to nobody. */
  const letGo = (name: string): void => {
    holders.delete(name);
    const next = queues.get(name)?.shift();
    if (next === undefined) return void queues.delete(name);
    const { waiting } = next;
    next.waiting = null;
    give(name, next);
    waiting?.resolve();
  };

  const isDeadlock = (name: string, by: Holder): boolean => {
    let other = holders.get(name);
    while (other !== undefined && other !== by) other = other.waiting === null ? undefined : holders.get(other.waiting.name);
    return other === by;
  };

  const waitFor = (name: string, by: Holder): Promise<void> => {
    if (isDeadlock(name, by))
      return Promise.reject(
        new AgentcomError('AC_STORE_RETRY', `Deadlock: the row "${name}" is had by a transaction that waits for this one.`),
      );
    return new Promise((resolve, reject) => {
      by.waiting = { name, resolve, reject };
      queues.set(name, [...(queues.get(name) ?? []), by]);
    });
  };

  const end = (one: Holder): void => {
    const names = [...one.held];
    one.held.clear();
    names.forEach(letGo);
  };

  return {
    begin(owner) {
      const own: Holder = { held: new Set(), waiting: null, failure: null };
      running.set(owner, own);
      const requireAlive = (): void => {
        if (own.failure !== null) throw own.failure;
      };
      return {
        async wait(names) {
          for (const name of names) {
            requireAlive();
            if (!take(name, own)) await waitFor(name, own);
          }
          requireAlive();
        },
        take: (name) => take(name, own),
        requireAlive,
        end() {
          end(own);
          if (running.get(owner) === own) running.delete(owner);
        },
      };
    },

    abort(owner, error) {
      const own = running.get(owner);
      if (own === undefined) return;
      running.delete(owner);
      own.failure = error;
      const { waiting } = own;
      own.waiting = null;
      if (waiting !== null) {
        queues.set(
          waiting.name,
          (queues.get(waiting.name) ?? []).filter((other) => other !== own),
        );
        waiting.reject(error);
      }
      end(own);
    },

    isTaken: (name) => holders.has(name),
  };
}
