/** Every route of the HTTP API, with the roles that may use it. The router is built from this table alone. */
import type { Role } from '../../core/ports/agent-store.ts';

export interface Route {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** `open`: no token needed. */
  readonly roles: readonly Role[] | 'open';
  /** `json`: one JSON value; `empty`: nothing, or `{}`; `lines`: NDJSON; `none`: ignored. */
  readonly body: 'json' | 'empty' | 'lines' | 'none';
  /** The maximum body length, if it is less than that of a submit. */
  readonly bytesMax?: number | undefined;
  /**
   * Load shedding: refused while the event loop is delayed, so that submits, reports and operators get through. For requests that are
   * expensive or can wait.
   */
  readonly shed?: true | undefined;
}

const ALL = ['agent', 'submitter', 'viewer', 'operator', 'admin'] as const;
const VIEW = ['viewer', 'operator', 'admin'] as const;
/** The handlers show a submitter only its own tasks. */
const VIEW_OWN = ['submitter', ...VIEW] as const;
const SUBMIT = ['submitter', 'operator', 'admin'] as const;
const OPERATE = ['operator', 'admin'] as const;
const ADMIN = ['admin'] as const;

/** The first matching row wins, so fixed paths come before those with a parameter in the same position. */
export const ROUTES = [
  { name: 'submit', method: 'POST', path: '/api/tasks', roles: SUBMIT, body: 'json' },
  { name: 'submitBatch', method: 'POST', path: '/api/tasks/batch', roles: SUBMIT, body: 'lines' },
  { name: 'submitBulk', method: 'POST', path: '/api/tasks/bulk', roles: SUBMIT, body: 'lines', shed: true },
  { name: 'listTasks', method: 'GET', path: '/api/tasks', roles: VIEW_OWN, body: 'none', shed: true },
  { name: 'listDeadLetter', method: 'GET', path: '/api/tasks/dead-letter', roles: VIEW_OWN, body: 'none', shed: true },
  { name: 'taskStats', method: 'GET', path: '/api/tasks/stats', roles: VIEW, body: 'none', shed: true },
  { name: 'getTask', method: 'GET', path: '/api/tasks/:id', roles: ALL, body: 'none', shed: true },
  { name: 'taskEvents', method: 'GET', path: '/api/tasks/:id/events', roles: ALL, body: 'none', shed: true },
  { name: 'keptResult', method: 'GET', path: '/api/tasks/:id/results/:generation', roles: VIEW_OWN, body: 'none', shed: true },
  { name: 'taskOutput', method: 'GET', path: '/api/tasks/:id/output', roles: VIEW_OWN, body: 'none', shed: true },
  // Not shed: it waits, and would take a turn of its token's reads for that long.
  { name: 'waitForOutput', method: 'GET', path: '/api/tasks/:id/output/wait', roles: VIEW_OWN, body: 'none' },
  { name: 'retryTask', method: 'POST', path: '/api/tasks/:id/retry', roles: OPERATE, body: 'empty' },
  { name: 'cancelTask', method: 'POST', path: '/api/tasks/:id/cancel', roles: ['submitter', ...OPERATE], body: 'empty' },
  { name: 'adoptResult', method: 'POST', path: '/api/tasks/:id/adopt', roles: OPERATE, body: 'json' },
  { name: 'pushTask', method: 'POST', path: '/api/admin/push-task', roles: OPERATE, body: 'json' },
  { name: 'listAgents', method: 'GET', path: '/api/agents', roles: VIEW, body: 'none', shed: true },
  { name: 'getAgent', method: 'GET', path: '/api/agents/:id', roles: VIEW, body: 'none', shed: true },
  { name: 'drainAgent', method: 'POST', path: '/api/agents/:id/drain', roles: OPERATE, body: 'empty' },
  { name: 'resumeAgent', method: 'POST', path: '/api/agents/:id/resume', roles: OPERATE, body: 'empty' },
  { name: 'checkAgent', method: 'POST', path: '/api/agents/:id/check', roles: OPERATE, body: 'empty' },
  { name: 'takeoverAgent', method: 'POST', path: '/api/agents/:id/takeover', roles: OPERATE, body: 'empty' },
  { name: 'removeAgent', method: 'DELETE', path: '/api/agents/:id', roles: ADMIN, body: 'none' },
  { name: 'register', method: 'POST', path: '/api/onboard/register', roles: 'open', body: 'json', bytesMax: 4_096 },
  { name: 'addEnrolSecret', method: 'POST', path: '/admin/enrol-secrets', roles: ADMIN, body: 'empty' },
  { name: 'addToken', method: 'POST', path: '/admin/tokens', roles: ADMIN, body: 'json' },
  { name: 'listTokens', method: 'GET', path: '/admin/tokens', roles: ADMIN, body: 'none', shed: true },
  { name: 'revokeTokens', method: 'DELETE', path: '/admin/tokens/:id', roles: ADMIN, body: 'none' },
  { name: 'openSession', method: 'POST', path: '/api/session', roles: 'open', body: 'json', bytesMax: 4_096 },
  { name: 'endSession', method: 'DELETE', path: '/api/session', roles: 'open', body: 'none' },
  // A stream is not shed, because a browser does not reconnect a stream that was refused.
  { name: 'streamEvents', method: 'GET', path: '/api/events', roles: VIEW_OWN, body: 'none' },
  { name: 'whoAmI', method: 'GET', path: '/api/whoami', roles: ALL, body: 'none', shed: true },
  { name: 'schemas', method: 'GET', path: '/api/schemas', roles: ALL, body: 'none', shed: true },
  { name: 'openApi', method: 'GET', path: '/api/openapi.json', roles: 'open', body: 'none', shed: true },
  { name: 'docsPage', method: 'GET', path: '/api/docs', roles: 'open', body: 'none', shed: true },
  { name: 'metrics', method: 'GET', path: '/metrics', roles: VIEW, body: 'none', shed: true },
  { name: 'health', method: 'GET', path: '/health', roles: 'open', body: 'none' },
] as const satisfies readonly Route[];

export type RouteName = (typeof ROUTES)[number]['name'];
/** The routes that need no token. */
export type OpenRouteName = Extract<(typeof ROUTES)[number], { readonly roles: 'open' }>['name'];
