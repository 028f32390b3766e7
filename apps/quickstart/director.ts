/** Follows the tasks, prints what happens, and acts as the scenario says once a task shows progress. */
import type { HubClient, StreamEvent } from '../client/index.ts';
import { describeEvent, type LiveEvent } from './account.ts';
import { ENDS, TASKS, type End, type ScriptedTask } from './scenario.ts';

export interface Outcome {
  readonly task: ScriptedTask;
  readonly id: string;
  readonly got: string;
  readonly agent: string;
  readonly attempts: number;
}

export interface DirectorDeps {
  readonly hub: HubClient;
  readonly show: (event: LiveEvent) => void;
  readonly killSidecar: (agentId: string, task: string) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Submits the tasks of the scenario and returns their IDs by name. */
export async function submitAll({ hub, show }: DirectorDeps): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for (const task of TASKS) {
    const dependsOn = (task.after ?? []).flatMap((name) => ids.get(name) ?? []);
    const { task_id: id } = await hub.tasks.submit({ ...task.submit, ...(dependsOn.length > 0 ? { depends_on: dependsOn } : {}) });
    ids.set(task.name, id);
    show({
      agent: '-',
      task: task.name,
      what: `submitted as ${id}, priority ${task.submit.priority ?? 'normal'}: ${task.submit.description}`,
    });
  }
  return ids;
}

/** Follows the events until every task has ended, or `signal` is aborted. */
export async function follow(deps: DirectorDeps, ids: ReadonlyMap<string, string>): Promise<void> {
  const names = new Map([...ids].map(([name, id]) => [id, name]));
  const open = new Set(ids.values());
  const done = new Set<ScriptedTask>();
  const acts: Promise<void>[] = [];
  try {
    for await (const event of deps.hub.events({ lastEventId: '0', signal: deps.signal })) {
      const id = String(event.data['task_id']);
      const task = TASKS.find((one) => one.name === names.get(id));
      if (task === undefined) continue;
      printEvent(deps, task, event);
      if (event.event === 'progress' && task.onProgress !== undefined && !done.has(task)) {
        done.add(task);
        acts.push(act(deps, task, id, String(event.data['agent_id'])));
      }
      if (isEnd(event, task)) open.delete(id);
      if (open.size === 0) break;
    }
  } finally {
    // Even if it ends early: a sidecar that is still starting would be left behind.
    await Promise.all(acts);
  }
}

/** The cancelled task has ended only once its agent has stopped. */
const isEnd = ({ event }: StreamEvent, task: ScriptedTask): boolean =>
  event === 'completed' || event === 'dead_lettered' || event === (task.expected === 'cancelled' ? 'stop_confirmed' : 'cancelled');

function printEvent({ show }: DirectorDeps, task: ScriptedTask, event: StreamEvent): void {
  const what = describeEvent(event);
  const agent = event.data['agent_id'];
  if (what !== null) show({ agent: typeof agent === 'string' ? agent : '-', task: task.name, what, event: event.event });
}

async function act({ hub, show, killSidecar }: DirectorDeps, task: ScriptedTask, id: string, agent: string): Promise<void> {
  if (task.onProgress === 'kill sidecar') return killSidecar(agent, task.name);
  show({ agent, task: task.name, what: 'an operator runs: agentcom cancel' });
  await hub.tasks.cancel(id);
}

/** The outcome of each task. */
export async function outcomes(hub: HubClient, ids: ReadonlyMap<string, string>): Promise<readonly Outcome[]> {
  return Promise.all(
    TASKS.map(async (task) => {
      const id = ids.get(task.name) ?? '';
      const detail = await hub.tasks.get(id);
      const ofAgents = detail.history.filter((event) => event.event === 'accepted');
      return { task, id, got: gotOf(detail), agent: ofAgents.at(-1)?.agent_id ?? '-', attempts: ofAgents.length };
    }),
  );
}

/** The final status, or why it is still waiting. */
function gotOf(detail: { readonly status: string; readonly waiting_for?: unknown }): string {
  if (ENDS.includes(detail.status as End)) return detail.status;
  const waiting = detail.waiting_for as { readonly message?: string } | null | undefined;
  return waiting?.message === undefined ? detail.status : `${detail.status}: ${waiting.message}`;
}
