/** A task with a running agent, used to observe the effect of a fault. */
import type { World } from '../apps/app-world.ts';

/** Submits a task and waits until its agent runs; returns the task's id and the agent's pid. */
export const atWorkIn =
  ({ api, event, ledgerLine }: Pick<World, 'api' | 'event' | 'ledgerLine'>) =>
  async (description: string, metadata: Readonly<Record<string, unknown>> = {}): Promise<{ id: string; pid: number }> => {
    const { task_id: id } = await api.tasks.submit({ description, metadata, needed_capabilities: ['code'] });
    await event(id, ['woken']);
    const { pid } = await ledgerLine(id, 'start');
    return { id, pid };
  };
