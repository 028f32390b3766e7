/** Faults of the store towards a hub: it is slow, busy, fails, is unavailable, or does not say whether it committed. */
import type { OnStep, TransactionStep } from '../../../adapters/storage-memory/memory-task-store.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { ErrorCode } from '../../../core/errors/codes.ts';
import type { Chance } from '../seeded-chance.ts';
import type { Life } from '../runner/world-life.ts';
import type { FaultPlan } from '../plan.ts';

export interface StoreFaultDeps {
  readonly chance: Chance;
  readonly clock: Clock;
  readonly life: Life;
  readonly faults: () => FaultPlan;
  /** Until when, by the monotonic clock, the store is unavailable. */
  readonly awayUntilMs: () => number;
  /** A transaction fails for good: what it carried, including renewals, is lost with it. */
  readonly onFailure: () => void;
  readonly rare: (name: string) => void;
  /** A transaction has reached this step. Returns whether the hub is about to be killed there. */
  readonly at: (step: TransactionStep) => boolean;
  /** A commit has just become visible. */
  readonly onCommit: (batchId: string) => void;
}

/** A kill at a step comes within this time. */
const KILL_WITHIN_MS = 1_000;

const failure = (code: ErrorCode): AgentcomError => new AgentcomError(code, `The simulated store: ${code}.`);

/** Steps of the transactions of one hub. A hub that dies in between leaves what a database would leave. */
export function storeFaults(deps: StoreFaultDeps): OnStep {
  const { chance, clock, life, faults, rare } = deps;

  const throwIfAway = (): void => {
    if (clock.monotonicMs() >= deps.awayUntilMs()) return;
    deps.onFailure();
    throw failure('AC_STORE_UNAVAILABLE');
  };

  return async (step, batchId) => {
    const { busy, unknownCommit, failedCommit, commitMs } = faults();
    if (life.isOver) throw new Error('the hub is gone');
    const isDoomed = deps.at(step);
    if (isDoomed && step !== 'committed') await life.wait(KILL_WITHIN_MS);
    switch (step) {
      case 'begin':
        throwIfAway();
        if (chance.is(busy / 2)) {
          rare('store busy');
          throw failure('AC_STORE_RETRY');
        }
        if (chance.is(0.2)) await life.wait(chance.between(0, commitMs));
        return;
      case 'commit':
        await life.wait(chance.between(0, commitMs));
        throwIfAway();
        if (chance.is(busy / 2)) {
          rare('store busy');
          throw failure('AC_STORE_RETRY');
        }
        if (chance.is(failedCommit)) {
          rare('store failed');
          deps.onFailure();
          throw failure('AC_STORE_UNAVAILABLE');
        }
        if (chance.is(unknownCommit / 2)) {
          rare('commit unknown, not done');
          throw failure('AC_COMMIT_UNKNOWN');
        }
        return;
      case 'committed':
        deps.onCommit(batchId);
        if (isDoomed) await life.wait(KILL_WITHIN_MS);
        if (chance.is(0.2)) await life.wait(chance.between(0, commitMs));
        if (chance.is(unknownCommit / 2)) {
          rare('commit unknown, done');
          throw failure('AC_COMMIT_UNKNOWN');
        }
    }
  };
}

/** A store's reads while it is unavailable. */
export function failingReads<T extends object>(port: T, names: readonly (keyof T & string)[], isAway: () => boolean): T {
  return new Proxy(port, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== 'function' || !(names as readonly unknown[]).includes(name)) return member;
      return (...parts: unknown[]): unknown =>
        isAway() ? Promise.reject(failure('AC_STORE_UNAVAILABLE')) : (Reflect.apply(member, target, parts) as unknown);
    },
  });
}
