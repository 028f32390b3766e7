/** Every route of the HTTP API, with the roles that may use it. The router and its checks are built from this table alone. */
import { ROLES, type Role } from '../../core/ports/agent-store.ts';

/**
 * What a role reaches on a route: everything, or its own tasks only. The tasks of a submitter are those that it submitted, the tasks of an
 * agent those assigned to it. For such a caller, all other tasks do not exist.
 */
export type Reach = 'all' | 'own';

export interface Route {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** The roles that may use it, and what each reaches; other roles get 403. `open`: no token needed. */
  readonly roles: Readonly<Partial<Record<Role, Reach>>> | 'open';
  /** Refused with 403 unless the request comes from the hub's own dashboard. */
  readonly ownPage?: true | undefined;
  /** `json`: one JSON value; `empty`: a small JSON object, `{}` if there is none; `lines`: NDJSON; `none`: ignored. */
  readonly body: 'json' | 'empty' | 'lines' | 'none';
  /** Whether its handler reads the query. If not, a request with parameters is refused, unless the route is open. */
  readonly query?: true | undefined;
  /** The maximum body length, if it is less than that of a submit. */
  readonly bytesMax?: number | undefined;
  /**
   * Load shedding: refused while the event loop is delayed, so that submits, reports and operators get through. For requests that are
   * expensive or can wait.
   */
  readonly shed?: true | undefined;
  /** A token that was valid within the last hour is enough while the store cannot look it up. For what must work when the store is down. */
  readonly mayBeOld?: true | undefined;
}

const ADMIN = { admin: 'all' } as const;
const OPERATE = { operator: 'all', admin: 'all' } as const;
const OPERATE_OWN = { submitter: 'own', ...OPERATE } as const;
const VIEW = { viewer: 'all', ...OPERATE } as const;
const VIEW_OWN = { submitter: 'own', ...VIEW } as const;
const VIEW_ASSIGNED = { agent: 'own', ...VIEW_OWN } as const;
const SUBMIT = { submitter: 'all', ...OPERATE } as const;
/** For routes that reveal nothing about any task or agent. */
const ANY = { agent: 'all', submitter: 'all', ...VIEW } as const;

/** The first matching row wins, so fixed paths come before those with a parameter in the same position. */
export const ROUTES = [
  { name: 'submit', method: 'POST', path: '/api/tasks', roles: SUBMIT, body: 'json' },
  { name: 'submitBatch', method: 'POST', path: '/api/tasks/batch', roles: SUBMIT, body: 'lines' },
  { name: 'submitBulk', method: 'POST', path: '/api/tasks/bulk', roles: SUBMIT, body: 'lines', shed: true },
  { name: 'listTasks', method: 'GET', path: '/api/tasks', roles: VIEW_OWN, body: 'none', query: true, shed: true },
  { name: 'listDeadLetter', method: 'GET', path: '/api/tasks/dead-letter', roles: VIEW_OWN, body: 'none', query: true, shed: true },
  { name: 'taskStats', method: 'GET', path: '/api/tasks/stats', roles: VIEW, body: 'none', shed: true },
  { name: 'getTask', method: 'GET', path: '/api/tasks/:id', roles: VIEW_ASSIGNED, body: 'none', shed: true },
  { name: 'taskEvents', method: 'GET', path: '/api/tasks/:id/events', roles: VIEW_ASSIGNED, body: 'none', query: true, shed: true },
  { name: 'keptResult', method: 'GET', path: '/api/tasks/:id/results/:generation', roles: VIEW_OWN, body: 'none', query: true, shed: true },
  { name: 'taskOutput', method: 'GET', path: '/api/tasks/:id/output', roles: VIEW_OWN, body: 'none', query: true, shed: true },
  // Not shed: a shed GET is a read from beginning to end, and this one would occupy a turn of its token's reads while it waits.
  { name: 'waitForOutput', method: 'GET', path: '/api/tasks/:id/output/wait', roles: VIEW_OWN, body: 'none', query: true },
  { name: 'retryTask', method: 'POST', path: '/api/tasks/:id/retry', roles: OPERATE, body: 'empty' },
  { name: 'cancelTask', method: 'POST', path: '/api/tasks/:id/cancel', roles: OPERATE_OWN, body: 'empty' },
  { name: 'adoptResult', method: 'POST', path: '/api/tasks/:id/adopt', roles: OPERATE, body: 'json' },
  { name: 'pushTask', method: 'POST', path: '/api/admin/push-task', roles: OPERATE, body: 'json' },
  { name: 'listAgents', method: 'GET', path: '/api/agents', roles: VIEW, body: 'none', query: true, shed: true },
  { name: 'getAgent', method: 'GET', path: '/api/agents/:id', roles: VIEW, body: 'none', shed: true },
  { name: 'drainAgent', method: 'POST', path: '/api/agents/:id/drain', roles: OPERATE, body: 'empty' },
  { name: 'resumeAgent', method: 'POST', path: '/api/agents/:id/resume', roles: OPERATE, body: 'empty' },
  { name: 'checkAgent', method: 'POST', path: '/api/agents/:id/check', roles: OPERATE, body: 'empty' },
  { name: 'takeoverAgent', method: 'POST', path: '/api/agents/:id/takeover', roles: OPERATE, body: 'empty' },
  { name: 'removeAgent', method: 'DELETE', path: '/api/agents/:id', roles: ADMIN, body: 'none' },
  { name: 'register', method: 'POST', path: '/api/onboard/register', roles: 'open', body: 'json', bytesMax: 4_096 },
  { name: 'addEnrolSecret', method: 'POST', path: '/admin/enrol-secrets', roles: ADMIN, body: 'empty' },
  { name: 'addToken', method: 'POST', path: '/admin/tokens', roles: ADMIN, body: 'json' },
  { name: 'listTokens', method: 'GET', path: '/admin/tokens', roles: ADMIN, body: 'none', query: true, shed: true },
  { name: 'rotateToken', method: 'POST', path: '/admin/tokens/:id/rotate', roles: ADMIN, body: 'empty' },
  { name: 'revokeTokens', method: 'DELETE', path: '/admin/tokens/:id', roles: ADMIN, body: 'none' },
  { name: 'openSession', method: 'POST', path: '/api/session', roles: 'open', ownPage: true, body: 'json', bytesMax: 4_096 },
  { name: 'endSession', method: 'DELETE', path: '/api/session', roles: 'open', ownPage: true, body: 'none' },
  { name: 'listAudit', method: 'GET', path: '/admin/audit', roles: ADMIN, body: 'none', query: true, shed: true },
  // A stream is not shed, because a browser does not reconnect a stream that was refused.
  { name: 'streamEvents', method: 'GET', path: '/api/events', roles: VIEW_OWN, body: 'none', query: true },
  { name: 'whoAmI', method: 'GET', path: '/api/whoami', roles: ANY, body: 'none', shed: true },
  { name: 'schemas', method: 'GET', path: '/api/schemas', roles: ANY, body: 'none', shed: true },
  { name: 'openApi', method: 'GET', path: '/api/openapi.json', roles: 'open', body: 'none', shed: true },
  { name: 'docsPage', method: 'GET', path: '/api/docs', roles: 'open', body: 'none', shed: true },
  { name: 'metrics', method: 'GET', path: '/metrics', roles: VIEW, body: 'none', shed: true, mayBeOld: true },
  { name: 'health', method: 'GET', path: '/health', roles: 'open', body: 'none' },
  { name: 'ready', method: 'GET', path: '/ready', roles: 'open', body: 'none' },
] as const satisfies readonly Route[];

export type RouteName = (typeof ROUTES)[number]['name'];
/** The routes that need no token. */
export type OpenRouteName = Extract<(typeof ROUTES)[number], { readonly roles: 'open' }>['name'];

/** The roles that may use a route, in the order of `ROLES`. */
export const rolesOf = ({ roles }: Pick<Route, 'roles'>): readonly Role[] =>
  roles === 'open' ? [] : ROLES.filter((role) => role in roles);
