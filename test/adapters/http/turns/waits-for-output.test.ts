/** Waits for the output of a task: what ends them. */
import t from 'tap';
import type { TaskStore } from '../../../../core/ports/task-store.ts';
import { aTask, inserting } from '../../../product/contracts/fixtures.ts';
import { turn } from '../event-listener.ts';
import { hubBench } from '../hub-bench.ts';

const TASK = aTask();
const WAIT = `/api/tasks/${TASK.id}/output/wait`;
/** Enough turns of the event loop for what does not wait for the clock. */
const settled = async (): Promise<void> => {
  for (let n = 0; n < 50; n += 1) await turn();
};

t.test('a wait ends with the task, even with one that ends while its state is read', async (t) => {
  // The wait reads it twice: first for the check that the token may see it.
  for (const endsDuring of [1, 2]) {
    const tasks = {} as TaskStore;
    const bench = await hubBench({ deps: { tasks } });
    const { peek } = bench.storage.tasks;
    let reads = 0;
    Object.assign(tasks, bench.storage.tasks, {
      peek: async (...[ids]: Parameters<typeof peek>) => {
        const before = await peek(ids);
        reads += 1;
        if (reads === endsDuring) t.equal((await bench.send(`/api/tasks/${TASK.id}/cancel`, { json: {} })).status, 200);
        return before;
      },
    });
    await bench.commit(inserting(TASK));
    let answer: unknown = null;
    void bench.send(WAIT).then(({ json }) => (answer = json));
    await settled();
    t.equal(answer, null, 'the last output may follow for a second');
    bench.clock.advance(1_000);
    await settled();
    t.strictSame(answer, { more: false, ended: true }, `ended during read ${endsDuring}`);
    bench.clock.advance(25_000);
    await settled();
    await bench.close();
  }
});
