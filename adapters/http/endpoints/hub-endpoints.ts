/** Routes about the hub as a whole: counts, health, schemas. */
import { presenceOf, type AgentPresence } from '../../../core/domain/agent/agent.ts';
import { httpBodySchemas } from '../../../core/protocol/http-bodies.ts';
import { httpQuerySchemas } from '../../../core/protocol/http-queries.ts';
import { hubSchemas } from '../../../core/protocol/hub-frames.ts';
import { PROTOCOL_VERSION } from '../../../core/protocol/fields.ts';
import { v1Schemas, v2Schemas } from '../../../core/protocol/sidecar-frames.ts';
import { within } from '../../../core/ports/timing/within.ts';
import type { AllAgents } from './all-agents.ts';
import type { HttpApiDeps } from '../deps.ts';
import { ok, okText, refusal } from '../reply.ts';
import type { Handlers } from '../request.ts';
import type { ServeContext } from '../serve.ts';

/** How long a health check is cached. The route needs no token, so this limits the load on the database. */
const HEALTH_CACHED_MS = 1_000;
/** The longest that a health check takes, milliseconds: less than the time limit of a typical probe, such as a container's health check. */
const HEALTH_WITHIN_MS = 3_000;

export function hubHandlers(
  deps: HttpApiDeps,
  { loop, refusedRequests }: Pick<ServeContext, 'loop' | 'refusedRequests'>,
  everyAgent: AllAgents,
): Pick<Handlers, 'taskStats' | 'health' | 'ready' | 'schemas' | 'whoAmI'> {
  const { tasks, clock } = deps;
  let health: { readonly atMs: number; readonly healthy: Promise<boolean>; isDone: boolean } | null = null;
  let schemas: string | null = null;
  const checked = (nowMs: number) => {
    if (health !== null && (!health.isDone || nowMs - health.atMs < HEALTH_CACHED_MS)) return health;
    const check = { atMs: nowMs, healthy: deps.healthy(), isDone: false };
    const done = (): void => void (check.isDone = true);
    check.healthy.then(done, done);
    return (health = check);
  };
  /** False if the database does not answer in time; the check is then left to the next requests. */
  const canCommit = async (): Promise<boolean> => {
    const nowMs = clock.monotonicMs();
    const { atMs, healthy } = checked(nowMs);
    return (await within(clock, Math.max(0, atMs + HEALTH_WITHIN_MS - nowMs), healthy)) && healthy;
  };

  return {
    async taskStats() {
      const { statuses, queuedByPriority } = await tasks.stats();
      const presences: Record<AgentPresence, number> = { offline: 0, idle: 0, working: 0, stopping: 0, draining: 0, paused: 0 };
      const nowMs = clock.nowMs();
      const oldestReady = await tasks.oldestReady(nowMs);
      for (const row of await everyAgent()) presences[presenceOf(row.agent, row.live.length, nowMs, row.pendingStops)] += 1;
      return ok({
        ...statuses,
        queued_by_priority: queuedByPriority,
        oldest_ready: oldestReady,
        agents: presences,
        refused: { ...deps.refusals(), requests: refusedRequests.all() },
      });
    },
    async health() {
      const status = (await canCommit()) ? 'ok' : 'degraded';
      const loopDelayMs = loop.longestMs();
      const { version, storageName: storage, durable, transportName: transport } = deps;
      const deadlocks = deps.deadlocks === undefined ? {} : { deadlocks: deps.deadlocks() };
      return ok({ status, version, storage, durable, transport, loop_delay_ms: loopDelayMs, server_time: clock.wallMs(), ...deadlocks });
    },
    async ready() {
      return (await canCommit()) ? ok({ status: 'ready' }) : refusal('storage_unavailable', 'The database cannot commit now.');
    },
    whoAmI(_request, { id, submitterId, name, role, agentId }) {
      return ok({ id, name, role, agent_id: agentId, submits_as: submitterId, server_time: clock.wallMs() });
    },
    schemas() {
      schemas ??= JSON.stringify({
        protocol_version: PROTOCOL_VERSION,
        http: { bodies: httpBodySchemas, queries: httpQuerySchemas },
        frames: { from_sidecar: { 1: v1Schemas, 2: v2Schemas }, from_hub: hubSchemas },
      });
      return okText(schemas);
    },
  };
}
