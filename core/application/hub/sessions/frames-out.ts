/** The frames that the hub sends, in each protocol version. Pure: answers in, frames out. */
import { presenceOf } from '../../../domain/agent/agent.ts';
import { isSettling, notBusy } from '../../../domain/agent/busy-agents.ts';
import type { AgentId, Generation, TaskId } from '../../../domain/ids.ts';
import type { RefusalCode } from '../../../domain/task/refusal.ts';
import type { WireError, MessageFailure, V1Verb } from '../../../protocol/hub-frames.ts';
import type { SidecarFrame } from '../../../protocol/sidecar-frames.ts';
import type { WirePart } from '../../../protocol/task-body.ts';
import type { Task, TaskBody } from '../../../domain/task/task.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { HubContext } from '../batch/hub-context.ts';
import type { HeldAnswer, Outgoing, ReportAnswer } from '../batch/commands.ts';
import type { Roster } from '../batch/roster.ts';

export type Frame = Readonly<Record<string, unknown>> & { readonly type: string };
export type ProtocolVersion = 1 | 2;

/** The verbs in version 1's refusals, by report. Version 1 gets no answer to a refused progress or wake result, and has no release. */
const VERBS = {
  accepted: 'accept',
  rejected: 'reject',
  complete: 'complete',
  failed: 'fail',
  released: null,
  progress: null,
  woken: null,
} as const satisfies Readonly<Record<string, V1Verb | null>>;
export type AnsweredReport = keyof typeof VERBS;

const FRAME_TYPES: Readonly<Record<AnsweredReport, SidecarFrame['type']>> = {
  accepted: 'task_accepted',
  rejected: 'task_rejected',
  complete: 'task_complete',
  failed: 'task_failed',
  released: 'task_released',
  progress: 'task_progress',
  woken: 'wake_result',
};

export type ErrorText = WireError | `message_failed: ${MessageFailure}` | `task_${V1Verb}_failed: ${RefusalCode}`;

export const errorFrame = (error: ErrorText, more: Readonly<Record<string, unknown>> = {}): Frame => ({ type: 'error', error, ...more });

/** The answer to a report; null: no answer. */
export function answerFrame(
  version: ProtocolVersion,
  report: { readonly kind: AnsweredReport; readonly taskId: TaskId; readonly generation: Generation | null },
  answer: ReportAnswer,
): Frame | null {
  if (answer.kind === 'noted' || answer.kind === 'replaced') return null;
  if (answer.kind === 'refused') return refusalFrame(version, report, answer.code, answer.currentGeneration);
  // Version 1 has no late results: it deletes its copy after any answer, and the hub has kept the result.
  if (version === 1 && answer.status === 'late') return refusalFrame(version, report, 'stale_generation', null);
  return {
    type: 'task_ack',
    task_id: report.taskId,
    ...(version === 2 ? { generation: answer.generation } : {}),
    status: answer.status,
    ...(answer.duplicate ? { duplicate: true } : {}),
  };
}

function refusalFrame(
  version: ProtocolVersion,
  report: { readonly kind: AnsweredReport; readonly taskId: TaskId; readonly generation: Generation | null },
  code: RefusalCode,
  current: Generation | null,
): Frame | null {
  if (version === 2 && report.generation !== null)
    return nackFrame(report.taskId, report.generation, code, { refuses: FRAME_TYPES[report.kind], current });
  const verb = VERBS[report.kind];
  return verb === null ? null : errorFrame(`task_${verb}_failed: ${code}`);
}

/** `refuses` is the type of the refused frame: another frame about the same assignment may still be unanswered. */
export const nackFrame = (
  taskId: TaskId,
  generation: Generation,
  reason: RefusalCode | 'validation_failed',
  { refuses, current }: { readonly refuses: string | undefined; readonly current: Generation | null },
): Frame => ({
  type: 'task_nack',
  task_id: taskId,
  generation,
  reason,
  ...(refuses === undefined ? {} : { refuses }),
  ...(current === null ? {} : { current_generation: current }),
});

export function identifiedFrame(
  version: ProtocolVersion,
  agentId: AgentId,
  answer: { readonly nowMs: number; readonly storeId: string; readonly held: readonly HeldAnswer[] },
  { hubId, timing, limits }: HubContext,
): Frame {
  if (version === 1) return { type: 'identified', agent_id: agentId };
  return {
    type: 'identified',
    agent_id: agentId,
    protocol_version: 2,
    hub_id: hubId,
    server_time: answer.nowMs,
    store_id: answer.storeId,
    policy: {
      heartbeat_ms: timing.heartbeatMs,
      pong_wait_ms: timing.pongWaitMs,
      reconnect_max_ms: timing.reconnectMaxMs,
      lease_ms: timing.leaseMs,
      max_frame_bytes: limits.frameBytes,
      reconnect_grace_ms: timing.reconnectGraceMs,
    },
    held: answer.held.map(({ taskId, generation, action, reason }) => ({
      task_id: taskId,
      generation,
      action,
      ...(reason === null ? {} : { reason }),
    })),
  };
}

/**
 * Version 1 runs each verification step by its `type`; a step without one fails there, and then the work is not pushed. So
 * steps that are plain sentences go to the agent with the success criteria, which are sentences too.
 */
function v1Checks({ successCriteria, verificationSteps }: TaskBody): Readonly<Record<string, unknown>> {
  const sentences = verificationSteps.filter((step) => typeof step === 'string');
  return {
    success_criteria: [...successCriteria, ...sentences],
    verification_steps: verificationSteps.filter((step) => typeof step !== 'string'),
  };
}

/** The JSON text of an assignment. Its metadata is stored as JSON, and inserted unchanged instead of being parsed and serialized again. */
export function assignmentText(version: ProtocolVersion, task: Task, body: TaskBody, runMaxMs: number): string {
  const frame = version === 2 ? assignFrame(task, body, runMaxMs) : v1AssignFrame(task, body);
  return `${JSON.stringify(frame).slice(0, -1)},"metadata":${body.metadata ?? '{}'}}`;
}

/** Field by field, which V8 builds and serializes in half the time that spreads take; JSON leaves out undefined fields. */
function assignFrame(task: Task, body: TaskBody, runMaxMs: number): Frame & Readonly<Record<WirePart, unknown>> {
  return {
    type: 'task_assign',
    task_id: task.id,
    description: body.description,
    generation: task.generation,
    assigned_at: task.assignedAtMs,
    submitted_by: task.submittedBy,
    repo: body.repo,
    branch: body.branch,
    file_hints: body.fileHints,
    success_criteria: body.successCriteria,
    verification_steps: body.verificationSteps,
    accept: body.accept,
    signature: body.signature,
    traceparent: body.traceparent,
    tracestate: body.tracestate,
    run_max_ms: task.runMaxMs ?? runMaxMs,
    complete_by: task.completeByMs,
    session_id: task.session?.id,
  };
}

function v1AssignFrame(task: Task, body: TaskBody): Frame {
  return {
    type: 'task_assign',
    task_id: task.id,
    description: body.description,
    generation: task.generation,
    assigned_at: task.assignedAtMs,
    repo: body.repo,
    branch: body.branch,
    file_hints: body.fileHints,
    ...v1Checks(body),
    complexity: null,
    routing_decision: null,
    skip_verification: null,
    verification_timeout_ms: null,
    max_verification_retries: null,
  };
}

export const cancelledFrame = (
  version: ProtocolVersion,
  stop: Extract<Outgoing, { kind: 'stop' }>,
  nowMs: number,
  graceMs: number,
): Frame => ({
  type: 'task_cancelled',
  task_id: stop.taskId,
  ...(version === 2 ? { generation: stop.generation, reason: stop.reason, grace_ms: graceMs } : {}),
  timestamp: nowMs,
});

export const drainFrame = (deadlineMs: number | null): Frame => ({
  type: 'drain',
  ...(deadlineMs === null ? {} : { deadline_ms: deadlineMs }),
});

/** A connected agent as other agents see it; undefined if it is not connected here. */
export function cardOf(
  agentId: AgentId,
  { roster, clock }: { readonly roster: Roster; readonly clock: Clock },
): Readonly<Record<string, unknown>> | undefined {
  const agent = roster.get(agentId);
  if (agent === undefined) return undefined;
  // The reported status counts, except that an agent with tasks is not idle. The short busy time after an identify is ignored,
  // since no frame would announce its end.
  const presence = presenceOf(isSettling(agent) ? notBusy(agent) : agent, roster.slotsTaken(agentId), clock.nowMs());
  const reported = agent.reportedStatus;
  return {
    agent_id: agent.id,
    name: agent.name,
    status: reported === null || reported === 'idle' ? presence : reported,
    capabilities: agent.capabilities,
    connected_at: agent.connectedAtMs,
  };
}
