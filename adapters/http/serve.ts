/** The checks that every request passes before its handler, in order, and the headers of every response. */
import type { RefusalCounts } from '../../core/application/refusal-counts.ts';
import type { HttpRequest, HttpResponse } from '../../core/ports/http.ts';
import { addressGroup } from '../../core/protocol/client-address.ts';
import type { Authenticator, Principal } from './authenticate.ts';
import { readJson, readLines } from './body.ts';
import { type BodyBudget } from './body-budget.ts';
import type { Buckets } from './buckets.ts';
import type { HttpApiDeps } from './deps.ts';
import type { LoopDelay } from './loop-delay.ts';
import type { ParseTurns } from './turns/parse-turns.ts';
import type { ReadTurns } from './turns/read-turns.ts';
import type { Cors } from './cors.ts';
import { invalid, read, refusal, refused, tooMany, type Read, type Reply } from './reply.ts';
import { ownerOf, type ApiRequest, type Caller, type Handler, type OpenHandler } from './request.ts';
import { rolesOf, type Route } from './routes.ts';
import type { Sender } from './request-log.ts';
import { refuseForeignPage } from './session/own-page.ts';
import type { SessionCookies } from './session/session-cookies.ts';

const JSON_TYPES = ['application/json'];
/** The maximum body of a route with `body: 'empty'`. It does not count in the budget. */
const EMPTY_BYTES_MAX = 1_024;
const UNCOUNTED: BodyBudget = { reserve: () => 'reserved', release: () => undefined };
const LINE_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

/** On every response, unless it is a file of the dashboard: data must not be cached or framed, and must not load anything. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

export const httpResponse = ({ status, headers, body }: Reply): HttpResponse => ({
  status,
  headers: headers === undefined ? HEADERS : { ...HEADERS, ...headers },
  body,
});

export interface ServeContext {
  readonly deps: HttpApiDeps;
  readonly auth: Authenticator;
  readonly cookies: SessionCookies;
  readonly cors: Cors;
  /** The request rate of each token. */
  readonly rates: Buckets;
  readonly bodies: BodyBudget;
  /** The concurrent reads of each token. */
  readonly reads: ReadTurns;
  readonly parsing: ParseTurns;
  readonly isClosed: () => boolean;
  readonly loop: LoopDelay;
  /** Refused requests, by error code. */
  readonly refusedRequests: RefusalCounts;
}

/** 403 for a Host or Origin that is not allowed, 503 while the hub stops; null if the request passes. */
export function refuseAtDoor(context: ServeContext, request: HttpRequest): Reply | null {
  const given = request.header('origin');
  const origin = context.cors.allows(given) ? undefined : given;
  if (!context.deps.isAllowedOrigin({ host: request.header('host'), origin })) {
    return refusal(
      'forbidden_origin',
      'The Host or Origin of the request is not a name of this hub; add it to hub.listen.names (a web page: hub.listen.origins).',
    );
  }
  return context.isClosed() ? refusal('hub_stopping', 'The hub is stopping; retry when it is back.') : null;
}

/** Handles a request on this route. `sender.token` becomes the token's ID once the token is known. */
export async function serve(
  context: ServeContext,
  route: Route,
  handler: Handler | OpenHandler,
  request: HttpRequest,
  params: Readonly<Record<string, string>>,
  sender: Sender,
): Promise<Reply> {
  const { deps } = context;
  const { address } = sender;
  const foreign = route.ownPage === true ? refuseForeignPage(request) : null;
  if (foreign !== null) return foreign;
  const admitted = route.roles === 'open' ? OPEN : admit(context, route, await identify(context, route, request, address), sender);
  if (admitted.kind === 'refused') return admitted.reply;
  const shed = refuseIfBusy(context, route);
  if (shed !== null) return shed;
  const wrong = refuseType(route, request) ?? refuseQuery(route, request);
  if (wrong !== null) return wrong;

  const owner = admitted.value === null ? `address ${addressGroup(address)}` : ownerOf(admitted.value);
  const isEmpty = route.body === 'empty';
  const rules = { budget: isEmpty ? UNCOUNTED : context.bodies, turns: context.parsing, owner, clock: deps.clock };
  const releases: (() => void)[] = [];
  if (request.method !== 'GET' && admitted.value !== null) releases.push(deps.inbox.expect());
  if (isRead(route)) {
    const turn = context.reads.enter(owner);
    if (turn === null) return tooMany(`This token has ${deps.limits.readsPerToken} unanswered reads.`, READS_WAIT_MS);
    const leave = await turn;
    // What it read is in memory until the client has taken the response.
    releases.push(() => leave(request.whenSent));
  }
  try {
    let json: unknown;
    if (route.body === 'json' || isEmpty) {
      const bytesMax = isEmpty ? EMPTY_BYTES_MAX : (route.bytesMax ?? deps.limits.submitBytes);
      const taken = await readJson(request, { ...rules, bytesMax });
      releases.push(taken.release);
      if (taken.body.kind === 'refused') return taken.body.reply;
      json = taken.body.value;
    }
    const apiRequest: ApiRequest = {
      method: request.method,
      params,
      query: () => new URLSearchParams(request.query),
      header: (name) => request.header(name),
      address,
      json: json ?? (isEmpty ? {} : undefined),
      readLines: async (take) => {
        const { bulkBytes, submitBytes, bulkLines } = deps.limits;
        const taken = await readLines(request, { ...rules, bytesMax: bulkBytes, lineBytesMax: submitBytes, linesMax: bulkLines }, take);
        releases.push(taken.release);
        return taken.reply;
      },
    };
    return admitted.value === null ? await (handler as OpenHandler)(apiRequest) : await (handler as Handler)(apiRequest, admitted.value);
  } finally {
    for (const release of releases) release();
  }
}

/** After how long a token with too many waiting reads may retry, milliseconds. */
const READS_WAIT_MS = 1_000;
/** Whether it is a read from beginning to end. Streams and waits take turns of reads by themselves, for as long as they read. */
const isRead = (route: Route): boolean => route.method === 'GET' && route.shed === true;

/** For a public route. */
const OPEN: Read<null> = read(null);

/** The caller, if its request rate allows the request and its role may use the route. */
function admit({ rates }: ServeContext, route: Route, known: Read<Principal>, sender: Sender): Read<Caller> {
  if (known.kind === 'refused') return known;
  const { id, role } = known.value;
  sender.token = id;
  const rate = rates.take(id);
  if (!rate.taken) return refused(tooMany('This token sends too many requests.', rate.waitMs));
  const reach = route.roles === 'open' ? undefined : route.roles[role];
  if (reach !== undefined) return read({ ...known.value, reach });
  const message = `The role ${role} does not allow this; it requires one of: ${rolesOf(route).join(', ')}.`;
  return refused(refusal('forbidden', message));
}

/** Identifies the caller by the bearer token; without one, by the session cookie of the dashboard. */
function identify(
  { auth, cookies, deps }: ServeContext,
  route: Route,
  request: HttpRequest,
  address: string,
): Read<Principal> | Promise<Read<Principal>> {
  const authorization = request.header('authorization');
  const session = authorization === undefined ? cookies.open(request.header('cookie'), deps.clock.nowMs()) : null;
  if (session === null) return auth.authenticate(authorization, address, route.mayBeOld);
  const foreign = refuseForeignPage(request);
  return foreign === null ? auth.resume(session, address) : refused(foreign);
}

/** Checked after authentication, so that strangers learn nothing about the load of the hub. */
function refuseIfBusy({ deps, loop }: ServeContext, route: Route): Reply | null {
  if (route.shed !== true) return null;
  const delayMs = loop.longestMs();
  const maxMs = deps.limits.loopDelayMs;
  if (delayMs <= maxMs) return null;
  return refusal(
    'hub_busy',
    `The hub is ${delayMs} ms behind, and refuses bulk submits and reads while that is over ${maxMs} ms; retry later.`,
  );
}

/** Parameters that would be ignored. Open routes ignore them: probes and caches add some of their own. */
function refuseQuery(route: Route, { query }: HttpRequest): Reply | null {
  if (query === '' || route.query === true || route.roles === 'open') return null;
  const [name] = new URLSearchParams(query).keys();
  if (name === undefined) return null;
  return invalid([{ field: name, error: 'unknown_field', detail: 'is unknown; this route has no query parameters' }]);
}

function refuseType(route: Route, request: HttpRequest): Reply | null {
  const encoding = request.header('content-encoding');
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity')
    return refusal('unsupported_media_type', 'The body is compressed; send it uncompressed, without Content-Encoding.');
  if (route.body === 'none') return null;
  if (route.body === 'json' && request.header('content-type') === JSON_TYPES[0]) return null;
  const [type = '', ...parameters] = (request.header('content-type') ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  if (route.body === 'empty' && type === '') return null;
  const wanted = route.body === 'lines' ? LINE_TYPES : JSON_TYPES;
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice('charset='.length)
    .replaceAll('"', '');
  if (wanted.includes(type) && (charset === undefined || charset === 'utf-8' || charset === 'utf8')) return null;
  return refusal('unsupported_media_type', `The Content-Type must be ${wanted[0]} in UTF-8.`);
}
