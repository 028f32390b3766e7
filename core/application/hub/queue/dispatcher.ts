/** Matches ready tasks to free slots inside a batch's transaction: the rows read there decide, not what the hub remembers. */
import { mayWork, roomOf } from '../../../domain/agent/breaker.ts';
import { isOver } from '../../../domain/transitions/due.ts';
import { canRun, decidePairs, Requirements, type FreeAgent, type Pair } from '../../../domain/task/scheduling.ts';
import type { Agent } from '../../../domain/agent/agent.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { Rules } from '../../../domain/task/rules.ts';
import { PRIORITIES, requirementKey, waitingRequirement, type Requirement, type Task } from '../../../domain/task/task.ts';
import { decideAssign } from '../../../domain/transitions/assigning.ts';
import type { Batch } from '../batch/batch.ts';
import { REQUIREMENTS_PER_BATCH } from '../batch/read-ahead.ts';
import { BatchWindows, countedBodyBytes } from '../batch/send-window.ts';
import type { HubContext } from '../batch/hub-context.ts';
import type { Roster } from '../batch/roster.ts';

/** Agents that one batch assigns tasks to; the next batch follows at once if there are more. */
const AGENTS_PER_BATCH = 256;
/** Assignments in one batch. */
const ASSIGNMENTS_PER_BATCH = 1_024;
/** Tasks that one batch reads to choose from, unless there are more requirements and priorities than that. */
const CHOICE_PER_BATCH = 8_192;

/** Bodies of tasks that are loaded first if one of their agents has unanswered bytes, and may have little room; then as many again each time. */
const BODIES_AT_FIRST = 16;

/** Tasks skipped per requirement and priority: those that avoid an agent with room, and those that have expired. */
const SKIPPED_MAX = 256;

/** Groups of requirements that one batch asks for when there are more requirements than that, for agents that changed and for others. */
const GROUPS_PER_BATCH = 256;

/**
 * The requirements of waiting tasks; when there are more than a batch considers, only those that free agents may run.
 * So thousands of tasks that no agent can run, each with its own capability, do not slow down the others.
 */
async function waitingRequirements(batch: Batch, roster: Roster, unsettled: readonly AgentId[]): Promise<readonly Requirement[]> {
  const { unit, nowMs } = batch;
  const limit = REQUIREMENTS_PER_BATCH;
  if (!roster.hasManyRequirements(nowMs)) {
    const { requirements, isAll } = batch.ahead.waiting ?? (await unit.waitingRequirements({ nowMs, limit }));
    if (isAll) return requirements;
    roster.foundManyRequirements(nowMs);
  }
  const changed = unsettled.flatMap((id) => batch.agent(id) ?? []);
  const groups = roster.groups(changed, nowMs, GROUPS_PER_BATCH);
  if (groups.named.length === 0) return [];
  const found = await unit.waitingRequirements({ nowMs, limit, groups: groups.named.map(({ group }) => group) });
  if (roster.readGroups(groups, found)) batch.hasMoreLater = true;
  return found.requirements;
}

/** `besides`: agents that may have room that the roster does not know about yet. */
export async function dispatch(batch: Batch, roster: Roster, context: HubContext, besides: readonly AgentId[]): Promise<void> {
  // Their room may differ from what the roster knows.
  const unsettled = [...besides, ...batch.changedAgents()];
  batch.hasMoreLater = false;
  if (unsettled.length === 0 && !roster.hasFree(batch.nowMs)) return;
  const waiting = await waitingRequirements(batch, roster, unsettled);
  if (waiting.length === 0 && !batch.hasReadyTasks) return;
  const requirements = new Requirements(batch.withOwnRequirements(waiting));
  // Its disconnect is not stored yet. What it was sent last would count no more, and all of it would be resent at once.
  const isGone = ({ id, sessionNumber }: Agent): boolean =>
    roster.get(id)?.sessionNumber === sessionNumber && !context.isHere(id, sessionNumber);
  // What is resent counts too.
  await batch.loadBodies(batch.assignments.map(({ task }) => task.id));
  const windows = new BatchWindows(batch, context);
  const known = roster.free(requirements, batch.nowMs, AGENTS_PER_BATCH, (agent) => !isGone(agent) && !windows.isFull(agent));
  const ids = [...new Set([...known, ...unsettled])];
  if (ids.length === 0) return;
  const unknown = ids.filter((id) => batch.agent(id) === undefined);
  const uncounted = ids.filter((id) => batch.slotsTaken(id) === undefined);
  const [agents, counts] = await Promise.all([
    unknown.length > 0 ? batch.unit.takeAgents(unknown) : [],
    uncounted.length > 0 ? batch.unit.heldCounts(uncounted) : [],
  ]);
  batch.add({ agents });
  batch.hasMoreLater ||= agents.length < unknown.length;
  batch.addCounts(counts);
  const free = ids.flatMap((id): FreeAgent[] => {
    const agent = batch.agent(id);
    if (agent === undefined || !mayWork(agent, batch.nowMs) || agent.hubId !== context.hubId || isGone(agent)) return [];
    const room = roomOf(agent) - (batch.slotsTaken(id) ?? agent.slots);
    if (room <= 0) return [];
    if (windows.isFull(agent)) {
      // What is resent to it may not fill its window after all.
      batch.hasMore ||= windows.isEstimate(agent);
      return [];
    }
    return [{ id, capabilities: agent.capabilities, free: room, assignedCount: agent.assignedCount }];
  });
  const slots = free.reduce((sum, agent) => sum + agent.free, 0);
  if (slots === 0) return;
  const keys = [...requirements.ofAny(free)].map(requirementKey);
  const most = Math.max(1, Math.floor(CHOICE_PER_BATCH / (PRIORITIES.length * Math.max(1, keys.length))));
  const limitPerPriority = Math.min(slots, ASSIGNMENTS_PER_BATCH, most);
  // The store does not have the batch's own changes yet: its rows are read first, and the batch's rows override them.
  let found = 0;
  if (waiting.length > 0) {
    const tasks = await firstReady(batch, free, { keys, limitPerPriority: limitPerPriority + batch.changedQueuedCount });
    batch.hasMoreLater ||= !batch.unit.isExclusive && areAllLocked(keys, waiting, tasks);
    batch.add({ tasks });
    found = tasks.length;
  }
  const before = batch.assignments.length;
  // The first that many are certain: of each requirement and priority at least as many tasks are known.
  const pairs = decidePairs(batch.readyTasks(new Set(keys)), free).slice(0, limitPerPriority);
  await assign(batch, pairs, { windows, early: besides, rules: context.rules });
  const assigned = batch.assignments.length - before;
  // Others may have been locked.
  batch.hasMoreLater ||= !batch.unit.isExclusive && found > 0 && assigned >= found && found < limitPerPriority;
  if (slots <= limitPerPriority && known.length < AGENTS_PER_BATCH) return;
  if (assigned > 0) batch.hasMore = true;
  else batch.hasMoreLater = true;
}

/**
 * The first ready tasks of each requirement and priority. A task that avoids an agent with room, or that has expired and waits for
 * a sweep, does not count towards the limit: otherwise a task of a lower priority would go before the next one of the same priority.
 */
async function firstReady(
  batch: Batch,
  free: readonly FreeAgent[],
  { keys, limitPerPriority }: { readonly keys: readonly string[]; readonly limitPerPriority: number },
): Promise<readonly Task[]> {
  const { unit, nowMs } = batch;
  const withRoom = new Set(free.map(({ id }) => id));
  for (let skipped = 0; ;) {
    const limit = limitPerPriority + skipped;
    const tasks = await unit.claimable({ requirementKeys: keys, nowMs, limitPerLane: limit });
    const isSkipped = (task: Task): boolean => (task.avoid !== null && withRoom.has(task.avoid)) || isOver(task, nowMs);
    if (!tasks.some(isSkipped)) return tasks;
    const counts = new Map<string, { ready: number; skipped: number }>();
    for (const task of tasks) {
      const key = `${task.priority} ${requirementKey(waitingRequirement(task))}`;
      const count = counts.get(key) ?? { ready: 0, skipped: 0 };
      counts.set(key, count);
      count.ready += 1;
      if (isSkipped(task)) count.skipped += 1;
    }
    const most = [...counts.values()].reduce((largest, count) => (count.ready < limit ? largest : Math.max(largest, count.skipped)), 0);
    const more = Math.min(most, SKIPPED_MAX);
    if (more <= skipped) return tasks;
    skipped = more;
  }
}

/** Whether none of the waiting tasks with one of these keys could be claimed: other hubs have locked them, and may assign none. */
function areAllLocked(keys: readonly string[], waiting: readonly Requirement[], claimed: readonly Task[]): boolean {
  const found = new Set(claimed.map((task) => requirementKey(waitingRequirement(task))));
  const missing = keys.filter((key) => !found.has(key));
  if (missing.length === 0) return false;
  const stored = new Set(waiting.map(requirementKey));
  return missing.some((key) => stored.has(key));
}

/**
 * Assigns each task to its agent, until that agent's window is full: its other tasks wait, and so do the next tasks of each agent that could
 * take one of these, so that all stay in order. `early`: agents that a batch which is still being saved changes. What it sends them does not
 * count yet, so that they get no task that counts.
 */
async function assign(
  batch: Batch,
  pairs: readonly Pair[],
  { windows, early, rules }: { readonly windows: BatchWindows; readonly early: readonly AgentId[]; readonly rules: Rules },
): Promise<void> {
  const assigned = new Map<AgentId, number>();
  /** Agents that get no more in this batch, and what the tasks require that wait for that reason. */
  const done = new Set<AgentId>();
  const waiting = new Map<string, Requirement>();
  const leave = (task: Task, agentId: AgentId): void => {
    const requirement = waitingRequirement(task);
    waiting.set(requirementKey(requirement), requirement);
    done.add(agentId);
  };
  const couldTakeWaiting = (agent: Agent): boolean =>
    waiting.size > 0 && [...waiting.values()].some((requirement) => canRun(requirement, agent));
  const atFirst = pairs.some(({ agentId }) => windows.hasUnanswered(batch.agent(agentId))) ? BODIES_AT_FIRST : pairs.length;
  let loaded = 0;
  for (const [at, { task, agentId }] of pairs.entries()) {
    const agent = batch.agent(agentId);
    if (agent === undefined) continue;
    if (done.has(agentId) || windows.isFull(agent) || couldTakeWaiting(agent)) {
      leave(task, agentId);
      continue;
    }
    if (at >= loaded) {
      const next = pairs.slice(at, at + Math.max(atFirst, loaded));
      await batch.loadBodies(next.flatMap((pair) => (done.has(pair.agentId) ? [] : pair.task.id)));
      loaded = at + next.length;
    }
    const bytes = countedBodyBytes(batch.body(task.id));
    if (bytes > 0 && early.includes(agentId)) {
      leave(task, agentId);
      continue;
    }
    const decided = decideAssign(task, { agentId, session: agent.sessionNumber, instanceId: agent.instanceId }, batch.nowMs, rules);
    if (decided.kind === 'refused') continue;
    batch.put(decided);
    windows.add(agent, bytes);
    assigned.set(agentId, (assigned.get(agentId) ?? 0) + 1);
    batch.push(agentId, agent.sessionNumber, decided.task);
  }
  // Once this batch is sent, it is known whether they may get more.
  batch.hasMore ||= done.size > 0;
  for (const [agentId, count] of assigned) {
    const agent = batch.agent(agentId);
    if (agent !== undefined) batch.putAgent({ ...agent, assignedCount: agent.assignedCount + count });
  }
}
