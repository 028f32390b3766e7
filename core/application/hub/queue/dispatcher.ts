/** Matches waiting tasks to free slots inside a batch's transaction: what is read there decides, not what is remembered. */
import { mayWork, roomOf } from '../../../domain/agent/breaker.ts';
import { isOver } from '../../../domain/transitions/due.ts';
import { decidePairs, Requirements, type FreeAgent } from '../../../domain/task/scheduling.ts';
import { requirementKey, type Requirement, type Task } from '../../../domain/task/task.ts';
import { decideAssign } from '../../../domain/transitions/assigning.ts';
import type { Batch } from '../batch/batch.ts';
import type { HubContext } from '../batch/hub-context.ts';
import type { Roster } from '../batch/roster.ts';

/** Agents that one batch gives work to; the next batch follows at once if there are more. */
const AGENTS_PER_BATCH = 256;
/** Assignments in one batch. */
const ASSIGNMENTS_PER_BATCH = 1_024;

/** Tasks that are looked past, of each requirement and lane: those that avoid an agent with room, and those whose time is over. */
const PASSED_OVER_MAX = 256;

/** Different requirements that one batch takes in. */
const REQUIREMENTS_PER_BATCH = 1_024;
/** Groups of requirements that one batch asks for, where more wait than that. */
const GROUPS_PER_BATCH = 256;
/** How long more are then taken to wait without a look. Milliseconds. */
const MANY_FOR_MS = 10_000;

/**
 * The requirements that wait; where there are more than a batch takes in, those that agents with room may run. So thousands of
 * tasks that nobody can run, each with a capability of its own, cost the others nothing that grows with them.
 */
async function waitingFor(batch: Batch, roster: Roster): Promise<readonly Requirement[]> {
  const { unit, nowMs } = batch;
  const limit = REQUIREMENTS_PER_BATCH;
  if (nowMs >= roster.manyRequirementsUntilMs || nowMs + MANY_FOR_MS < roster.manyRequirementsUntilMs) {
    const { requirements, isAll } = await unit.waitingRequirements({ nowMs, limit });
    if (isAll) return requirements;
    roster.manyRequirementsUntilMs = nowMs + MANY_FOR_MS;
  }
  const changed = batch.changedAgents().flatMap((id) => batch.agent(id) ?? []);
  const groups = roster.groups(changed, nowMs, GROUPS_PER_BATCH);
  return groups.length === 0 ? [] : (await unit.waitingRequirements({ nowMs, limit, groups })).requirements;
}

export async function dispatch(batch: Batch, roster: Roster, context: HubContext): Promise<void> {
  const waiting = await waitingFor(batch, roster);
  if (waiting.length === 0 && !batch.leavesWork) return;
  const requirements = new Requirements(batch.withOwnRequirements(waiting));
  const known = roster.free(requirements, batch.nowMs, AGENTS_PER_BATCH);
  const ids = [...new Set([...known, ...batch.changedAgents()])];
  if (ids.length === 0) return;
  const unknown = ids.filter((id) => batch.agent(id) === undefined);
  if (unknown.length > 0) {
    const agents = await batch.unit.takeAgents(unknown);
    batch.take({ agents });
    batch.agentsTaken ||= agents.length < unknown.length;
  }
  const uncounted = ids.filter((id) => batch.takenBy(id) === undefined);
  if (uncounted.length > 0) batch.takeCounts(await batch.unit.heldCounts(uncounted));
  const free = ids.flatMap((id): FreeAgent[] => {
    const agent = batch.agent(id);
    if (agent === undefined || !mayWork(agent, batch.nowMs) || agent.hubId !== context.hubId) return [];
    const room = roomOf(agent) - (batch.takenBy(id) ?? agent.slots);
    return room > 0 ? [{ id, capabilities: agent.capabilities, free: room, assignedCount: agent.assignedCount }] : [];
  });
  const slots = free.reduce((sum, agent) => sum + agent.free, 0);
  if (slots === 0) return;
  const keys = [...requirements.ofAny(free)].map(requirementKey);
  const limitPerLane = Math.min(slots, ASSIGNMENTS_PER_BATCH);
  // What the batch itself changed is not in the store yet: the store's rows are looked up first, the batch's go over them.
  if (waiting.length > 0) {
    batch.take({ tasks: await firstWaiting(batch, free, { keys, limitPerLane: limitPerLane + batch.changedWaiting }) });
  }
  assign(batch, free, keys, context);
  batch.moreWaits ||= slots > ASSIGNMENTS_PER_BATCH || known.length === AGENTS_PER_BATCH;
}

/**
 * The first of each requirement and lane. One that would avoid an agent with room, or that is over and waits for a sweep, takes nobody's
 * place: behind it there is one more, or a task of a lower lane would go before that.
 */
async function firstWaiting(
  batch: Batch,
  free: readonly FreeAgent[],
  { keys, limitPerLane }: { readonly keys: readonly string[]; readonly limitPerLane: number },
): Promise<readonly Task[]> {
  const { unit, nowMs } = batch;
  const withRoom = new Set(free.map(({ id }) => id));
  for (let passedOver = 0; ;) {
    const limit = limitPerLane + passedOver;
    const tasks = await unit.claimable({ requirementKeys: keys, nowMs, limitPerLane: limit });
    const isPassedOver = (task: Task): boolean => (task.avoid !== null && withRoom.has(task.avoid)) || isOver(task, nowMs);
    if (!tasks.some(isPassedOver)) return tasks;
    const lanes = new Map<string, { waiting: number; passedOver: number }>();
    for (const task of tasks) {
      const { requirement, priority } = task;
      const key = `${priority} ${requirementKey(requirement)}`;
      const lane = lanes.get(key) ?? { waiting: 0, passedOver: 0 };
      lanes.set(key, lane);
      lane.waiting += 1;
      if (isPassedOver(task)) lane.passedOver += 1;
    }
    const most = [...lanes.values()].reduce((largest, lane) => (lane.waiting < limit ? largest : Math.max(largest, lane.passedOver)), 0);
    const more = Math.min(most, PASSED_OVER_MAX);
    if (more <= passedOver) return tasks;
    passedOver = more;
  }
}

function assign(batch: Batch, free: readonly FreeAgent[], keys: readonly string[], { rules }: HubContext): void {
  const candidates = batch.claimable(new Set(keys));
  for (const { task, agentId } of decidePairs(candidates, free)) {
    const agent = batch.agent(agentId);
    if (agent === undefined) continue;
    const decided = decideAssign(task, { agentId, session: agent.sessionNumber, instanceId: agent.instanceId }, batch.nowMs, rules);
    if (decided.kind === 'refused') continue;
    batch.put(decided);
    batch.putAgent({ ...agent, assignedCount: agent.assignedCount + 1 });
    batch.push(agentId, agent.sessionNumber, decided.task);
  }
}
