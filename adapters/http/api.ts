/** The HTTP API: routes from the table, each request through the same checks, each answer JSON. */
import { Hono, type Context } from 'hono';
import { refusalCounts } from '../../core/application/refusal-counts.ts';
import { refusalLog } from '../../core/application/refusal-log.ts';
import { agentHandlers } from './endpoints/agent-endpoints.ts';
import { allAgents } from './endpoints/all-agents.ts';
import { authenticator } from './authenticate.ts';
import { bodyBudget } from './body-budget.ts';
import { buckets } from './buckets.ts';
import type { HttpApi, HttpApiDeps } from './deps.ts';
import { eventStreams } from './endpoints/event-streams.ts';
import { hubHandlers } from './endpoints/hub-endpoints.ts';
import { loopDelay } from './loop-delay.ts';
import { readTurns } from './read-turns.ts';
import { refusal, type Reply } from './reply.ts';
import type { Handler, Handlers, OpenHandler } from './request.ts';
import { ROUTES, type Route } from './routes.ts';
import { logAnswer, refuseAtDoor, replyToFailure, responseOf, serve, type ServeContext } from './serve.ts';
import { submitHandlers } from './endpoints/submit-endpoint.ts';
import { taskHistoryHandlers } from './endpoints/task-history.ts';
import { taskHandlers } from './endpoints/task-endpoints.ts';
import { tokenHandlers } from './endpoints/token-endpoints.ts';

/** Tokens whose rate is remembered at once. */
const RATED_TOKENS_MAX = 10_000;

type Env = { Bindings: { readonly remoteAddress: string } };

/** Makes the API; opens nothing. */
export function httpApi(deps: HttpApiDeps): HttpApi {
  let closed = false;
  const auth = authenticator(deps);
  const rate = { burst: deps.limits.requestBurst, perSecond: deps.limits.requestsPerSecond };
  const streams = eventStreams(deps);
  const context: ServeContext = {
    deps,
    auth,
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
    isClosed: () => closed,
    loop: loopDelay(),
    noteRefusal: refusalLog(deps),
    refusedRequests: refusalCounts(),
  };
  /** Answers a request that no handler sees. */
  const turnAway = (request: Request, path: string | null, reply: Reply): Response => {
    logAnswer(context, { method: request.method, path }, reply);
    return responseOf(reply);
  };
  const everyAgent = allAgents(deps);
  const handlers: Handlers = {
    ...submitHandlers(deps),
    ...taskHandlers(deps, everyAgent),
    ...taskHistoryHandlers(deps),
    ...agentHandlers(deps),
    ...tokenHandlers(deps, auth),
    ...hubHandlers(deps, context, everyAgent),
    streamEvents: streams.open,
  };

  // What matches is one handler alone, which Hono calls without a chain of them.
  const app = new Hono<Env>();
  for (const route of ROUTES) app.on(route.method, route.path, (c) => answer(context, route, handlers[route.name], c));
  const others = new Hono<Env>();
  for (const path of new Set(ROUTES.map((route) => route.path))) {
    const allow = ROUTES.filter((route) => route.path === path).map((route) => route.method);
    const refused = refusal('method_not_allowed', `Here goes ${allow.join(', ')}.`, { headers: { allow: allow.join(', ') } });
    others.all(path, (c) => turnAway(c.req.raw, path, refused));
  }
  others.notFound((c) => turnAway(c.req.raw, null, refusal('unknown_route', 'There is no such address.')));
  app.notFound((c) => others.fetch(c.req.raw, c.env));

  return {
    handle(request, peer) {
      const reply = refuseAtDoor(context, request);
      return reply === null ? app.fetch(request, { remoteAddress: peer.remoteAddress }) : turnAway(request, null, reply);
    },
    close() {
      closed = true;
      streams.close();
      context.loop.close();
    },
  };
}

async function answer(context: ServeContext, route: Route, handler: Handler | OpenHandler, c: Context<Env>): Promise<Response> {
  try {
    const arrived = { request: c.req.raw, params: c.req.param() as Record<string, string>, remoteAddress: c.env.remoteAddress };
    const reply = await serve(context, route, handler, arrived);
    logAnswer(context, route, reply);
    return responseOf(reply);
  } catch (thrown) {
    const reply = replyToFailure(thrown);
    logAnswer(context, route, reply, thrown);
    return responseOf(reply);
  }
}
