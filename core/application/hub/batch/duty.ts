/** Duties, each done by one hub at a time for all hubs. */
import type { Duty } from '../../../ports/cluster-unit.ts';
import type { StoreUnit } from '../../../ports/task-store.ts';

/** Whether this hub has the duty in this transaction. The hub of a store that is not shared always has it. */
export const hasDuty = async ({ cluster }: StoreUnit, duty: Duty): Promise<boolean> =>
  cluster === null || (await cluster.tryTakeDuty(duty));
