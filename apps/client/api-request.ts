/** Requests to the hub, with bounded retries where a retry is safe. */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { SignTask } from '../signing/signing-options.ts';
import { Stop, type Exchange, type HttpAnswer, type HttpQuestion, type StopSignal } from './platform.ts';

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
  /** How long a request may be retried, milliseconds. Default 5,000; 0: no retry. */
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
  /** Called with the status of the successful response. */
  readonly onStatus?: ((status: number) => void) | undefined;
}

const RETRY_WITHIN_MS = 5_000;
const FIRST_WAIT_MS = 200;
const WAIT_MAX_MS = 5_000;
/** Timeout of one attempt; the hub usually responds within milliseconds. */
const ANSWER_WITHIN_MS = 30_000;
/** Errors after which nothing was sent, so any request may be retried. */
const NOT_CONNECTED: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** A connection, with what its requests need. */
interface Link extends Connection {
  readonly exchange: Exchange;
  /** Throws if the address of the hub is not a URL. Parsed once: parsing takes as long as the rest of an attempt. */
  readonly base: () => URL;
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
  for (;;) {
    const outcome = await attempt(link, call, read);
    if (outcome.kind === 'answer') return outcome.answer;
    const { error, retryable, retryAfterMs: afterMs } = outcome;
    if (!retryable || !(await retries.next(error.message, afterMs, call.signal))) throw error;
  }
}

/** The retries of a request and of those that continue it: how long to wait before each, and for how long in all. */
export class Retries {
  /** 0 before the first request. */
  #giveUpAtMs = 0;
  #waitMs = FIRST_WAIT_MS;
  #onRetry: Connection['onRetry'];

  /** Starts the time limit, unless an earlier request did. */
  begin(withinMs = RETRY_WITHIN_MS, onRetry?: Connection['onRetry']): void {
    if (this.#giveUpAtMs !== 0) return;
    this.#giveUpAtMs = performance.now() + withinMs;
    this.#onRetry = onRetry;
  }

  /** How long retries are still allowed, milliseconds. */
  leftMs(): number {
    return this.#giveUpAtMs - performance.now();
  }

  /** Waits before the next retry. Resolves to false immediately if that retry would be too late. Rejects if `signal` is aborted. */
  async next(reason: string, afterMs = this.#waitMs, signal?: AbortSignal): Promise<boolean> {
    this.#waitMs = Math.min(this.#waitMs * 2, WAIT_MAX_MS);
    if (afterMs > this.leftMs()) return false;
    this.#onRetry?.(reason);
    await pause(afterMs, signal);
    return true;
  }
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
  /** Resolves to a response with its body unread. Not retried. */
  stream(call: Call): Promise<HttpAnswer>;
}

export function requester(connection: Connection, exchange: Exchange): Requester {
  let base: URL | undefined;
  const link: Link = { ...connection, exchange, base: () => (base ??= baseOf(connection.url)) };
  const send = <T>(path: string, body: unknown, idempotent: boolean): Promise<T> =>
    request<T>(link, { method: 'POST', path, body, idempotent });
  return {
    request: (call, retries) => request(link, call, retries),
    get: (path, query = {}) => request(link, { method: 'GET', path, query: query as NonNullable<Call['query']>, idempotent: true }),
    text: (path) => retried(link, { method: 'GET', path, headers: { accept: '*/*' }, idempotent: true }, (response) => response.text()),
    post: (path, body = {}) => send(path, body, true),
    postOnce: (path, body = {}) => send(path, body, false),
    async stream(call) {
      const outcome = await attempt(link, call, async (response) => response);
      if (outcome.kind === 'answer') return outcome.answer;
      throw outcome.error;
    },
  };
}

/** A path with an ID appended, percent-encoded. */
export const pathTo = (path: string, id: string): string => `${path}/${encodeURIComponent(id)}`;

type Outcome<T> =
  | { readonly kind: 'answer'; readonly answer: T }
  | { readonly kind: 'failed'; readonly error: AgentcomError; readonly retryable: boolean; readonly retryAfterMs?: number | undefined };

/** `read` gets the answer from a successful response, within the same timeout. */
async function attempt<T>(link: Link, call: Call, read: (response: HttpAnswer) => Promise<T>): Promise<Outcome<T>> {
  const late = call.signal === undefined ? new Stop() : new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${ANSWER_WITHIN_MS / 1_000} s`)), ANSWER_WITHIN_MS);
  const signal = late instanceof Stop ? late : AbortSignal.any([call.signal as AbortSignal, late.signal]);
  try {
    const response = await link.exchange(link.base(), questionOf(link, call, signal));
    if (isSuccess(response)) return { kind: 'answer', answer: await read(response) };
    const retryable = call.idempotent && (response.status === 503 || response.status === 429);
    return {
      kind: 'failed',
      error: await apiError(response, link, call),
      retryable,
      retryAfterMs: retryAfterMs(response.header('retry-after')),
    };
  } catch (thrown) {
    if (call.signal?.aborted === true) throw thrown;
    if (AgentcomError.is(thrown)) return { kind: 'failed', error: thrown, retryable: false };
    const failure = innermost(thrown);
    const retryable = NOT_CONNECTED.has(failure.code ?? '') || (call.idempotent && isTransient(failure.code));
    return { kind: 'failed', error: unreachable(link, failure, thrown), retryable };
  } finally {
    clearTimeout(timer);
  }
}

/** Without a slash at the end of its path, unless it is the whole path. */
function baseOf(url: string): URL {
  const base = new URL(url);
  base.pathname = base.pathname.replace(/\/$/, '');
  return base;
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

function questionOf(link: Link, call: Call, signal: StopSignal): HttpQuestion {
  const json = call.body === undefined ? undefined : { type: 'application/json', content: JSON.stringify(call.body) };
  const body = call.text ?? json;
  return {
    method: call.method,
    path: pathOf(link.base(), call),
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

async function readJson<T>(response: HttpAnswer, connection: Connection, call: Call): Promise<T> {
  const text = await response.text();
  try {
    return JSON.parse(text === '' ? '{}' : text) as T;
  } catch (thrown) {
    const type = response.header('content-type') ?? 'no type';
    throw new AgentcomError(
      'AC_API',
      `${call.method} ${call.path} was answered with ${type}, not JSON. Is ${connection.url} an AgentCom hub?`,
      {
        cause: thrown,
        details: { status: response.status },
      },
    );
  }
}

/** The error for the hub's `{"error", "message", "details"}`; for any other response, an error with its status. */
async function apiError(response: HttpAnswer, { tokenFrom }: Connection, call: Call): Promise<AgentcomError> {
  const text = await response.text().catch(() => '');
  const from = response.status === 401 && tokenFrom !== undefined ? ` The token was taken from ${tokenFrom}.` : '';
  return refusalError(call, response.status, parsed(text), redirection(response) ?? response.statusText, from);
}

/** The error for a refusal with this body; `otherwise`: what to say if it has no message. */
export function refusalError(
  { method, path }: Pick<Call, 'method' | 'path'>,
  status: number,
  body: Readonly<Record<string, unknown>>,
  otherwise = '',
  more = '',
): AgentcomError {
  const code = typeof body['error'] === 'string' ? body['error'] : `http_${status}`;
  const said = typeof body['message'] === 'string' ? body['message'] : otherwise;
  return new AgentcomError('AC_API', `The hub refused ${method} ${path} (${status} ${code}): ${said}${more}`, {
    details: { status, error: code, answer: body },
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
  const why = code === 'ECONNREFUSED' ? 'connection refused' : code === 'ENETWORK' ? message : (code ?? message);
  const toDo = isNoTls(connection, code)
    ? 'It does not speak TLS there: use http:// instead of https://, or set hub.listen.tls.'
    : CERTIFICATE.test(code ?? '')
      ? 'Its certificate is not accepted. If it is self-signed, set AGENTCOM_HUB_FINGERPRINT to what "agentcom tls fingerprint" prints on its machine; if its authority is your own, set NODE_EXTRA_CA_CERTS.'
      : 'Start it with "agentcom hub", or correct --url or AGENTCOM_API_URL.';
  return new AgentcomError('AC_API_UNREACHABLE', `The hub at ${connection.url} cannot be reached: ${why}. ${toDo}`, {
    cause,
    details: { url: connection.url, reason: code ?? message },
  });
}

/** Errors of the connection; a retry would repeat those of TLS, of a certificate or of an answer that is not HTTP. */
const isTransient = (code: string | null): boolean => code !== null && /^E[A-Z]+$/.test(code) && code !== 'EPROTO';

/** Error codes of OpenSSL for a certificate that it does not accept, and of Node for one with another name. */
const CERTIFICATE = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)/;

/** Whether this is OpenSSL's error for an answer that is plain HTTP. */
const isNoTls = ({ url }: Connection, code: string | null): boolean =>
  url.startsWith('https:') && (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG');

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

/** The delay that a `Retry-After` header or a `retry_after` gives in seconds, as milliseconds; undefined if it does not give one. */
export function retryAfterMs(value: unknown): number | undefined {
  const seconds = Number(value ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
}

/** Resolves after the delay. Rejects with the abort reason if `signal` is aborted. */
export function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
