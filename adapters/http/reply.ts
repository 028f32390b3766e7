/** The reply of a handler: an HTTP response without the headers that all responses have. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { ByteStream } from '../../core/ports/http.ts';
import type { FieldError } from '../../core/protocol/field-errors.ts';
import type { HttpErrorBody, HttpErrorCode, HttpErrorDetail } from '../../core/protocol/http-errors.ts';

export interface Reply {
  readonly status: number;
  /** JSON text, a stream, or nothing. */
  readonly body: string | ByteStream | null;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The error code, if the reply is a refusal. */
  readonly refused?: HttpErrorCode | undefined;
}

/** A value that was read from the request, or the reply that refuses the request. */
export type Read<T> = { readonly kind: 'read'; readonly value: T } | { readonly kind: 'refused'; readonly reply: Reply };

export const read = <T>(value: T): Read<T> => ({ kind: 'read', value });
export const refused = (reply: Reply): Read<never> => ({ kind: 'refused', reply });

export const ok = (value: Readonly<Record<string, unknown>>): Reply => ({ status: 200, body: JSON.stringify(value) });
export const created = (value: Readonly<Record<string, unknown>>): Reply => ({ status: 201, body: JSON.stringify(value) });
export const okText = (json: string): Reply => ({ status: 200, body: json });

/** The default status of each code. A reply may override it: `unknown_task` is 404 for a path, but 400 for a body. */
export const HTTP_STATUSES: Readonly<Record<HttpErrorCode, number>> = {
  invalid_json: 400,
  validation_failed: 400,
  unknown_agent: 404,
  unknown_task: 404,
  unknown_result: 404,
  unknown_token: 404,
  unauthorized: 401,
  invalid_secret: 401,
  forbidden: 403,
  forbidden_origin: 403,
  unknown_route: 404,
  method_not_allowed: 405,
  agent_not_connected: 404,
  request_timeout: 408,
  idempotency_mismatch: 409,
  invalid_state: 409,
  agent_taken: 409,
  name_taken: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  internal: 500,
  storage_damaged: 500,
  storage_unavailable: 503,
  hub_busy: 503,
  hub_stopping: 503,
};

/** Seconds after which a request that got 503 may be retried. */
const RETRY_AFTER_S = 2;

export interface RefusalExtras {
  readonly status?: number | undefined;
  readonly details?: readonly HttpErrorDetail[] | undefined;
  /** Further fields of the body, in addition to `error`, `message` and `details`. */
  readonly more?: Readonly<Record<string, unknown>> | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A refusal: `{"error":code,"message":…,"details":[…]}`. */
export function refusal(code: HttpErrorCode, message: string, extras: RefusalExtras = {}): Reply {
  const status = extras.status ?? HTTP_STATUSES[code];
  const body: HttpErrorBody = { error: code, message, ...(extras.details === undefined ? {} : { details: extras.details }) };
  const retry = status === 503 ? { 'retry-after': String(RETRY_AFTER_S) } : {};
  return { status, body: JSON.stringify({ ...extras.more, ...body }), headers: { ...retry, ...extras.headers }, refused: code };
}

/** 400 with these errors; the message describes the first one. */
export function invalid(errors: readonly (FieldError & { readonly line?: number | undefined })[]): Reply {
  const [first] = errors;
  const where =
    first === undefined ? '' : `${first.line === undefined ? '' : `line ${first.line}: `}${first.field === '' ? 'the body' : first.field}`;
  return refusal('validation_failed', `Invalid request: ${where} ${first?.detail ?? ''}.`, { details: errors });
}

/** 429, with the time after which the request may be retried. */
export const tooMany = (message: string, waitMs: number): Reply =>
  refusal('rate_limited', message, { headers: { 'retry-after': String(Math.max(1, Math.ceil(waitMs / 1_000))) } });

/** The reply to a request whose handler threw this. */
export function replyToFailure(thrown: unknown): Reply {
  if (AgentcomError.is(thrown, 'AC_HUB_STOPPING') || AgentcomError.is(thrown, 'AC_STORE_CLOSED')) {
    return refusal('hub_stopping', 'The hub is stopping; retry when it is back.');
  }
  if (AgentcomError.is(thrown, 'AC_HUB_BUSY')) return refusal('hub_busy', 'The command queue of the hub is full; retry later.');
  if (AgentcomError.is(thrown, 'AC_STORE_DAMAGED')) {
    const { table = '', id = '' } = thrown.details ?? {};
    const row = `A stored row that this request needs cannot be read: ${String(table)} ${String(id)}.`;
    return refusal('storage_damaged', `${row} Run agentcom doctor --fsck on the hub.`);
  }
  for (const code of ['AC_STORE_UNAVAILABLE', 'AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN'] as const) {
    if (AgentcomError.is(thrown, code)) return refusal('storage_unavailable', 'The database cannot answer or commit now; retry later.');
  }
  return refusal('internal', 'Internal error; see the log of the hub.');
}
