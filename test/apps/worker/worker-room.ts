/** A hub in this process, and workers on it that end with the test. */
import type { Test } from 'tap';
import type { HubTiming } from '../../../core/config/times.ts';
import { worker, type RunningWorker, type WorkerEvent, type WorkerOptions } from '../../../apps/worker/index.ts';
import { QUICK_HUB_TIMING } from '../app-world.ts';
import { runningHub, type RunningHub } from '../running-hub.ts';

export interface WorkerRoom {
  readonly hub: RunningHub;
  /** A worker that is connected. */
  worker(options: Partial<WorkerOptions> & Pick<WorkerOptions, 'handle'>): Promise<WorkerOnHub>;
  /** Submits a task, and returns it once it has ended. */
  done(body: SubmitBody): Promise<Task>;
  submit(body: SubmitBody): Promise<string>;
  /** Resolves once the task has had this event. */
  event(taskId: string, name: string): Promise<void>;
}

export interface WorkerOnHub extends RunningWorker {
  /** Resolves with the first event of this type. */
  saw(type: WorkerEvent['type']): Promise<WorkerEvent>;
}

type Task = Awaited<ReturnType<RunningHub['api']['tasks']['get']>>;
type SubmitBody = Parameters<RunningHub['api']['tasks']['submit']>[0];

export async function workerRoom(t: Test, timing: Partial<HubTiming> = {}): Promise<WorkerRoom> {
  const hub = await runningHub({ timing: { ...QUICK_HUB_TIMING, ...timing } });
  const workers: RunningWorker[] = [];
  t.teardown(async () => {
    await Promise.all(workers.map((one) => one.stop()));
    await hub.stop();
  });
  const submit = async (body: SubmitBody): Promise<string> => (await hub.api.tasks.submit(body)).task_id;
  return {
    hub,
    submit,
    async done(body) {
      const id = await submit(body);
      await hub.api.tasks.wait(id);
      return hub.api.tasks.get(id);
    },
    async event(taskId, name) {
      for await (const { event } of hub.api.events({ taskId, lastEventId: '0' })) if (event === name) return;
    },
    async worker(options) {
      const { agentId = 'w1' } = options;
      const seen: WorkerEvent[] = [];
      let look = (): void => undefined;
      const token = options.token ?? (await hub.token('agent', agentId));
      const onEvent = (event: WorkerEvent): void => {
        seen.push(event);
        look();
      };
      const made = worker({ hub: hub.url, token, agentId, log: {}, drainMs: 0, onEvent, ...options });
      workers.push(made);
      await made.ready;
      return {
        ...made,
        async saw(type) {
          for (;;) {
            const found = seen.find((event) => event.type === type);
            if (found !== undefined) return found;
            await new Promise<void>((resolve) => (look = resolve));
          }
        },
      };
    },
  };
}
