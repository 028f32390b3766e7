/** What must have ended some time after the last fault, and by when. */
import type { Task } from '../../../core/domain/task/task.ts';
import { canRun } from '../../../core/domain/task/scheduling.ts';
import type { Clients } from '../machines/clients.ts';
import type { World } from '../sim-world.ts';

/** The most that one good run takes, with its wake. */
const GOOD_RUN_MS = 40_000;

/**
 * R16's bound for the whole world: what is stuck ends at its limits, a broken machine's pause ends, and then everything
 * that waits is run, one after the other in the worst case.
 */
export function endReport(world: World): { readonly boundMs: number } {
  const { timing, sidecarTiming } = world.plan;
  const { silenceMs, idleMs } = sidecarTiming;
  const waiting = [...world.database.tasks.values()].filter(({ task }) => !isOver(task)).length;
  const hasTwins = new Set(world.machines.map((machine) => machine.agentId)).size < world.machines.length;
  const stuckMs = Math.max(timing.runMaxMs, timing.v1RunMaxMs, silenceMs, idleMs) + timing.quietAfterStartMs + timing.reconnectGraceMs;
  return {
    boundMs: 2 * stuckMs + 4 * timing.breaker.maxMs + 20 * timing.backoff.maxMs + waiting * GOOD_RUN_MS + 1_800_000 * (hasTwins ? 4 : 1),
  };
}

const isOver = (task: Task): boolean => task.status === 'completed' || task.status === 'cancelled' || task.status === 'dead_letter';

/** The first thing that is still pending, described; null when everything has ended. */
export function unfinished(world: World, clients: Clients): string | null {
  if (clients.waiting > 0) return `${clients.waiting} submits are unanswered`;
  const machine = world.machines.find((each) => each.busyWith !== null);
  if (machine !== undefined) return `${machine.name}: ${machine.busyWith}`;
  const { tasks, agents, stops } = world.database;
  const [stop] = stops.values();
  if (stop !== undefined) return `the stop of ${stop.taskId}.g${stop.generation} on ${stop.agentId} is unconfirmed`;
  for (const { task } of world.database.current.values()) {
    if (isOver(task)) continue;
    if (task.status === 'blocked' && task.dependsOn.some((id) => tasks.get(id)?.task.status !== 'completed')) {
      // It depends on one that ended badly, or on one that is checked by itself.
      continue;
    }
    if (task.status === 'queued' && task.parked) continue;
    if (task.status === 'queued' && ![...agents.values()].some((agent) => agent.connected && canRun(task.requirement, agent))) continue;
    return `${task.id} is ${task.status}, g${task.generation}, ${task.retryCount} retries, ${task.handBacks} hand-backs, on ${task.assignedTo}`;
  }
  return null;
}
