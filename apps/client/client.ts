/** The hub's HTTP API as functions. Each throws `AC_API` or `AC_API_UNREACHABLE`; see request.ts for what is tried again. */
import { randomUUID } from 'node:crypto';
import { followEvents, type EventsOptions } from './events.ts';
import { request, type Call, type Connection } from './request.ts';
import type {
  ActAnswer,
  AgentChanged,
  AgentJson,
  DrainRequest,
  EnrolSecretJson,
  KeptResultJson,
  ListQuery,
  NumberedEntry,
  Page,
  PageQuery,
  PushAnswer,
  PushRequest,
  RegisterRequest,
  Registration,
  StreamEvent,
  SubmitRequest,
  SubmittedTask,
  TaskDetail,
  TaskEventsPage,
  TaskEventsQuery,
  TaskJson,
  TokenRequest,
  TokenJson,
} from './types.ts';

/** Events of one page of a history. */
const HISTORY_PAGE_EVENTS = 500;

export interface HubClient {
  readonly url: string;
  /** The same key again gives the same task; without one a random key makes the retries of this call safe. */
  submit(body: SubmitRequest, idempotencyKey?: string): Promise<SubmittedTask>;
  /** All or none; in the order given. */
  bulk(bodies: readonly SubmitRequest[] | string, idempotencyKey?: string): Promise<{ readonly task_ids: readonly string[] }>;
  /** `retryWithinMs` instead of the connection's, for one who has waited long already. */
  get(taskId: string, patience?: { readonly retryWithinMs: number }): Promise<TaskDetail>;
  /** A page of its history: the newest events, those before a number, or those after one. */
  taskEvents(taskId: string, query?: TaskEventsQuery): Promise<TaskEventsPage>;
  /** The whole history, oldest first, page by page. */
  history(taskId: string): AsyncGenerator<NumberedEntry, void>;
  /** A late or refused result, whole. `agentId`: where several agents have one of that generation. */
  keptResult(taskId: string, generation: number, agentId?: string): Promise<KeptResultJson>;
  list(query?: ListQuery): Promise<Page<'tasks', TaskJson>>;
  deadLetters(query?: PageQuery): Promise<Page<'tasks', TaskJson>>;
  stats(): Promise<Readonly<Record<string, unknown>>>;
  /** A repeat after a lost answer may be refused with 409, so it is not tried again once it was sent. */
  cancel(taskId: string): Promise<ActAnswer>;
  retry(taskId: string): Promise<ActAnswer>;
  push(body: PushRequest): Promise<PushAnswer>;
  agents(query?: PageQuery): Promise<Page<'agents', AgentJson>>;
  agent(agentId: string): Promise<AgentJson>;
  /** Whether it gets tasks (`drain`, `resume`), that it is to look whether its program could run (`check`), or whether another machine may be it (`takeover`). `how`: of a drain. */
  change(agentId: string, change: 'drain' | 'resume' | 'check' | 'takeover', how?: DrainRequest): Promise<AgentChanged>;
  /** Removes an agent that nobody can be any more, with its tokens. */
  removeAgent(agentId: string): Promise<{ readonly removed: string }>;
  createToken(body: TokenRequest): Promise<TokenJson>;
  tokens(query?: PageQuery): Promise<Page<'tokens', TokenJson>>;
  /** By agent id or token id. */
  revokeToken(id: string): Promise<Readonly<Record<string, unknown>>>;
  /** Makes a secret with which one agent may enrol, once and soon. */
  enrolSecret(): Promise<EnrolSecretJson>;
  /** Takes an identity with the enrolment secret. */
  register(body: RegisterRequest): Promise<Registration>;
  health(): Promise<Readonly<Record<string, unknown>>>;
  events(options?: EventsOptions): AsyncGenerator<StreamEvent, void>;
}

/** A client of the hub at `connection.url`. Opens nothing by itself and holds nothing open between calls. */
export function hubClient(connection: Connection): HubClient {
  const read = <T>(path: string, query: object = {}): Promise<T> =>
    request<T>(connection, { method: 'GET', path, query: query as NonNullable<Call['query']>, repeatable: true });
  const act = <T>(path: string, body: unknown = {}): Promise<T> =>
    request<T>(connection, { method: 'POST', path, body, repeatable: false });
  const keyed = (key: string): Pick<Call, 'method' | 'headers' | 'repeatable'> => ({
    method: 'POST',
    headers: { 'idempotency-key': key },
    repeatable: true,
  });
  const at = (path: string, id: string): string => `${path}/${encodeURIComponent(id)}`;
  return {
    url: connection.url,
    submit: (body, key = randomUUID()) => request(connection, { ...keyed(key), path: '/api/tasks', body }),
    bulk: (bodies, key = randomUUID()) => {
      const content = typeof bodies === 'string' ? bodies : bodies.map((body) => JSON.stringify(body)).join('\n');
      return request(connection, { ...keyed(key), path: '/api/tasks/bulk', text: { type: 'application/x-ndjson', content } });
    },
    get: (taskId, patience) => request(connection, { method: 'GET', path: at('/api/tasks', taskId), repeatable: true, ...patience }),
    taskEvents: (taskId, query) => read(`${at('/api/tasks', taskId)}/events`, query),
    async *history(taskId) {
      for (let after: number | null = 0; after !== null;) {
        const page: TaskEventsPage = await read(`${at('/api/tasks', taskId)}/events`, { after, limit: HISTORY_PAGE_EVENTS });
        yield* page.events;
        after = page.after;
      }
    },
    keptResult: (taskId, generation, agentId) =>
      read(`${at('/api/tasks', taskId)}/results/${generation}`, agentId === undefined ? {} : { agent_id: agentId }),
    list: (query) => read('/api/tasks', query),
    deadLetters: (query) => read('/api/tasks/dead-letter', query),
    stats: () => read('/api/tasks/stats'),
    cancel: (taskId) => act(`${at('/api/tasks', taskId)}/cancel`),
    retry: (taskId) => act(`${at('/api/tasks', taskId)}/retry`),
    push: (body) => act('/api/admin/push-task', body),
    agents: (query) => read('/api/agents', query),
    agent: (agentId) => read(at('/api/agents', agentId)),
    change: (agentId, change, how: DrainRequest = {}) =>
      request(connection, { method: 'POST', path: `${at('/api/agents', agentId)}/${change}`, body: how, repeatable: true }),
    removeAgent: (agentId) => request(connection, { method: 'DELETE', path: at('/api/agents', agentId), repeatable: false }),
    createToken: (body) => act('/admin/tokens', body),
    tokens: (query) => read('/admin/tokens', query),
    revokeToken: (id) => request(connection, { method: 'DELETE', path: at('/admin/tokens', id), repeatable: false }),
    enrolSecret: () => act('/admin/enrol-secrets'),
    register: (body) => act('/api/onboard/register', body),
    health: () => read('/health'),
    events: (options) => followEvents(connection, options),
  };
}
