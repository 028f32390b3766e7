/** Requests to the hub, with bounded retries where a retry is safe. */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { SignTask } from '../signing/signing-options.ts';
import { requestedWaitMs, checkMs, isTemporary, retryAfterMs, Retries, wasNotSent } from './retries.ts';
import { onAbort, Stop, TIMED_OUT, timedOut, type Exchange, type HttpAnswer, type HttpQuestion } from './platform.ts';

/** Where the hub is, and who asks. */
export interface Connection {
  /** For example `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly token?: string | undefined;
  /** Where the token was taken from, such as the name of a variable or a file: for the error if the hub does not accept it. */
  readonly tokenFrom?: string | undefined;
  /** Signs the tasks that are submitted, for sidecars that accept signed ones only; `taskSigner` makes one in Node. Default: none is signed. */
  readonly signWith?: SignTask | undefined;
  /** Called before each retry, with the reason. */
  readonly onRetry?: ((reason: string) => void) | undefined;
  /** How long after its first failure a request may be retried, milliseconds. Default 5,000; 0: no retry. */
  readonly retryWithinMs?: number | undefined;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
  readonly body?: unknown;
  /** Sent unchanged, instead of `body` as JSON. */
  readonly text?: { readonly type: string; readonly content: string } | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Whether it may be retried after it was sent. */
  readonly idempotent: boolean;
  /** Overrides that of the connection. */
  readonly retryWithinMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The hub answers it once something has happened: it takes no turn of the reads. */
  readonly isHeld?: boolean | undefined;
  /** Called with the status of the successful response. */
  readonly onStatus?: ((status: number) => void) | undefined;
}

/** Timeout of one attempt; the hub usually responds within milliseconds. */
const ANSWER_WITHIN_MS = 30_000;
/** Reads of a client at the same time; the others wait here. A hub refuses more than 64 reads of one token, and runs two of them at a time. */
const READS_MAX = 32;

/** A connection, with what its requests need. */
interface Link extends Connection {
  readonly exchange: Exchange;
  /** The address of the hub. Parsed once: parsing takes as long as the rest of an attempt. */
  readonly base: URL;
  readonly reads: Turns;
}

async function request<T>(link: Link, call: Call, retries?: Retries): Promise<T> {
  let status = 0;
  const read = (response: HttpAnswer): Promise<T> => {
    ({ status } = response);
    return readJson<T>(response, link, call);
  };
  const answer = await retried(link, call, read, retries);
  // Not while reading the response, where an error counts as one of the connection.
  call.onStatus?.(status);
  return answer;
}

/** Sends the request until it succeeds, within the limits of its retries. */
async function retried<T>(link: Link, call: Call, read: (response: HttpAnswer) => Promise<T>, retries = new Retries()): Promise<T> {
  retries.begin(call.retryWithinMs ?? link.retryWithinMs, link.onRetry);
  const isRead = call.method === 'GET' && call.isHeld !== true;
  for (;;) {
    try {
      return await (isRead ? link.reads(() => attempt(link, call, read), call.signal) : attempt(link, call, read));
    } catch (thrown) {
      if (!AgentcomError.is(thrown) || !isTemporary(thrown) || !(call.idempotent || wasNotSent(thrown))) throw thrown;
      if (!(await retries.next(thrown.message, requestedWaitMs(thrown), call.signal))) throw thrown;
    }
  }
}

/** Runs what it is given once it is its turn. Rejects with the reason of the signal if that is aborted first. */
type Turns = <T>(run: () => Promise<T>, signal: AbortSignal | undefined) => Promise<T>;

/** Runs this many at once, and the others in their order. */
function turns(atOnce: number): Turns {
  let running = 0;
  const waiting = new Set<() => void>();
  return async (run, signal) => {
    if (running < atOnce) running += 1;
    else {
      await new Promise<void>((resolve, reject) => {
        // Takes over the place of the one that has ended.
        const start = (): void => {
          waiting.delete(start);
          unlink();
          resolve();
        };
        waiting.add(start);
        const unlink = onAbort(signal, (reason) => {
          waiting.delete(start);
          reject(reason);
        });
      });
    }
    try {
      return await run();
    } finally {
      const [next] = waiting;
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

/** Sends the requests of one client. */
export interface Requester {
  /**
   * Resolves to the JSON of the response. Rejects with `AC_API` if the hub refuses, with `AC_API_UNREACHABLE` if it does not respond.
   * `retries`: those of an earlier request that this one continues, within the same time limit. Default: new ones.
   */
  request<T>(call: Call, retries?: Retries): Promise<T>;
  /** Retried. */
  get<T>(path: string, query?: object): Promise<T>;
  /** A response that is not JSON. Retried. */
  text(path: string): Promise<string>;
  /** For an idempotent request: retried. */
  post<T>(path: string, body?: unknown): Promise<T>;
  /** For a request that is not idempotent: not retried once it was sent. */
  postOnce<T>(path: string, body?: unknown): Promise<T>;
  /** Resolves to a response with its body unread; `stop` ends both. Not retried. Its `bytes` reject with `AC_API_UNREACHABLE` if they break off. */
  stream(call: Omit<Call, 'signal'>, stop: Stop): Promise<HttpAnswer>;
}

/** Throws `AC_USAGE` if the connection is none to a hub. */
export function requester(connection: Connection, exchange: Exchange): Requester {
  checkMs('retryWithinMs', connection.retryWithinMs, [0, Infinity]);
  const link: Link = { ...connection, exchange, base: baseOf(connection.url), reads: turns(READS_MAX) };
  const send = <T>(path: string, body: unknown, idempotent: boolean): Promise<T> =>
    request<T>(link, { method: 'POST', path, body, idempotent });
  return {
    request: (call, retries) => request(link, call, retries),
    get: (path, query = {}) => request(link, { method: 'GET', path, query: query as NonNullable<Call['query']>, idempotent: true }),
    text: (path) => retried(link, { method: 'GET', path, headers: { accept: '*/*' }, idempotent: true }, (response) => response.text()),
    post: (path, body = {}) => send(path, body, true),
    postOnce: (path, body = {}) => send(path, body, false),
    stream: (call, stop) => attempt(link, call, async (response) => ({ ...response, bytes: () => unbroken(link, response.bytes()) }), stop),
  };
}

/** A path with an ID appended, percent-encoded. Half a character, which cannot be encoded, is replaced, as in a query. */
export const pathTo = (path: string, id: string): string =>
  `${path}/${encodeURIComponent(String(id).replace(/\p{Surrogate}/gu, '\uFFFD'))}`;

/**
 * Sends the request once. `read` gets the answer from a successful response, within the same timeout. Rejects with an `AgentcomError`, or with
 * the reason of the caller's signal once it is aborted.
 */
async function attempt<T>(link: Link, call: Call, read: (response: HttpAnswer) => Promise<T>, stop = new Stop()): Promise<T> {
  // What fails here is the caller's, not the hub's: a body that JSON cannot have, for example.
  const question = questionOf(link, call, stop);
  const timer = setTimeout(() => stop.abort(noAnswer()), ANSWER_WITHIN_MS);
  const unlink = call.signal === undefined ? undefined : onAbort(call.signal, (reason) => stop.abort(reason));
  try {
    const response = await link.exchange(link.base, question);
    if (!isSuccess(response)) throw await apiError(response, link, call);
    return await read(response);
  } catch (thrown) {
    if (call.signal?.aborted === true) throw thrown;
    throw failureOf(link, thrown);
  } finally {
    clearTimeout(timer);
    unlink?.();
  }
}

/** Another error than ours is that of a connection. */
const failureOf = (link: Link, thrown: unknown): AgentcomError =>
  AgentcomError.is(thrown) ? thrown : unreachable(link, innermost(thrown), thrown);

/** The bytes of a stream. Throws `AC_API_UNREACHABLE` if it breaks off. */
async function* unbroken(link: Link, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of bytes) yield chunk;
  } catch (thrown) {
    throw failureOf(link, thrown);
  }
}

const noAnswer = (): Error => timedOut(`no answer within ${ANSWER_WITHIN_MS / 1_000} s`);

/** Without a slash at the end of its path, unless it is the whole path. */
function baseOf(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : null;
  if (base?.protocol !== 'http:' && base?.protocol !== 'https:') throw wrongAddress(url);
  base.pathname = base.pathname.replace(/\/$/, '');
  return base;
}

/** Does not repeat what precedes an `@`: it may be a password. */
export function wrongAddress(text: unknown): AgentcomError {
  const found = JSON.stringify(text)?.replace(/^"([a-z]+:\/\/)?.*@/is, '"$1…@');
  return new AgentcomError('AC_USAGE', `Expected the hub's address as http://host:port or https://host, found ${found}.`);
}

function pathOf(base: URL, { path, query }: Call): string {
  const { pathname } = base;
  const whole = pathname === '/' ? path : pathname + path;
  if (query === undefined) return whole;
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === '' ? whole : `${whole}?${text}`;
}

const isSuccess = ({ status }: HttpAnswer): boolean => status >= 200 && status < 300;

function questionOf(link: Link, call: Call, signal: Stop): HttpQuestion {
  const json = call.body === undefined ? undefined : { type: 'application/json', content: JSON.stringify(call.body) };
  const body = call.text ?? json;
  if (link.token !== undefined) checkHeader('The token', link.token, tokenPlace(link));
  for (const [name, value] of Object.entries(call.headers ?? {})) checkHeader(`The header ${name}`, value);
  return {
    method: call.method,
    path: pathOf(link.base, call),
    headers: {
      accept: 'application/json',
      ...(link.token === undefined ? {} : { authorization: `Bearer ${link.token}` }),
      ...(body === undefined ? {} : { 'content-type': body.type }),
      ...call.headers,
    },
    body: body?.content,
    signal,
  };
}

/** Throws `AC_USAGE` for a value that cannot be sent: the platform would fail as if the hub could not be reached. */
function checkHeader(what: string, value: string, more = ''): void {
  const at = value.search(/[^\x20-\x7e]/);
  if (at === -1) return;
  const code = (value.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  throw new AgentcomError('AC_USAGE', `${what}: expected printable ASCII characters, found U+${code} at position ${at + 1}.${more}`);
}

/** Where the token is from, as a sentence to append. */
const tokenPlace = ({ tokenFrom }: Connection): string => (tokenFrom === undefined ? '' : ` The token was taken from ${tokenFrom}.`);

/** The path of a request; if the hub's address has a path, the whole URL, which shows that both were joined. */
const shownPath = ({ base }: Link, { path }: Call): string => (base.pathname === '/' ? path : base.origin + base.pathname + path);

async function readJson<T>(response: HttpAnswer, link: Link, call: Call): Promise<T> {
  const text = await response.text();
  try {
    return JSON.parse(text === '' ? '{}' : text) as T;
  } catch (thrown) {
    const type = response.header('content-type') ?? 'no type';
    const encoding = response.header('content-encoding');
    const more = encoding === null ? messageOf(thrown) : `its content-encoding is ${encoding}, which was not asked for`;
    const found = type.includes('json')
      ? `${type} that cannot be read: ${more}. Check what is between this program and the hub.`
      : `${type}, not JSON. Is ${link.url} an AgentCom hub?`;
    throw new AgentcomError('AC_API', `${call.method} ${shownPath(link, call)} was answered with ${found}`, {
      cause: thrown,
      details: { status: response.status },
    });
  }
}

/** The error for the hub's `{"error", "message", "details"}`; for any other response, an error with its status. */
async function apiError(response: HttpAnswer, link: Link, call: Call): Promise<AgentcomError> {
  const { status, statusText } = response;
  const text = await response.text().catch(() => '');
  const retryAfter = response.header('retry-after');
  const more = status === 401 ? tokenPlace(link) : '';
  const asked = { method: call.method, path: shownPath(link, call) };
  return refusalError(asked, { status, body: parsed(text), retryAfter }, redirection(response) ?? statusText, more);
}

/** What a hub refuses with. */
export interface Refusal {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  /** Seconds. */
  readonly retryAfter?: unknown;
}

/** The error for a refusal; `otherwise`: what to say if its body has no message. */
export function refusalError(
  { method, path }: Pick<Call, 'method' | 'path'>,
  { status, body, retryAfter }: Refusal,
  otherwise = '',
  more = '',
): AgentcomError {
  const code = typeof body['error'] === 'string' ? body['error'] : `http_${status}`;
  const message = typeof body['message'] === 'string' ? body['message'] : otherwise;
  const waitMs = retryAfterMs(retryAfter);
  return new AgentcomError('AC_API', `The hub refused ${method} ${path} (${status} ${code}): ${message}${more}`, {
    details: { status, error: code, answer: body, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) },
  });
}

/** Redirects are not followed: the token would be sent along. */
function redirection(response: HttpAnswer): string | null {
  const target = response.header('location');
  return response.status < 300 || response.status > 399 || target === null
    ? null
    : `it redirects to ${target}. Use that address if it is your hub's.`;
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {}; // such as the error page of a proxy, where the status is enough
  }
}

function unreachable(connection: Connection, { code, message }: Innermost, cause: unknown): AgentcomError {
  const why = code === 'ECONNREFUSED' ? 'connection refused' : EXPLAINED_BY_MESSAGE.has(code) ? message : (code ?? message);
  return new AgentcomError('AC_API_UNREACHABLE', `The hub at ${connection.url} cannot be reached: ${why}. ${hintFor(connection, code)}`, {
    cause,
    details: { url: connection.url, reason: code ?? message },
  });
}

/** Errors whose message says more than their code. */
const EXPLAINED_BY_MESSAGE: ReadonlySet<string | null> = new Set(['ENETWORK', TIMED_OUT, 'ERR_TLS_CERT_ALTNAME_INVALID']);

function hintFor({ url }: Connection, code: string | null): string {
  if (code === TIMED_OUT)
    return 'It is busy, or the network or the address is at fault. It may have received the request: a submit may be repeated with the same idempotencyKey.';
  if (code !== null && url.startsWith('https:')) {
    if (NO_TLS.has(code)) return 'It does not speak TLS there: use http:// instead of https://, or set hub.listen.tls.';
    if (code === 'CERT_HAS_EXPIRED') return 'Its certificate has expired: renew it.';
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'Its certificate is for other names: use one of them in the URL.';
    if (CERTIFICATE.test(code))
      return 'Its certificate is not accepted. If it is self-signed, set AGENTCOM_HUB_FINGERPRINT to what "agentcom tls fingerprint" prints on its machine; if its authority is your own, set NODE_EXTRA_CA_CERTS.';
  }
  const start = 'Start it with "agentcom hub", or correct --url or AGENTCOM_API_URL.';
  const mayWantTls = code !== null && url.startsWith('http:') && /^(ECONNRESET|HPE_)/.test(code);
  return mayWantTls ? `${start} If it serves TLS, use https:// instead of http://.` : start;
}

/** Error codes of OpenSSL for a certificate that it does not accept, and of Node for one with another name. */
const CERTIFICATE = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)/;
/** Error codes of OpenSSL for an answer that is plain HTTP. */
const NO_TLS: ReadonlySet<string> = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);

interface Innermost {
  /** The error code of the system or socket, such as `ECONNREFUSED`; null if there is none. */
  readonly code: string | null;
  readonly message: string;
}

/** The underlying error: for a host with several addresses it is in a list. */
function innermost(thrown: unknown): Innermost {
  if (typeof thrown !== 'object' || thrown === null) return { code: null, message: messageOf(thrown) };
  if ('code' in thrown && typeof thrown.code === 'string') return { code: thrown.code, message: messageOf(thrown) };
  if ('errors' in thrown && Array.isArray(thrown.errors) && thrown.errors.length > 0) return innermost(thrown.errors[0]);
  return 'cause' in thrown && thrown.cause !== undefined ? innermost(thrown.cause) : { code: null, message: messageOf(thrown) };
}
