/** Routes to read and control agents. */
import { isAgentId, type AgentId } from '../../../core/domain/ids.ts';
import type { AgentControlCommand } from '../../../core/application/hub/batch/commands.ts';
import type { AgentRow } from '../../../core/ports/agent-store.ts';
import { agentDetailJson, agentJson } from '../../../core/protocol/agent-json.ts';
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { drainSchema, emptySchema } from '../../../core/protocol/http-bodies.ts';
import { pageSchema } from '../../../core/protocol/http-queries.ts';
import { auditDraft } from '../audit-source.ts';
import type { HttpApiDeps } from '../deps.ts';
import { badCursor, pageLimit, queryReader } from '../query.ts';
import { invalid, ok, refusal, type Reply } from '../reply.ts';
import type { ApiRequest, Caller, Handler, Handlers } from '../request.ts';
import type { Waiting } from './waiting.ts';

type AgentHandlers = Pick<
  Handlers,
  'listAgents' | 'getAgent' | 'drainAgent' | 'resumeAgent' | 'checkAgent' | 'takeoverAgent' | 'removeAgent'
>;

export function agentHandlers(deps: HttpApiDeps, why: Waiting): AgentHandlers {
  const { inbox, agents, clock, limits, log } = deps;
  const readPage = queryReader(pageSchema);
  const readEmpty = bodyReader(emptySchema);
  const readDrain = bodyReader(drainSchema);

  /** The store is updated only when an agent connects or disconnects; in between, its session has the current value. */
  const withLastHeard = (row: AgentRow): AgentRow => ({
    ...row,
    agent: { ...row.agent, lastHeardAtMs: deps.lastHeardAtMs(row.agent.id) ?? row.agent.lastHeardAtMs },
  });

  const listAgents = async (request: ApiRequest): Promise<Reply> => {
    const query = readPage(request.query());
    if (query.kind === 'refused') return query.reply;
    const limit = pageLimit(query.value.limit, limits.page);
    if (limit.kind === 'refused') return limit.reply;
    const { cursor } = query.value;
    if (cursor !== undefined && !isAgentId(cursor)) return badCursor;
    const rows = await agents.listAgents({ after: cursor as AgentId | undefined, limit: limit.value + 1 });
    const shown = rows.slice(0, limit.value);
    const nowMs = clock.nowMs();
    return ok({
      agents: shown.map((row) => agentJson(withLastHeard(row), nowMs)),
      next_cursor: rows.length > shown.length ? (shown.at(-1)?.agent.id ?? null) : null,
    });
  };

  const getAgent = async (request: ApiRequest): Promise<Reply> => {
    const id = request.params['id'];
    const row = isAgentId(id) ? await agents.getAgent(id) : undefined;
    return row === undefined ? unknownAgent(id) : ok(agentDetailJson(withLastHeard(row), await why.ofAgent(row), clock.nowMs()));
  };

  const control = async (request: ApiRequest, by: Caller, command: Pick<AgentControlCommand, 'change' | 'deadlineMs'>): Promise<Reply> => {
    const id = request.params['id'];
    if (!isAgentId(id)) return unknownAgent(id);
    const { change, deadlineMs = null } = command;
    const details = change === 'drain' ? { deadline_ms: deadlineMs } : {};
    // A check changes nothing, so it is not audited.
    const audit = change === 'check' ? undefined : auditDraft(request, by, clock.nowMs(), { act: `agent.${change}`, object: id, details });
    const answer = await inbox.do({ kind: 'agent_control', agentId: id, ...command, ...(audit === undefined ? {} : { audit }) });
    return answer.kind === 'done' ? ok({ agent_id: id, change: command.change }) : unknownAgent(id);
  };
  const drainAgent: Handler = (request, by) => {
    const body = readDrain(request.json);
    if (body.kind === 'invalid') return invalid(body.errors);
    const { deadline_ms: deadlineMs } = body.value;
    return control(request, by, { change: 'drain', ...(deadlineMs === undefined ? {} : { deadlineMs }) });
  };
  const controlHandler =
    (change: 'resume' | 'check' | 'takeover'): Handler =>
    (request, by) => {
      const body = readEmpty(request.json);
      return body.kind === 'invalid' ? invalid(body.errors) : control(request, by, { change });
    };

  const removeAgent: Handler = async (request, by) => {
    const id = request.params['id'];
    if (!isAgentId(id)) return unknownAgent(id);
    const nowMs = clock.nowMs();
    const removed = await agents.removeAgent(id, nowMs, auditDraft(request, by, nowMs, { act: 'agent.remove', object: id }));
    if (removed === 'removed') {
      log.info('An agent and its tokens were removed.', { agent_id: id });
      return ok({ removed: id });
    }
    const row = removed === 'needed' ? await agents.getAgent(id) : undefined;
    return row === undefined ? unknownAgent(id) : refusal('invalid_state', whyNeeded(row));
  };

  return {
    listAgents,
    getAgent,
    drainAgent,
    resumeAgent: controlHandler('resume'),
    checkAgent: controlHandler('check'),
    takeoverAgent: controlHandler('takeover'),
    removeAgent,
  };
}

/** Why the agent cannot be removed, and what to do first. */
function whyNeeded({ agent, live, pendingStops }: AgentRow): string {
  const revoke = `agentcom tokens revoke ${agent.id}, or DELETE /admin/tokens/${agent.id}`;
  if (agent.connected) return `Agent ${agent.id} is connected. First stop its sidecar, or revoke its tokens (${revoke}).`;
  if (live.length > 0) return `Agent ${agent.id} still has ${live.length} tasks. Cancel them, or wait until they are reclaimed.`;
  if (pendingStops > 0)
    return `Agent ${agent.id} has yet to confirm ${pendingStops} stops. They count as confirmed after the reconnect grace.`;
  return `Agent ${agent.id} has a live token. Revoke it first: ${revoke}.`;
}

const unknownAgent = (id: string | undefined): Reply =>
  refusal('unknown_agent', `There is no agent ${JSON.stringify(id)}. \`agentcom agents\` lists them.`);
