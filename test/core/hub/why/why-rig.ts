/** Asks a whole hub why a task is not running, like the HTTP API. */
import { waiting } from '../../../../adapters/http/endpoints/waiting.ts';
import { hubClock } from '../../../../core/application/hub/upkeep/hub-clock.ts';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';
import type { AgentWaiting } from '../../../../core/domain/waiting/agent-waiting.ts';
import type { WaitingFor } from '../../../../core/domain/waiting/waiting-for.ts';
import type { HubRig } from '../hub-rig.ts';

const whyOf = ({ storage, clock, context }: HubRig) =>
  waiting(
    {
      tasks: storage.tasks,
      agents: storage.agents,
      clock: hubClock(clock, storage.tasks),
      quietUntilMs: () => context.quietPeriod.untilMs,
    },
    () => storage.agents.listAgents({ limit: 500 }),
  );

export async function whyTask(rig: HubRig, id: TaskId): Promise<WaitingFor | null> {
  const { task, events } = await rig.record(id);
  return whyOf(rig).ofTask(task, events, () => true);
}

export async function whyAgent(rig: HubRig, id: string): Promise<AgentWaiting> {
  const row = await rig.storage.agents.getAgent(id as AgentId);
  if (row === undefined) throw new Error(`no agent ${id}`);
  return whyOf(rig).ofAgent(row);
}
