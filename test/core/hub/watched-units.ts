/** Observes every unit of work of a storage. */
import type { Storage } from '../../../core/ports/storage.ts';
import type { StoreUnit, TaskStore } from '../../../core/ports/task-store.ts';

/** From now on each unit has these methods in place of its own; `over` is called once for each transaction. */
export function watchUnits({ tasks }: Pick<Storage, 'tasks'>, over: (unit: StoreUnit) => Partial<StoreUnit>): void {
  const { transact } = tasks;
  const watched: TaskStore['transact'] = (id, work) => transact(id, (unit) => work({ ...unit, ...over(unit) }));
  Object.assign(tasks, { transact: watched });
}
