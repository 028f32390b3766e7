/** A small store in which every command of one hub touches rows of the other's, and the commands for it. */
import type { Command } from '../../core/application/hub/batch/commands.ts';
import type { AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { Changes } from '../../core/ports/task-store.ts';
import { aDraft } from '../core/hub/hub-rig.ts';
import { aGeneration, anAgent, anAgentId, anAssignedTask, anEvent, aRequirement, aStop, aTask, aTaskId, changes } from '../product/contracts/fixtures.ts'; // prettier-ignore

export const HUBS = ['hub-1', 'hub-2'] as const;
const [A, B, V, GONE] = ['a', 'b', 'v', 'gone'].map(anAgentId) as [AgentId, AgentId, AgentId, AgentId];

/** Dependents have ids below and above those of their dependencies, and agents hold tasks against the order of their names. */
const TASK = {
  waitsLow: aTaskId(1),
  ofB: aTaskId(2),
  ofGone: aTaskId(3),
  dead: aTaskId(4),
  stoppedOfA: aTaskId(5),
  ofA: aTaskId(6),
  ofV: aTaskId(7),
  stoppedOfV: aTaskId(8),
  late: aTaskId(9),
  queued: aTaskId(10),
  waitsHigh: aTaskId(11),
} as const;
const BOTH: readonly TaskId[] = [TASK.ofB, TASK.ofA];

/** The whole store; `nowMs` is the server's time. */
export function worldAt(nowMs: number): Changes {
  const at = { createdAtMs: nowMs, updatedAtMs: nowMs, eligibleAtMs: nowMs, eventSeq: 2 };
  const live = { ...at, assignedAtMs: nowMs, acceptedAtMs: nowMs, deadlineAtMs: nowMs + 60_000, runDeadlineAtMs: nowMs + 60_000 };
  const agent = (id: AgentId, hubId: string, version: 1 | 2 = 2) =>
    anAgent({ id, hubId, protocolVersion: version, slots: 3, instanceId: version === 1 ? null : 'instance-1', connectedAtMs: nowMs, lastHeardAtMs: nowMs }); // prettier-ignore
  const tasks = [
    aTask({ ...at, id: TASK.waitsLow, status: 'blocked', dependsOn: BOTH }),
    anAssignedTask(B, { ...live, id: TASK.ofB }),
    anAssignedTask(GONE, { ...live, id: TASK.ofGone, deadlineAtMs: nowMs - 1 }),
    aTask({ ...at, id: TASK.dead, status: 'dead_letter', dependsOn: BOTH, deadReason: 'retries_spent' }),
    aTask({ ...at, id: TASK.stoppedOfA, status: 'cancelled', generation: aGeneration(2) }),
    anAssignedTask(A, { ...live, id: TASK.ofA, deadlineAtMs: nowMs - 1 }),
    anAssignedTask(V, { ...live, id: TASK.ofV }),
    aTask({ ...at, id: TASK.stoppedOfV, status: 'cancelled', generation: aGeneration(2) }),
    aTask({ ...at, id: TASK.late, status: 'dead_letter', generation: aGeneration(2), deadReason: 'retries_spent' }),
    aTask({ ...at, id: TASK.queued, requirement: aRequirement([], 'a') }),
    aTask({ ...at, id: TASK.waitsHigh, status: 'blocked', dependsOn: [...BOTH, TASK.ofV, TASK.late] }),
  ];
  const due = (id: TaskId): number | null => (id === TASK.ofGone || id === TASK.ofA ? nowMs - 1 : null);
  const stop = (agentId: AgentId, taskId: TaskId) => aStop({ agentId, taskId, requestedAtMs: nowMs });
  return changes({
    inserted: tasks.map((task) => ({ task, dueAtMs: due(task.id), body: { ...aDraft(task.id).body } })),
    events: [
      ...tasks.map(({ id }) => anEvent({ taskId: id, seq: 1, atMs: nowMs })),
      ...tasks.map(
        ({ id }) =>
        anEvent({ taskId: id, seq: 2, atMs: nowMs, ...(id === TASK.late ? { event: 'late_result', agentId: A, generation: aGeneration(1), session: 1, details: { result: '"late"' } } : { event: 'eligible' }) }), // prettier-ignore
      ),
    ],
    agents: [agent(A, HUBS[0]), agent(B, HUBS[1]), agent(V, HUBS[0], 1), agent(GONE, 'hub-3')],
    stopsSet: [stop(A, TASK.stoppedOfA), stop(V, TASK.stoppedOfV), stop(B, TASK.stoppedOfA)],
  });
}

const from = (agentId: AgentId) => ({ agentId, session: 1 });
const report = (agentId: AgentId, taskId: TaskId, body: Extract<Command, { kind: 'report' }>['body']): Command => ({
  kind: 'report',
  from: from(agentId),
  taskId,
  generation: agentId === V ? null : aGeneration(1),
  body,
});
const UNUSED = { tokensUsed: null, costUsd: null };
const complete = { ...UNUSED, report: 'complete', result: '"done"', details: null } as const;
const failed = { ...UNUSED, report: 'failed', error: 'no', failure: 'agent_failed', retryable: true, details: null } as const;
const held = BOTH.map((taskId) => ({ taskId, generation: aGeneration(1), status: 'working', storeId: null }) as const);
const identify = (agentId: AgentId, hubId: string): Command => ({ kind: 'identify', agentId, name: agentId, protocolVersion: 2, instanceId: 'instance-1', capabilities: [], slots: 3, reportedStatus: null, held, checks: null, hubId }); // prettier-ignore

/** Rows of operators: the last lock that a transaction waits for. */
const AUDIT: AuditDraft = {
  atMs: 0,
  actor: { id: 'tok-1', name: 'ops', role: 'operator' },
  address: null,
  act: 'task.cancel',
  object: null,
  outcome: 'done',
  details: {},
};

/**
 * Each kind of command, as issued by one of two hubs (`nth` 0 or 1) against whatever the other issues. `fresh`: an id
 * that no other command has.
 */
export const COMMANDS: Readonly<Record<string, (nth: 0 | 1, fresh: TaskId) => Command>> = {
  submit: (_nth, id) => ({ kind: 'submit', submittedBy: 'tok-1', idempotency: { key: 'once', name: null, digest: 'd'.repeat(64) }, drafts: [aDraft(id, { assignTo: A, dependsOn: [...BOTH].reverse() })] }), // prettier-ignore
  push: (_nth, id) => ({ kind: 'push', submittedBy: 'tok-1', draft: { ...aDraft(id), assignTo: A } }),
  'cancel a dependent': () => ({ kind: 'cancel', taskId: TASK.waitsLow, by: 'tok-1', audit: AUDIT }),
  'cancel a live task': (nth) => ({ kind: 'cancel', taskId: BOTH[nth] as TaskId, by: 'tok-1', audit: AUDIT }),
  retry: () => ({ kind: 'retry', taskId: TASK.dead, by: 'tok-1', audit: AUDIT }),
  adopt: () => ({ kind: 'adopt', taskId: TASK.late, generation: aGeneration(1), by: 'tok-1' }),
  complete: (nth) => report(nth === 0 ? A : B, nth === 0 ? TASK.ofA : TASK.ofB, complete),
  fail: (nth) => report(nth === 0 ? A : B, nth === 0 ? TASK.ofA : TASK.ofB, failed),
  'complete, version 1': () => report(V, TASK.ofV, complete),
  progress: (nth) => report(nth === 0 ? A : B, nth === 0 ? TASK.ofA : TASK.ofB, { ...UNUSED, report: 'progress', details: null }),
  identify: (nth) => identify(nth === 0 ? B : A, HUBS[nth]),
  'identify, of a dead hub': (nth) => identify(GONE, HUBS[nth]),
  disconnect: (nth) => ({ kind: 'disconnect', from: from(nth === 0 ? A : B) }),
  presence: () => ({ kind: 'presence', from: from(V), change: { what: 'ping' } }),
  'stop confirmed': (nth) => ({ kind: 'stop_confirmed', from: from(nth === 0 ? A : B), taskId: TASK.stoppedOfA, generation: aGeneration(1), outcome: 'killed', survivors: [] }), // prettier-ignore
  recover: () => ({ kind: 'recover', from: from(V), taskId: TASK.ofV, generation: null, after: 'crash', wasWoken: false }),
  sweep: () => ({ kind: 'sweep' }),
  'remove old': () => ({ kind: 'remove_old' }),
  'hub started': () => ({ kind: 'hub_started' }),
  'hub stopped': () => ({ kind: 'hub_stopped' }),
  poll: () => ({ kind: 'poll', agentIds: [B, A, V], renews: true, mail: true }),
  mail: (_nth, id) => ({ kind: 'mail', id, from: A, to: null, frame: '{}' }),
  drain: (nth) => ({ kind: 'agent_control', agentId: nth === 0 ? B : A, change: 'drain', audit: AUDIT }),
};
