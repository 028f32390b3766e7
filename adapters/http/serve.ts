/** What every request goes through before its handler, in this order, and what its answer carries. */
import type { RefusalCounts } from '../../core/application/refusal-counts.ts';
import type { NoteRefusal } from '../../core/application/refusal-log.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { HttpReply, HttpRequest } from '../../core/ports/http.ts';
import { addressGroup, clientAddress } from '../../core/protocol/client-address.ts';
import type { Authenticator, Principal } from './authenticate.ts';
import { takeJson, takeLines } from './body.ts';
import { type BodyBudget } from './body-budget.ts';
import type { Buckets } from './buckets.ts';
import type { HttpApiDeps } from './deps.ts';
import type { LoopDelay } from './loop-delay.ts';
import type { ReadTurns } from './read-turns.ts';
import { read, refusal, refused, tooMany, type Read, type Reply } from './reply.ts';
import type { ApiRequest, Handler, OpenHandler } from './request.ts';
import type { Route } from './routes.ts';

const JSON_TYPES = ['application/json'];
/** What a route takes whose body says nothing: `{}`, or blanks. It counts in no budget. */
const EMPTY_BYTES_MAX = 1_024;
const UNCOUNTED: BodyBudget = { take: () => 'taken', giveBack: () => undefined };
const LINE_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

/** On every answer. The API gives data, never a page: nothing may be loaded by it, and nobody may keep or frame it. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

export const httpReply = ({ status, headers, body }: Reply): HttpReply => ({ status, headers: { ...HEADERS, ...headers }, body });

export interface ServeContext {
  readonly deps: HttpApiDeps;
  readonly auth: Authenticator;
  /** Requests of each token. */
  readonly rates: Buckets;
  readonly bodies: BodyBudget;
  /** Reads of each token. */
  readonly reads: ReadTurns;
  readonly isClosed: () => boolean;
  readonly loop: LoopDelay;
  readonly noteRefusal: NoteRefusal;
  /** Requests that were refused, by their error code. */
  readonly refusedRequests: RefusalCounts;
}

/** 403 for a Host or Origin that is not this hub's, 503 while it stops; null lets the request pass. */
export function refuseAtDoor(context: ServeContext, request: HttpRequest): Reply | null {
  if (!context.deps.isAllowedOrigin({ host: request.header('host'), origin: request.header('origin') })) {
    return refusal('forbidden_origin', 'The Host or Origin of the request is not a name of this hub; add it to hub.listen.names.');
  }
  return context.isClosed() ? refusal('hub_stopping', 'The hub is stopping; retry when it is back.') : null;
}

/** Serves a request of this route. */
export async function serve(
  context: ServeContext,
  route: Route,
  handler: Handler | OpenHandler,
  request: HttpRequest,
  params: Readonly<Record<string, string>>,
): Promise<Reply> {
  const { deps } = context;
  const address = clientAddress(request.remoteAddress, request.header('x-forwarded-for') ?? null, deps.trustedProxies);
  const admitted = await admit(context, route, request, address);
  if (admitted.kind === 'refused') return admitted.reply;
  const late = refuseLate(context, route);
  if (late !== null) return late;
  const wrongType = refuseType(route, request);
  if (wrongType !== null) return wrongType;

  const owner = admitted.value === null ? `address ${addressGroup(address)}` : `token ${admitted.value.id}`;
  const isEmpty = route.body === 'empty';
  const rules = { budget: isEmpty ? UNCOUNTED : context.bodies, owner, clock: deps.clock };
  const releases: (() => void)[] = [];
  if (request.method !== 'GET' && admitted.value !== null) releases.push(deps.inbox.expect());
  if (isRead(route)) {
    const turn = context.reads.enter(owner);
    if (turn === null) return tooMany(`This token has ${deps.limits.readsPerToken} unanswered reads.`, READS_WAIT_MS);
    releases.push(await turn);
  }
  try {
    let json: unknown;
    if (route.body === 'json' || isEmpty) {
      const bytesMax = isEmpty ? EMPTY_BYTES_MAX : (route.bytesMax ?? deps.limits.submitBytes);
      const taken = await takeJson(request, { ...rules, bytesMax });
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
        const taken = await takeLines(request, { ...rules, bytesMax: bulkBytes, lineBytesMax: submitBytes, linesMax: bulkLines }, take);
        releases.push(taken.release);
        return taken.reply;
      },
    };
    return admitted.value === null ? await (handler as OpenHandler)(apiRequest) : await (handler as Handler)(apiRequest, admitted.value);
  } finally {
    for (const release of releases) release();
  }
}

/** When a token that has too many reads waiting may ask again, milliseconds. */
const READS_WAIT_MS = 1_000;
/** What looks into the database for as long as the answer takes; a stream does it a little at a time. */
const isRead = (route: Route): boolean => route.method === 'GET' && route.shed === true;

/** Who sent it, when the route lets them in; null on an open route. */
async function admit(context: ServeContext, route: Route, request: HttpRequest, address: string): Promise<Read<Principal | null>> {
  if (route.roles === 'open') return read(null);
  const known = await context.auth.authenticate(request.header('authorization'), address);
  if (known.kind === 'refused') return known;
  const { id, role } = known.value;
  const rate = context.rates.take(id);
  if (!rate.taken) return refused(tooMany('This token sends too many requests.', rate.waitMs));
  if (route.roles.includes(role)) return known;
  const message = `The role ${role} does not allow this; it requires one of: ${route.roles.join(', ')}.`;
  return refused(refusal('forbidden', message));
}

/** After who sent it: strangers learn nothing of how the hub is. */
function refuseLate({ deps, loop }: ServeContext, route: Route): Reply | null {
  if (route.shed !== true) return null;
  const lateMs = loop.longestMs();
  const mostMs = deps.limits.loopDelayMs;
  if (lateMs <= mostMs) return null;
  return refusal(
    'hub_busy',
    `The hub is ${lateMs} ms behind, and refuses bulk submits and reads while that is over ${mostMs} ms; retry later.`,
  );
}

function refuseType(route: Route, request: HttpRequest): Reply | null {
  const encoding = request.header('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity')
    return refusal('unsupported_media_type', 'The body is compressed; send it uncompressed, without Content-Encoding.');
  if (route.body === 'none') return null;
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

/** The reply for what a handler threw. */
export function replyToFailure(thrown: unknown): Reply {
  if (AgentcomError.is(thrown, 'AC_HUB_STOPPING') || AgentcomError.is(thrown, 'AC_STORE_CLOSED')) {
    return refusal('hub_stopping', 'The hub is stopping; retry when it is back.');
  }
  if (AgentcomError.is(thrown, 'AC_HUB_BUSY')) return refusal('hub_busy', 'The command queue of the hub is full; retry later.');
  if (AgentcomError.is(thrown, 'AC_STORE_DAMAGED'))
    return refusal('storage_damaged', 'A stored row that this request needs cannot be read. Run agentcom doctor --fsck on the hub.');
  for (const code of ['AC_STORE_UNAVAILABLE', 'AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN'] as const) {
    if (AgentcomError.is(thrown, code)) return refusal('storage_unavailable', 'The database cannot answer or commit now; retry later.');
  }
  return refusal('internal', 'Internal error; see the log of the hub.');
}

/** What the log says of a request: never its query, its headers or its body, which may hold what is secret. */
export interface Logged {
  readonly method: string;
  /** The route's, with its names in place of what was given; null where there is no such route. */
  readonly path: string | null;
}

/** One line for each request that failed, and a count of each refusal; what is refused is told once of each kind in a while, the rest at debug. */
export function logAnswer(
  { deps, noteRefusal, refusedRequests }: ServeContext,
  { method, path }: Logged,
  reply: Reply,
  thrown?: unknown,
): void {
  const fields = { method, path, status: reply.status };
  if (reply.refused !== undefined) refusedRequests.add(reply.refused);
  if (reply.status === 500)
    deps.log.error('A request failed.', { ...fields, error: messageOf(thrown), stack: thrown instanceof Error ? thrown.stack : null });
  else if (reply.status === 503)
    deps.log.warn('A request was rejected.', { ...fields, ...(thrown === undefined ? {} : { error: messageOf(thrown) }) });
  else if (reply.refused !== undefined)
    noteRefusal(`${method} ${path ?? ''} ${reply.refused}`, 'A request was refused.', { ...fields, error: reply.refused });
  else deps.log.debug('A request was answered.', fields);
}
