/** An agent as the HTTP API shows it. */
import { isBusy, isDraining, pauseOf, presenceOf, type Agent, type AgentChecks } from '../domain/agent/agent.ts';
import { isConflict } from '../domain/agent/session-replacement.ts';
import type { Task } from '../domain/task/task.ts';
import type { AgentWaiting } from '../domain/waiting/agent-waiting.ts';

/** An agent with its assignments, as read from the store. */
export interface AgentParts {
  readonly agent: Agent;
  readonly live: readonly Task[];
  readonly pendingStops: number;
}

export function agentJson({ agent, live, pendingStops }: AgentParts, nowMs: number): Readonly<Record<string, unknown>> {
  const pause = pauseOf(agent, nowMs);
  return {
    agent_id: agent.id,
    name: agent.name,
    status: presenceOf(agent, live.length, nowMs, pendingStops),
    capabilities: agent.capabilities,
    slots: agent.slots,
    connected: agent.connected,
    connected_at: agent.connectedAtMs,
    disconnected_at: agent.disconnectedAtMs,
    last_seen: agent.lastHeardAtMs,
    protocol_version: agent.protocolVersion,
    device_key_bound: (agent.deviceKey ?? null) !== null,
    draining: isDraining(agent),
    draining_reason: agent.ownDrain,
    drain_until: agent.drainUntilMs,
    paused_until: pause?.untilMs ?? null,
    paused_reason: pause?.reason ?? null,
    paused_cause: pause?.cause ?? null,
    checks: agent.checks === null ? null : checksJson(agent.checks),
    busy_until: isBusy(agent, nowMs) ? agent.busyUntilMs : null,
    busy_reason: isBusy(agent, nowMs) ? agent.busyReason : null,
    conflict_until: isConflict(agent, nowMs) ? agent.conflictUntilMs : null,
    reported_status: agent.reportedStatus,
    current_task: live[0]?.id ?? null,
    tasks: live.map((task) => ({
      task_id: task.id,
      generation: task.generation,
      assigned_at: task.assignedAtMs,
      accepted_at: task.acceptedAtMs,
    })),
    pending_stops: pendingStops,
    resources: agent.resources,
  };
}

/** One agent, with why it gets no tasks. */
export const agentDetailJson = (parts: AgentParts, waiting: AgentWaiting, nowMs: number): Readonly<Record<string, unknown>> => ({
  ...agentJson(parts, nowMs),
  waiting_for: agentWaitingJson(waiting),
});

const checksJson = ({ atMs, failed, passed }: AgentChecks): Readonly<Record<string, unknown>> => ({
  ok: failed.length === 0,
  reported_at: atMs,
  failed,
  passed,
});

/** Why an agent gets no tasks. JSON leaves out what is undefined. */
export const agentWaitingJson = ({ kind, message, sinceMs, untilMs, tasks }: AgentWaiting): Readonly<Record<string, unknown>> => ({
  kind,
  message,
  since: sinceMs,
  until: untilMs,
  tasks,
});
