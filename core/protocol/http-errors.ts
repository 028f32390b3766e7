/** Every error code that the HTTP API answers with; docs/http-api.md says what to do about each. */
export const HTTP_ERRORS = {
  invalid_json: 'The body is not valid UTF-8 JSON.',
  validation_failed: 'A field, a query parameter or a header is missing, wrong or unknown; `details` names each.',
  unknown_agent: 'There is no such agent.',
  unknown_task: 'There is no such task, or the token may not see it.',
  unknown_result: 'No result is kept for that task, generation and agent.',
  unknown_token: 'There is no such live token.',
  unauthorized: 'There is no valid bearer token.',
  invalid_secret: 'The enrollment secret is wrong, used or expired.',
  forbidden: 'The role of the token does not allow this.',
  forbidden_origin: 'Host or Origin is not a name of this hub, or a session cookie was sent by another page.',
  unknown_route: 'No such route.',
  method_not_allowed: 'The route does not support this method; `allow` lists those it does.',
  agent_not_connected: 'The agent is not connected.',
  request_timeout: 'The body did not arrive in time.',
  idempotency_mismatch: 'The Idempotency-Key was used with a different body.',
  invalid_state: 'The state of the task, agent or token does not allow this.',
  agent_taken: 'The agent already has a token.',
  name_taken: 'There is already a live token with this name and role.',
  body_too_large: 'The body, a line of it or the number of its lines exceeds the limit.',
  unsupported_media_type: 'The body is compressed, or is not JSON.',
  rate_limited:
    'Too many requests with this token, bytes of its requests in flight, wrong tokens from this address, or different lists of needed_capabilities.',
  internal: 'A bug in the hub; its log has more.',
  storage_damaged: 'A stored row that the request needs cannot be read.',
  storage_unavailable: 'The database cannot answer or commit now.',
  hub_busy: 'The hub has too much in flight.',
  hub_stopping: 'The hub is stopping.',
} as const satisfies Readonly<Record<string, string>>;

export type HttpErrorCode = keyof typeof HTTP_ERRORS;

/** What every refused request is answered with. */
export interface HttpErrorBody {
  readonly error: HttpErrorCode;
  readonly message: string;
  readonly details?: readonly HttpErrorDetail[] | undefined;
}

export interface HttpErrorDetail {
  /** The line of a bulk body, from 1. */
  readonly line?: number | undefined;
  /** The field with dots between its steps; a query parameter or header by its name; empty for the whole body. */
  readonly field: string;
  /** The kind of mistake, for programs. */
  readonly error: string;
  /** The mistake in words. */
  readonly detail?: string | undefined;
}
