/** What one hub does for all of them. */
import type { Duty } from '../../../ports/cluster-unit.ts';
import type { StoreUnit } from '../../../ports/task-store.ts';

/** Whether this hub has the duty in this transaction. One that has its store to itself has every duty. */
export const hasDuty = async ({ cluster }: StoreUnit, duty: Duty): Promise<boolean> =>
  cluster === null || (await cluster.tryTakeDuty(duty));
