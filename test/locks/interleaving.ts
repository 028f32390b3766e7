/**
 * Transactions of several hubs on one Postgres, interleaved by statement: each statement waits at a gate, and one hub,
 * chosen at random, is let through at a time. A hub whose statement waits for another's lock is left waiting while
 * another one continues. This makes hubs meet in the middle of each other's transactions, which rarely happens
 * otherwise.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Engine, StatementsRun, Transaction } from '../../adapters/storage-knex/engine.ts';
import type { PostgresStatements } from '../../adapters/storage-knex/postgres/statements.ts';

/** Whether the gates are shut, and what passed them. */
export interface Gates {
  /** The engine of one hub, whose statements wait while the gates are shut. */
  gated(engine: Engine): Engine;
  /** Runs `work` of several hubs with shut gates; `random`, below 1, chooses which hub continues. */
  interleaved<T>(work: () => Promise<T>, random: () => number): Promise<T>;
  readonly deadlocks: number;
  /** Statements that waited for a lock of another hub. */
  readonly waits: number;
  /** Waits that violate the lock order, described. */
  readonly againstOrder: readonly string[];
}

export interface GatesDeps {
  /** How many connections of the server are waiting for a lock now. */
  readonly lockWaits: () => Promise<number>;
  /** Statements that may wait for another transaction, in the order in which they must be run. */
  readonly order: readonly (readonly (keyof PostgresStatements)[])[];
}

/** How many turns of the event loop a statement gets to answer before we check whether it waits for a lock. */
const TURNS_BEFORE_ASKING = 3;

interface Waiting {
  readonly hub: Hub;
  readonly pass: () => void;
}

/** One hub: its next statements wait in `queue`, in the order of its calls. */
interface Hub {
  readonly queue: (() => void)[];
  /** Its statements at the server: one or none. */
  running: number;
  /** A statement is at the server, or its transaction begins, continues after an answer, or ends. */
  isBusy: boolean;
  isInTransaction: boolean;
}

export function gatesOver({ lockWaits, order }: GatesDeps): Gates {
  const hubs: Hub[] = [];
  const levels = new Map(order.flatMap((names, level) => names.map((name) => [name, level] as const)));
  const againstOrder: string[] = [];
  let [deadlocks, waits] = [0, 0];
  let isShut = false;
  let changed = (): void => undefined;

  const waiting = (): readonly Waiting[] =>
    hubs.flatMap((hub) => (hub.queue[0] === undefined || hub.isBusy ? [] : [{ hub, pass: hub.queue[0] }]));

  const atGate = async <T>(hub: Hub, statement: () => Promise<T>): Promise<T> => {
    if (isShut) {
      await new Promise<void>((resolve) => {
        hub.queue.push(resolve);
        hub.isBusy = hub.running > 0;
        changed();
      });
    }
    hub.running += 1;
    try {
      return await statement();
    } catch (thrown) {
      if (AgentcomError.is(thrown) && thrown.details?.['sqlState'] === '40P01') deadlocks += 1;
      throw thrown;
    } finally {
      // Statements issued together are at the gate already; those that follow from the answer arrive in a moment.
      hub.running -= 1;
      hub.isBusy = hub.queue.length === 0 && hub.isInTransaction;
      changed();
    }
  };

  const gatedTransaction = (hub: Hub, transaction: Transaction): Transaction => {
    let highest = { level: -1, name: '' };
    const noteOrder = (name: keyof PostgresStatements): void => {
      const level = levels.get(name);
      if (level === undefined) return;
      // A renewal is one step in two statements.
      const isAgain = name === 'insertLease' && highest.name === 'renewLease';
      if (level <= highest.level && !isAgain && name !== 'insertEvents') againstOrder.push(`${name} after ${highest.name}`);
      highest = { level, name };
    };
    const gatedRun = <Name extends keyof PostgresStatements>(run: StatementsRun<Name>): StatementsRun<Name> => ({
      rows: (statement, parameter) => {
        noteOrder(statement);
        return atGate(hub, () => run.rows(statement, parameter));
      },
      change: (statement, parameter) => {
        noteOrder(statement);
        return atGate(hub, () => run.change(statement, parameter));
      },
    });
    return {
      ...gatedRun(transaction),
      nowMs: transaction.nowMs,
      removableMs: transaction.removableMs,
      exclusive: transaction.exclusive,
      readAhead: transaction.readAhead,
      cluster: transaction.cluster === null ? null : gatedRun(transaction.cluster),
      counting: transaction.counting,
      ...(transaction.record === undefined ? {} : { record: transaction.record }),
    };
  };

  /** Until each hub waits at a gate, is done, or waits for a lock. */
  const untilStill = async (): Promise<void> => {
    for (let turn = 0; ; turn += 1) {
      const busy = hubs.filter((hub) => hub.isBusy).length;
      if (busy === 0) return;
      await new Promise<void>((resolve) => {
        changed = resolve;
        setImmediate(resolve);
      });
      if (turn < TURNS_BEFORE_ASKING || !hubs.some((hub) => hub.isBusy)) continue;
      if ((await lockWaits()) >= hubs.filter((hub) => hub.isBusy).length && waiting().length > 0) {
        waits += 1;
        return;
      }
    }
  };

  return {
    gated(engine) {
      const hub: Hub = { queue: [], running: 0, isBusy: false, isInTransaction: false };
      hubs.push(hub);
      return {
        ...engine,
        async open() {
          const opened = await engine.open();
          return {
            ...opened,
            async write(batchId, work) {
              hub.isInTransaction = hub.isBusy = isShut;
              try {
                return await opened.write(batchId, (transaction) => work(gatedTransaction(hub, transaction)));
              } finally {
                hub.isInTransaction = hub.isBusy = false;
                changed();
              }
            },
          };
        },
      };
    },
    async interleaved(work, random) {
      isShut = true;
      let isOver = false;
      const done = work().finally(() => {
        isOver = true;
        changed();
      });
      void Promise.allSettled([done]);
      while (!isOver) {
        await untilStill();
        const ready = waiting();
        const next = ready[Math.floor(random() * ready.length)];
        if (next === undefined) {
          await new Promise<void>((resolve) => setImmediate(resolve));
          continue;
        }
        next.hub.isBusy = true;
        next.hub.queue.shift();
        next.pass();
      }
      isShut = false;
      return done;
    },
    get deadlocks() {
      return deadlocks;
    },
    get waits() {
      return waits;
    },
    againstOrder,
  };
}
