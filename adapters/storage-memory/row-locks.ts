/**
 * Exclusive row locks, so that the memory store behaves like Postgres when several hubs share it. A transaction holds its locks until
 * it ends; each is then granted to the transaction that has waited longest.
 *
 * A transaction that waits must acquire its locks in one global order, which rules out deadlocks. A violation fails at once, even if
 * the row is free, so that a test finds it without having to hit the deadlock.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** The global lock order: by kind, then by id. */
export const LOCK_ORDER = ['hub', 'key', 'agent', 'task', 'new agent', 'stop', 'event numbers', 'audit log'] as const;
export type OrderedKind = (typeof LOCK_ORDER)[number];
/** Duties are outside the order, because no transaction waits for one. */
export type LockKind = OrderedKind | 'duty';

export interface RowLocks {
  /** Begins a transaction. Throws `AC_INTERNAL` if the owner has one already. */
  begin(owner: object): TransactionLocks;
  /** Aborts the owner's transaction, if there is one: releases its locks, and everything it does from now on fails with `error`. */
  abort(owner: object, error: AgentcomError): void;
  /** Whether a transaction holds the lock. For tests and the simulation. */
  isHeld(kind: LockKind, id: string): boolean;
}

/** After `release` or an abort every call but `release` fails. */
export interface TransactionLocks {
  /**
   * Acquires these locks in the order of their ids, and waits for those that are held. Rejects with `AC_INTERNAL` if that violates the lock
   * order.
   */
  acquire(kind: OrderedKind, ids: Iterable<string>): Promise<void>;
  /** Acquires the lock if it is free; returns whether this transaction holds it. Allowed in any order, since it never waits. */
  tryAcquire(kind: LockKind, id: string): boolean;
  /** Throws the abort error if the transaction was aborted, `AC_INTERNAL` if it has ended. */
  throwIfEnded(): void;
  /** Ends the transaction and releases all its locks. Idempotent. */
  release(): void;
}

interface Lock {
  readonly key: string;
  readonly id: string;
  /** The place of its kind in `LOCK_ORDER`; -1 outside the order. */
  readonly level: number;
}

interface Transaction {
  readonly held: Map<string, Lock>;
  /** The last of its locks in the lock order. */
  last: Lock | null;
  /** It runs one statement at a time, so it waits for one lock at most. */
  waiting: Waiter | null;
  /** Why it can no longer acquire locks; null while it runs. */
  ended: AgentcomError | null;
}

interface Waiter {
  readonly transaction: Transaction;
  readonly lock: Lock;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const keyOf = (kind: LockKind, id: string): string => `${kind} ${id}`;

const lockOf = (kind: LockKind, id: string): Lock => ({
  key: keyOf(kind, id),
  id,
  level: LOCK_ORDER.findIndex((ordered) => ordered === kind),
});

const comesAfter = (a: Lock, b: Lock | null): boolean => b === null || a.level > b.level || (a.level === b.level && a.id > b.id);

function requireInOrder(lock: Lock, { last }: Transaction): void {
  if (comesAfter(lock, last)) return;
  throw new AgentcomError(
    'AC_INTERNAL',
    `Cannot wait for lock "${lock.key}" while holding "${last?.key ?? ''}": locks must be acquired in the order ${LOCK_ORDER.join(', ')}, and by id within a kind.`,
    { details: { lockOrder: LOCK_ORDER } },
  );
}

function throwIfEnded({ ended }: Transaction): void {
  if (ended !== null) throw ended;
}

export function rowLocks(): RowLocks {
  const holders = new Map<string, Transaction>();
  const waiters = new Map<string, readonly Waiter[]>();
  const transactions = new Map<object, Transaction>();

  const grant = (lock: Lock, transaction: Transaction): void => {
    holders.set(lock.key, transaction);
    transaction.held.set(lock.key, lock);
    if (lock.level >= 0 && comesAfter(lock, transaction.last)) transaction.last = lock;
  };

  const tryAcquire = (lock: Lock, transaction: Transaction): boolean => {
    const holder = holders.get(lock.key);
    if (holder === undefined) grant(lock, transaction);
    return holder === undefined || holder === transaction;
  };

  const waitFor = (lock: Lock, transaction: Transaction): Promise<void> =>
    new Promise((resolve, reject) => {
      const waiter = { transaction, lock, resolve, reject };
      transaction.waiting = waiter;
      waiters.set(lock.key, [...(waiters.get(lock.key) ?? []), waiter]);
    });

  const stopWaiting = (waiter: Waiter): void => {
    const { transaction, lock } = waiter;
    transaction.waiting = null;
    const others = (waiters.get(lock.key) ?? []).filter((other) => other !== waiter);
    if (others.length > 0) waiters.set(lock.key, others);
    else waiters.delete(lock.key);
  };

  const release = ({ key }: Lock): void => {
    holders.delete(key);
    const [next] = waiters.get(key) ?? [];
    if (next === undefined) return;
    stopWaiting(next);
    grant(next.lock, next.transaction);
    next.resolve();
  };

  const end = (transaction: Transaction, error: AgentcomError): void => {
    transaction.ended ??= error;
    const { waiting } = transaction;
    if (waiting !== null) {
      stopWaiting(waiting);
      waiting.reject(error);
    }
    const locks = [...transaction.held.values()];
    transaction.held.clear();
    locks.forEach(release);
  };

  return {
    begin(owner) {
      if (transactions.has(owner)) throw new AgentcomError('AC_INTERNAL', 'Cannot begin a transaction: its owner has one already.');
      const transaction: Transaction = { held: new Map(), last: null, waiting: null, ended: null };
      transactions.set(owner, transaction);
      return {
        async acquire(kind, ids) {
          for (const id of [...new Set(ids)].sort()) {
            throwIfEnded(transaction);
            const lock = lockOf(kind, id);
            if (transaction.held.has(lock.key)) continue;
            requireInOrder(lock, transaction);
            if (!tryAcquire(lock, transaction)) await waitFor(lock, transaction);
          }
          throwIfEnded(transaction);
        },
        tryAcquire(kind, id) {
          throwIfEnded(transaction);
          return tryAcquire(lockOf(kind, id), transaction);
        },
        throwIfEnded: () => throwIfEnded(transaction),
        release() {
          end(transaction, new AgentcomError('AC_INTERNAL', 'A unit of work was used after its transaction ended.'));
          if (transactions.get(owner) === transaction) transactions.delete(owner);
        },
      };
    },

    abort(owner, error) {
      const transaction = transactions.get(owner);
      if (transaction === undefined) return;
      transactions.delete(owner);
      end(transaction, error);
    },

    isHeld: (kind, id) => holders.has(keyOf(kind, id)),
  };
}
