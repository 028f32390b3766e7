/** A task whose agent runs, to see what a fault does to it. */
import type { World } from '../apps/app-world.ts';

/** Submits a task and waits until its agent is at work; answers its id and the agent's pid. */
export const atWorkIn =
  ({ api, event, ledgerLine }: Pick<World, 'api' | 'event' | 'ledgerLine'>) =>
  async (description: string, metadata: Readonly<Record<string, unknown>> = {}): Promise<{ id: string; pid: number }> => {
    const { task_id: id } = await api.tasks.submit({ description, metadata, needed_capabilities: ['code'] });
    await event(id, ['woken']);
    const { pid } = await ledgerLine(id, 'start');
    return { id, pid };
  };
