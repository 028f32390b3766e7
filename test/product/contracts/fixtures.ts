/** Domain values for tests: each complete and valid by default, with a test's overrides on top. */
import { newAgent, type Agent, type PendingStop } from '../../../core/domain/agent/agent.ts';
import type { HubMail } from '../../../core/domain/agent/hub-lease.ts';
import type { TaskEvent } from '../../../core/domain/task/event.ts';
import { GENERATION_ZERO, type AgentId, type Generation, type TaskId } from '../../../core/domain/ids.ts';
import { NO_KEPT_RESULTS, type KeptResult } from '../../../core/domain/task/kept-results.ts';
import { NO_TERMS, type Requirement, type Task, type TaskBody } from '../../../core/domain/task/task.ts';
import { NOTHING_USED } from '../../../core/domain/usage.ts';
import type { TokenRecord } from '../../../core/ports/agent-store.ts';
import type { Changes, IdempotencyRecord, TaskChange } from '../../../core/ports/task-store.ts';

/** A moment well past 2^32 milliseconds, so that a store that keeps only 32 bits fails. */
export const A_MOMENT_MS = 1_800_000_000_000;

/** The n-th task id: ids sort like their numbers. */
export const aTaskId = (n: number): TaskId => `task-${n.toString(16).padStart(16, '0')}` as TaskId;

export const anAgentId = (name = 'a1'): AgentId => name as AgentId;

export const aGeneration = (n: number): Generation => n as Generation;

export const aRequirement = (capabilities: readonly string[] = [], assignTo: string | null = null): Requirement => ({
  capabilities,
  assignTo: assignTo as AgentId | null,
});

/** A task in the normal lane that any agent may run, queued since `A_MOMENT_MS`. */
export function aTask(over: Partial<Task> = {}): Task {
  return {
    id: aTaskId(1),
    priority: 'normal',
    status: 'queued',
    generation: GENERATION_ZERO,
    generationFloor: GENERATION_ZERO,
    requirement: aRequirement(),
    assignedTo: null,
    assignedAtMs: null,
    acceptedAtMs: null,
    deadlineAtMs: null,
    hushedAtMs: null,
    runDeadlineAtMs: null,
    wokenAtMs: null,
    resent: 0,
    progressCount: 0,
    round: 1,
    retryCount: 0,
    maxRetries: 3,
    handBacks: 0,
    parked: false,
    avoid: null,
    rejectedBy: [],
    takenBack: null,
    eligibleAtMs: A_MOMENT_MS,
    expiresAtMs: null,
    ...NO_TERMS,
    dependsOn: [],
    dependentsAfter: null,
    deadReason: null,
    lastError: null,
    usage: NOTHING_USED,
    session: null,
    outcomes: [],
    kept: NO_KEPT_RESULTS,
    submittedBy: 'tok-1',
    createdAtMs: A_MOMENT_MS,
    updatedAtMs: A_MOMENT_MS,
    eventSeq: 1,
    ...over,
  };
}

/** A task that `agent` holds and has accepted. */
export function anAssignedTask(agent: AgentId, over: Partial<Task> = {}): Task {
  return aTask({
    status: 'assigned',
    generation: aGeneration(1),
    assignedTo: agent,
    assignedAtMs: A_MOMENT_MS,
    acceptedAtMs: A_MOMENT_MS,
    deadlineAtMs: A_MOMENT_MS + 300_000,
    runDeadlineAtMs: A_MOMENT_MS + 86_400_000,
    ...over,
  });
}

export function aBody(over: Partial<TaskBody> = {}): TaskBody {
  return {
    description: 'count the files',
    metadata: null,
    repo: null,
    branch: null,
    fileHints: [],
    successCriteria: [],
    verificationSteps: [],
    ...over,
  };
}

export function anEvent(over: Partial<TaskEvent> = {}): TaskEvent {
  return {
    taskId: aTaskId(1),
    seq: 1,
    event: 'submitted',
    atMs: A_MOMENT_MS,
    agentId: null,
    generation: null,
    session: null,
    details: null,
    ...over,
  };
}

/** A connected agent with one slot. */
export function anAgent(over: Partial<Agent> = {}): Agent {
  return {
    ...newAgent(over.id ?? anAgentId()),
    sessionNumber: 1,
    hubId: 'hub-1',
    connected: true,
    connectedAtMs: A_MOMENT_MS,
    lastHeardAtMs: A_MOMENT_MS,
    instanceId: 'instance-1',
    ...over,
  };
}

export function aStop(over: Partial<PendingStop> = {}): PendingStop {
  return {
    agentId: anAgentId(),
    taskId: aTaskId(1),
    generation: 1,
    reason: 'cancelled',
    requestedAtMs: A_MOMENT_MS,
    sentAtMs: null,
    ...over,
  };
}

export function aKey(over: Partial<IdempotencyRecord> = {}): IdempotencyRecord {
  return { owner: 'tok-1', key: 'once', digest: 'd'.repeat(64), taskIds: [aTaskId(1)], createdAtMs: A_MOMENT_MS, ...over };
}

export function aMail(over: Partial<HubMail> = {}): HubMail {
  return { id: 'mail-1', hubId: 'hub-1', to: anAgentId(), from: anAgentId('a2'), frame: '{}', ...over };
}

export function aToken(over: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: 'tok-1',
    name: 'a1',
    role: 'agent',
    agentId: anAgentId(),
    hash: '1'.repeat(64),
    prefix: 'agt_1234',
    capabilities: null,
    maxSlots: null,
    createdAtMs: A_MOMENT_MS,
    revokedAtMs: null,
    expiresAtMs: null,
    lastUsedAtMs: null,
    replacedBy: null,
    submitsAs: null,
    ...over,
  };
}

/** Empty changes, except for what is given. */
export function changes(over: Partial<Changes> = {}): Changes {
  return {
    inserted: [],
    updated: [],
    events: [],
    results: [],
    kept: [],
    keptDropped: [],
    agents: [],
    stopsSet: [],
    stopsCleared: [],
    keys: [],
    mail: [],
    ...over,
  };
}

/** Changes that insert these tasks, each with a plain body and never due. */
export const inserting = (...tasks: readonly Task[]): Changes =>
  changes({ inserted: tasks.map((task) => ({ task, dueAtMs: null, body: aBody() })) });

/** Changes that save these tasks again, never due. */
export const updating = (...tasks: readonly Task[]): Changes =>
  changes({ updated: tasks.map((task): TaskChange => ({ task, dueAtMs: null })) });

/** A refused result, stored with its task. */
export const aKept = (over: Partial<KeptResult> = {}): KeptResult => ({
  taskId: aTaskId(1),
  generation: aGeneration(1),
  agentId: anAgentId(),
  kind: 'refused',
  reason: 'stale_generation',
  bytes: 2,
  sha256: 'a'.repeat(64),
  atMs: A_MOMENT_MS,
  result: '{}',
  details: null,
  ...over,
});
