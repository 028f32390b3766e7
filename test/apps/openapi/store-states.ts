/** A hub whose store has tasks, agents, tokens and secrets in every state that an answer can depend on. */
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { NO_KEPT_RESULTS } from '../../../core/domain/task/kept-results.ts';
import type { Role } from '../../../core/ports/agent-store.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { sealedSecret } from '../../../core/protocol/enrol-proof.ts';
import { newHandshake } from '../../../apps/handshake.ts';
import { aBody, aGeneration, aTask, aTaskId, aToken, anAgent, anAgentId, changes } from '../../product/contracts/fixtures.ts';
import type { RunningAgent, RunningHub } from '../running-hub.ts';

export const CONNECTED = 'worker-1';
const AWAY = 'worker-away';
const UNUSED = 'worker-unused';
const RESULT = '{"text":"late"}';

const ids = { queued: aTaskId(1), dead: aTaskId(2), late: aTaskId(3), completed: aTaskId(4), two: aTaskId(5) };

/** A queued task with a late result of generation 1 of each of these agents. */
function withLate(id: Task['id'], ...agentIds: readonly AgentId[]): Task {
  const results = agentIds.map((agentId) => ({ generation: aGeneration(1), agentId, kind: 'late' as const, bytes: 15, sha256: 'a'.repeat(64), atMs: Date.now() })); // prettier-ignore
  const [agentId = anAgentId()] = agentIds;
  return aTask({ id, generation: aGeneration(2), takenBack: { agentId, generation: aGeneration(1) }, kept: { ...NO_KEPT_RESULTS, results }, requirement: { capabilities: ['nobody-has-it'], assignTo: null } }); // prettier-ignore
}

/** Fills the store of a hub that has just started. */
export async function fillStore(hub: RunningHub): Promise<RunningAgent> {
  const agent = await hub.agent(CONNECTED, {
    capabilities: ['code'],
    checks: { ok: true, failed: [], passed: [{ check: 'program', message: 'it runs' }] },
  });
  const [one, other] = [anAgentId('a1'), anAgentId('a2')];
  const nobody = { capabilities: ['nobody-has-it'], assignTo: null };
  const tasks = [
    aTask({ id: ids.queued, requirement: nobody }),
    aTask({ id: ids.dead, status: 'dead_letter', deadReason: 'ttl', lastError: 'ttl' }),
    withLate(ids.late, one),
    aTask({ id: ids.completed, status: 'completed', assignedTo: one, eligibleAtMs: null }),
    withLate(ids.two, one, other),
  ];
  const kept = [[ids.late, one], [ids.two, one], [ids.two, other]] as const; // prettier-ignore
  await hub.storage.tasks.transact('states', (unit) =>
    unit.save(
      changes({
        inserted: tasks.map((task) => ({ task, body: aBody(), dueAtMs: null })),
        results: [{ taskId: ids.completed, json: '{"text":"done"}' }],
        kept: kept.map(([taskId, agentId]) => ({ taskId, agentId, generation: aGeneration(1), kind: 'late' as const, bytes: 15, sha256: 'a'.repeat(64), atMs: Date.now(), reason: 'late', result: RESULT, details: null })), // prettier-ignore
        agents: [AWAY, UNUSED].map((id) => anAgent({ id: anAgentId(id), connected: false })),
      }),
    ),
  );
  await hub.storage.agents.addToken(aToken({ id: TOKEN_OF_AWAY, agentId: anAgentId(AWAY), hash: systemDigest().sha256('of away') }));
  return agent;
}

const TOKEN_OF_AWAY = `tok-${'f'.repeat(32)}`;

/** Possible values in this store for a path parameter of the document. */
export const KNOWN: Readonly<Record<string, readonly string[]>> = {
  '/api/tasks/{id}': Object.values(ids),
  '/api/agents/{id}': [CONNECTED, AWAY],
  '/admin/tokens/{id}': ['worker-nobody'],
};

/** Requests that each reach an answer that random requests would not, in order: the status, and the request. */
export interface Aimed {
  readonly operationId: string;
  readonly status: number;
  /** Default: admin. */
  readonly role?: Role;
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function aimedRequests(hub: RunningHub): Promise<readonly Aimed[]> {
  const submit = { description: 'aimed' };
  const key = { 'idempotency-key': 'the-same' };
  const line = JSON.stringify(submit);
  const secret = async (): Promise<string> => (await hub.api.enrolment.createSecret()).secret;
  const sealed = async (agentId: string): Promise<object> => {
    const given = await secret();
    const { key: sealing, hello } = newHandshake(agentId, given);
    const requested = { agent_id: agentId, secret_hint: hello.tokenHint, nonce: hello.nonce };
    const { hub_nonce: hubNonce } = await hub.api.enrolment.hello(requested);
    return { ...requested, hub_nonce: hubNonce, sealed_secret: sealedSecret(given, sealing, { ...hello, hubNonce }, systemDigest().hmac) };
  };
  const { nonce, tokenHint } = newHandshake('someone', 'a secret').hello;
  return [
    { operationId: 'submit', status: 201, body: submit, headers: key },
    { operationId: 'submit', status: 200, body: submit, headers: key },
    { operationId: 'submit', status: 409, body: { description: 'another' }, headers: key },
    { operationId: 'submit', status: 400, body: { ...submit, assign_to: 'nobody-at-all' } },
    { operationId: 'submitBatch', status: 400, body: '\n' },
    { operationId: 'submitBulk', status: 201, body: line, headers: { 'idempotency-key': 'many' } },
    { operationId: 'submitBulk', status: 200, body: line, headers: { 'idempotency-key': 'many' } },
    { operationId: 'submitBulk', status: 409, body: '{"description":"another"}', headers: { 'idempotency-key': 'many' } },
    { operationId: 'submitBulk', status: 400, body: `${line}\n{}` },
    { operationId: 'keptResult', status: 200, params: { id: ids.late, generation: '1' } },
    { operationId: 'keptResult', status: 400, params: { id: ids.two, generation: '1' } },
    { operationId: 'keptResult', status: 404, params: { id: ids.late, generation: '7' } },
    { operationId: 'getTask', status: 200, params: { id: ids.completed } },
    { operationId: 'getTask', status: 200, params: { id: ids.two } },
    { operationId: 'retryTask', status: 409, params: { id: ids.queued } },
    { operationId: 'retryTask', status: 200, params: { id: ids.dead } },
    { operationId: 'streamEvents', status: 404, role: 'submitter', query: `?task_id=${ids.queued}` },
    { operationId: 'streamEvents', status: 409, role: 'viewer', query: `?task_id=${ids.completed}&unless_ended=true` },
    { operationId: 'adoptResult', status: 404, params: { id: 'task-of-nobody' }, body: { generation: 1 } },
    { operationId: 'adoptResult', status: 409, params: { id: ids.queued }, body: { generation: 1 } },
    { operationId: 'adoptResult', status: 200, params: { id: ids.late }, body: { generation: 1 } },
    { operationId: 'cancelTask', status: 409, params: { id: ids.completed } },
    { operationId: 'cancelTask', status: 200, params: { id: ids.two } },
    { operationId: 'pushTask', status: 200, body: { agent_id: CONNECTED, description: 'pushed' } },
    { operationId: 'pushTask', status: 404, body: { agent_id: AWAY, description: 'pushed' } },
    { operationId: 'removeAgent', status: 409, params: { id: AWAY } },
    { operationId: 'rotateToken', status: 201, params: { id: TOKEN_OF_AWAY }, body: { overlap_ms: 60_000 } },
    { operationId: 'rotateToken', status: 409, params: { id: TOKEN_OF_AWAY } },
    { operationId: 'revokeTokens', status: 200, params: { id: AWAY } },
    { operationId: 'removeAgent', status: 200, params: { id: AWAY } },
    { operationId: 'register', status: 201, body: { agent_id: 'enrolled-1', secret: await secret() } },
    { operationId: 'register', status: 409, body: { agent_id: 'enrolled-1', secret: await secret() } },
    { operationId: 'register', status: 201, body: await sealed('enrolled-2') },
    { operationId: 'register', status: 200, body: { agent_id: 'someone', secret_hint: tokenHint, nonce } },
    { operationId: 'register', status: 401, body: { agent_id: 'someone', secret: 'wrong' } },
    { operationId: 'openSession', status: 200, body: { token: hub.adminToken } },
    { operationId: 'openSession', status: 401, body: { token: 'wrong' } },
    { operationId: 'openSession', status: 403, body: { token: await hub.token('agent', 'worker-2') } },
    { operationId: 'addToken', status: 201, body: { name: 'ci', role: 'viewer' } },
    { operationId: 'addToken', status: 409, body: { name: 'ci', role: 'viewer' } },
    { operationId: 'addToken', status: 201, body: { agent_id: CONNECTED, capabilities: ['code'] } },
  ];
}
