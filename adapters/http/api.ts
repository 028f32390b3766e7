/** The HTTP API: the routes of the table, with the same checks for every request. */
import type { HttpHandler, HttpRequest, HttpResponse } from '../../core/ports/http.ts';
import { agentHandlers } from './endpoints/agent-endpoints.ts';
import { allAgents } from './endpoints/all-agents.ts';
import { auditHandlers } from './endpoints/audit-endpoints.ts';
import { authenticator } from './authenticate.ts';
import { bodyBudget } from './body-budget.ts';
import { buckets } from './buckets.ts';
import { cors } from './cors.ts';
import { dashboardPages } from './dashboard/dashboard-pages.ts';
import type { HttpApi, HttpApiDeps } from './deps.ts';
import { docsHandlers } from './endpoints/docs-endpoints.ts';
import { eventStreams } from './endpoints/event-streams.ts';
import { withHsts } from './hsts.ts';
import { hubHandlers } from './endpoints/hub-endpoints.ts';
import { metricsHandlers } from './endpoints/metrics-endpoint.ts';
import { loopDelay } from './loop-delay.ts';
import { parseTurns } from './turns/parse-turns.ts';
import { readTurns } from './turns/read-turns.ts';
import { refusal, replyToFailure, type Reply } from './reply.ts';
import type { Handlers } from './request.ts';
import { refusedLogins } from './refused-logins.ts';
import { requestLog, type Logged, type Sender } from './request-log.ts';
import { routeTable } from './route-table.ts';
import { ROUTES, type Route } from './routes.ts';
import { httpResponse, refuseAtDoor, serve, type ServeContext } from './serve.ts';
import { sessionCookies } from './session/session-cookies.ts';
import { sessionHandlers } from './session/session-endpoints.ts';
import { submitHandlers } from './endpoints/submit-endpoint.ts';
import { taskHistoryHandlers } from './endpoints/task-history.ts';
import { taskOutputHandlers } from './endpoints/task-output.ts';
import { taskHandlers } from './endpoints/task-endpoints.ts';
import { tokenHandlers } from './endpoints/token-endpoints.ts';
import { waiting } from './endpoints/waiting.ts';

/** For how many tokens the request rate is remembered. */
const RATED_TOKENS_MAX = 10_000;

/** Creates the API. Opens nothing. */
export function httpApi(deps: HttpApiDeps): HttpApi {
  let closed = false;
  const refusedTokens = refusedLogins(deps);
  const auth = authenticator(deps, refusedTokens.add);
  const cookies = sessionCookies(deps.sessionSecret);
  const pages = dashboardPages(deps.dashboard);
  const rate = { burst: deps.limits.requestBurst, perSecond: deps.limits.requestsPerSecond };
  const requests = requestLog(deps);
  const context: ServeContext = {
    deps,
    auth,
    cookies,
    cors: cors(deps.pageOrigins),
    rates: buckets(rate, RATED_TOKENS_MAX, deps.clock),
    bodies: bodyBudget({
      bytesMax: deps.limits.inboxBytes,
      ownerBytesMax: deps.limits.bodyBytesPerToken,
      grantedBytes: deps.limits.submitBytes,
    }),
    reads: readTurns(
      { perOwner: deps.limits.readsPerToken, msPerSecond: deps.limits.readMsPerSecond, burstMs: deps.limits.readBurstMs },
      deps.clock,
    ),
    parsing: parseTurns(),
    isClosed: () => closed,
    loop: loopDelay(),
    refusedRequests: requests.refused,
  };
  const streams = eventStreams(deps, context.reads);
  const everyAgent = allAgents(deps);
  const why = waiting(deps, everyAgent);
  const handlers: Handlers = {
    ...submitHandlers(deps),
    ...taskHandlers(deps, why),
    ...taskHistoryHandlers(deps),
    ...agentHandlers(deps, why),
    ...taskOutputHandlers(deps, context.reads),
    ...tokenHandlers(deps, auth),
    ...auditHandlers(deps),
    ...sessionHandlers(deps, auth, cookies),
    ...hubHandlers(deps, context, everyAgent),
    ...metricsHandlers(deps, context),
    ...docsHandlers(deps),
    streamEvents: streams.open,
  };

  const find = routeTable(ROUTES);

  const answered = (logged: Logged | Route, sender: Sender, reply: Reply, thrown?: unknown): HttpResponse => {
    requests.answered(logged, sender, reply, thrown);
    // Without a route, the method is any text that the client sent.
    deps.metrics.requestAnswered({ route: 'name' in logged ? logged : null, status: reply.status });
    return httpResponse(reply);
  };
  /** The response if the path, or the method on it, does not exist. */
  const noRoute = (method: string, others: readonly Route[], sender: Sender): HttpResponse => {
    const [first] = others;
    if (first === undefined)
      return answered({ method, path: null }, sender, refusal('unknown_route', 'There is no such route. GET /api/docs lists all routes.'));
    const allow = others.map((route) => route.method).join(', ');
    return answered({ method, path: first.path }, sender, refusal('method_not_allowed', `Allowed: ${allow}.`, { headers: { allow } }));
  };

  const handle = async (request: HttpRequest): Promise<HttpResponse> => {
    const { method } = request;
    const sender = requests.senderOf(request);
    const refused = refuseAtDoor(context, request);
    if (refused !== null) return answered({ method, path: null }, sender, refused);
    const preflight = context.cors.preflight(request);
    if (preflight !== null) return answered({ method, path: null }, sender, preflight);
    const page = pages(request);
    if (page !== null) return answered({ method, path: '/dashboard' }, sender, page);
    const found = find(method, request.path);
    if (found.route === null) return noRoute(method, found.others, sender);
    try {
      const reply = await serve(context, found.route, handlers[found.route.name], request, found.params, sender);
      return answered(found.route, sender, reply);
    } catch (thrown) {
      return answered(found.route, sender, replyToFailure(thrown), thrown);
    }
  };

  const readable: HttpHandler =
    deps.pageOrigins.length === 0 ? handle : async (request) => context.cors.readable(request, await handle(request));

  return {
    handle: deps.certificate === null ? readable : withHsts(readable),
    close() {
      closed = true;
      streams.close();
      refusedTokens.close();
      context.loop.close();
    },
  };
}
