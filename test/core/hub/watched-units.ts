/** Observes every unit of work of a storage. */
import type { Storage } from '../../../core/ports/storage.ts';
import type { StoreUnit, TaskStore } from '../../../core/ports/task-store.ts';

/** From now on each unit has these methods in place of its own; `over` is called once for each transaction. */
export function watchUnits({ tasks }: Pick<Storage, 'tasks'>, over: (unit: StoreUnit) => Partial<StoreUnit>): void {
  const { transact } = tasks;
  const watched: TaskStore['transact'] = (id, work) => transact(id, (unit) => work({ ...unit, ...over(unit) }));
  Object.assign(tasks, { transact: watched });
}

/** What each transaction asks of the store, from now on: names of calls that are made without waiting for each other share a line. */
export function requests(storage: Pick<Storage, 'tasks'>): string[] {
  const asked: string[] = [];
  watchUnits(storage, (unit) => {
    let running = 0;
    const watched =
      (name: string, call: (...parts: unknown[]) => Promise<unknown>) =>
      async (...parts: unknown[]) => {
        if (running === 0) asked.push(name);
        else asked.push(`${asked.pop()} ${name}`);
        running += 1;
        try {
          return await call(...parts);
        } finally {
          running -= 1;
        }
      };
    const calls = Object.entries(unit).filter((entry): entry is [string, () => Promise<unknown>] => typeof entry[1] === 'function');
    return Object.fromEntries(calls.map(([name, call]) => [name, watched(name, call)]));
  });
  return asked;
}
