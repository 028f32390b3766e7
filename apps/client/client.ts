/**
 * The hub's HTTP API as functions, one for each route. Each throws `AC_API` if the hub refuses and `AC_API_UNREACHABLE` if it does not
 * respond. "Retried": if the response is lost, the request is sent again automatically, within `Connection.retryWithinMs`.
 */
import { auditClient, type AuditClient } from './audit-client.ts';
import { eventsClient } from './events.ts';
import { requester, type Connection } from './api-request.ts';
import { agentsClient, type AgentsClient } from './agents-client.ts';
import { enrolmentClient, tokensClient, type EnrolmentClient, type TokensClient } from './tokens-client.ts';
import { tasksClient, type TasksClient } from './tasks-client.ts';
import type { EventsOptions } from './events.ts';
import { keyMaker, type Platform } from './platform.ts';
import type { StreamEvent, WhoAmIJson } from './types.ts';

/**
 * A hub, as programs use it. Creating it sends nothing, and throws `AC_USAGE` if an option is wrong. Its methods reject with `AC_API` if the hub refuses, with `AC_API_UNREACHABLE` if
 * it does not respond within `retryWithinMs`, and may be called at the same time.
 */
export interface HubClient {
  readonly url: string;
  readonly tasks: TasksClient;
  readonly agents: AgentsClient;
  readonly tokens: TokensClient;
  readonly enrolment: EnrolmentClient;
  readonly audit: AuditClient;
  /**
   * Events of all tasks that the token may see, each once and in order, as they are committed. Resumes after dropped connections and
   * hub restarts. Ends when `signal` is aborted; throws if the hub cannot be reached for longer than `giveUpAfterMs`.
   */
  events(options?: EventsOptions): AsyncGenerator<StreamEvent, void>;
  /** Who the token belongs to. Retried. */
  whoami(): Promise<WhoAmIJson>;
  /** Whether the hub runs, whether it can commit now, and which adapters it uses. Needs no token. Retried. */
  health(): Promise<Readonly<Record<string, unknown>>>;
  /** Resolves if the hub can commit now. Needs no token. Retried, as after any 503, so that it waits a while for a hub that is starting. */
  ready(): Promise<void>;
  /** The OpenAPI 3.1 document of the HTTP API. Needs no token. Retried. */
  openApi(): Promise<Readonly<Record<string, unknown>>>;
  /** The same as an HTML page. Needs no token. Retried. */
  docsPage(): Promise<string>;
  /** The hub's metrics, in the text format of Prometheus. Retried. */
  metrics(): Promise<string>;
  /** The JSON Schemas of all bodies, queries and frames. Retried. */
  schemas(): Promise<Readonly<Record<string, unknown>>>;
}

/** A client for the hub at `connection.url`, on the given platform. */
export function clientOn({ exchange, random }: Platform, connection: Connection): HubClient {
  const requests = requester(connection, exchange);
  const events = eventsClient(requests);
  return {
    url: connection.url,
    tasks: tasksClient(requests, events, { newKey: keyMaker(random), signWith: connection.signWith }),
    agents: agentsClient(requests),
    tokens: tokensClient(requests),
    enrolment: enrolmentClient(requests),
    audit: auditClient(requests),
    events,
    whoami: () => requests.get('/api/whoami'),
    health: () => requests.get('/health'),
    ready: async () => void (await requests.get('/ready')),
    openApi: () => requests.get('/api/openapi.json'),
    docsPage: () => requests.text('/api/docs'),
    metrics: () => requests.text('/metrics'),
    schemas: () => requests.get('/api/schemas'),
  };
}
