/**
 * Locks on rows, by name, as a database with several writers has them: each is had by one transaction until its end, and
 * goes to whoever has waited longest. A transaction may only wait for rows above all that it has, in one order of all rows, so
 * that no two can wait for each other; one that would wait against it fails, whether somebody has that row or not.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** The kinds of rows that are waited for, in their order; rows of one kind are in the order of their names. */
export const LOCK_ORDER = ['hub', 'key', 'agent', 'task', 'new agent', 'stop', 'event numbers'] as const;
export type LockKind = (typeof LOCK_ORDER)[number];

/** What a lock on a row is called. `which` names it within its kind. */
export const lockName = (kind: LockKind, which: string): string => `${kind} ${which}`;

export interface RowLocks {
  /** The locks of a new transaction of `owner`, which has one at a time. */
  begin(owner: object): TransactionLocks;
  /** Ends the owner's transaction, if there is one: whatever it does from now on fails with `error`. */
  abort(owner: object, error: AgentcomError): void;
  /** Whether some transaction has the row. */
  isTaken(name: string): boolean;
}

export interface TransactionLocks {
  /**
   * Takes these rows of one kind in the order of their names, waiting for whoever has one. Fails with `AC_INTERNAL` against the
   * order of locks.
   */
  wait(kind: LockKind, which: Iterable<string>): Promise<void>;
  /** Takes the row unless another transaction has it; answers whether this one has it now. In any order, since it does not wait. */
  take(name: string): boolean;
  /** Throws what it was aborted with. */
  requireAlive(): void;
  /** Lets go of all. */
  end(): void;
}

interface Holder {
  readonly held: Set<string>;
  /** The last of its rows in the order of locks; duties and the like have no place in it. */
  highest: Place | null;
  /** The one row that it waits for, and how that ends. */
  waiting: { readonly name: string; readonly resolve: () => void; readonly reject: (error: Error) => void } | null;
  failure: AgentcomError | null;
}

interface Place {
  readonly level: number;
  readonly name: string;
}

function placeOf(name: string): Place | null {
  const level = LOCK_ORDER.findIndex((kind) => name.startsWith(`${kind} `));
  return level < 0 ? null : { level, name };
}

const isAbove = (one: Place, other: Place | null): boolean =>
  other === null || one.level > other.level || (one.level === other.level && one.name > other.name);

export function rowLocks(): RowLocks {
  const holders = new Map<string, Holder>();
  const queues = new Map<string, Holder[]>();
  const running = new Map<object, Holder>();

  const give = (name: string, to: Holder): void => {
    holders.set(name, to);
    to.held.add(name);
    const place = placeOf(name);
    if (place !== null && isAbove(place, to.highest)) to.highest = place;
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

  const requireInOrder = (name: string, by: Holder): void => {
    const place = placeOf(name);
    if (place === null || isAbove(place, by.highest)) return;
    const message = `Cannot wait for the row "${name}" while having "${by.highest?.name ?? ''}": locks are taken in the order ${LOCK_ORDER.join(', ')}, each kind by name.`;
    throw new AgentcomError('AC_INTERNAL', message);
  };

  const waitFor = (name: string, by: Holder): Promise<void> => {
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
      const own: Holder = { held: new Set(), highest: null, waiting: null, failure: null };
      running.set(owner, own);
      const requireAlive = (): void => {
        if (own.failure !== null) throw own.failure;
      };
      return {
        async wait(kind, which) {
          const names = [...new Set(which)].map((one) => lockName(kind, one)).sort();
          for (const name of names) {
            requireAlive();
            if (own.held.has(name)) continue;
            requireInOrder(name, own);
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
