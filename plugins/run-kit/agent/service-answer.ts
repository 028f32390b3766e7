/** Classifies the error responses of model services, as agent programs pass them on: one table for all programs. */
import type { FailureCause } from '../../../core/ports/wake-runner.ts';

/** What is known about a response: its HTTP status, if the program reports it, and its text. */
export interface ServiceAnswer {
  readonly status?: number | null | undefined;
  readonly text?: string | undefined;
}

/** What an answer of a model service means. */
export interface Classification {
  readonly kind: FailureCause;
  /** False: the same request would fail again, now or until an operator acts. */
  readonly retryable: boolean;
  /** Why the answer is incomplete; a task may accept such an answer as its result. See `incompleteAnswer`. */
  readonly reason?: 'truncated' | 'refused' | undefined;
}

interface Row extends Classification {
  /** For people: what happened. */
  readonly what: string;
  readonly status?: (status: number) => boolean;
  readonly pattern?: RegExp;
}

const is =
  (...statuses: readonly number[]) =>
  (status: number): boolean =>
    statuses.includes(status);
const recoverable = (kind: FailureCause): Classification => ({ kind, retryable: kind === 'rate_limited' || kind === 'model_unavailable' });
const permanent = (kind: FailureCause): Classification => ({ kind, retryable: false });

/**
 * The first matching row counts. Text that names one specific problem outranks the status: services answer 400 both for
 * used-up credit and for an invalid key. Text that may appear in any answer comes after the status.
 */
const TABLE: readonly Row[] = [
  {
    what: 'no credit',
    pattern:
      /credit balance|insufficient[_ ](?:quota|credits?|balance|funds)|billing[_ ](?:error|hard limit)|out of credits?|credits are depleted|quota exceeded\. check your plan and billing|payment required/i,
    ...recoverable('config'),
  },
  {
    what: 'no login, or a bad key',
    pattern:
      /API_KEY_INVALID|API key (?:not valid|expired)|(?:invalid|incorrect) (?:x-)?api[ -]?key|invalid_api_key|authentication[ _](?:error|required|failed)|not logged in|please run \/login|missing environment variable|unauthori[sz]ed|UNAUTHENTICATED/i,
    ...recoverable('auth'),
  },
  { what: 'too many requests', status: is(429), ...recoverable('rate_limited') },
  {
    what: 'no such model',
    pattern:
      /\bmodels?\b(?! metadata)(?:[^.\n]|\.(?=\S)){0,120}\b(?:not found|not supported|does not exist|may not exist)|selected model|model_not_found|not supported when using codex/i,
    ...recoverable('config'),
  },
  { what: 'the service is unavailable', status: (status) => status >= 500 && status <= 599, ...recoverable('model_unavailable') },
  {
    what: 'a context that is too long',
    pattern:
      /prompt (?:is )?too (?:long|large)|context[ _-]?(?:length|window|overflow)|maximum context|input token count|input is too long|request[_ ]too[_ ]large|exceeds? (?:model )?context limit|context exceeds|too large to compact/i,
    ...permanent('limit'),
  },
  {
    what: 'an answer that was cut off',
    pattern: /output token (?:maximum|limit)|max_(?:output_)?tokens|finish_reason "?length|output ?length/i,
    ...permanent('limit'),
    reason: 'truncated',
  },
  {
    what: 'the model refuses',
    pattern:
      /usage polic|content[ _-]?(?:policy|filter|management)|appears to violate|PROHIBITED_CONTENT|blocked (?:by|due to) [^.\n]{0,40}(?:safety|polic)|safety (?:reasons|filters?|settings)|\brefusal\b/i,
    ...permanent('agent_failed'),
    reason: 'refused',
  },
  { what: 'not allowed', status: is(401, 403), ...recoverable('auth') },
  { what: 'not found, or not paid', status: is(402, 404), ...recoverable('config') },
  { what: 'too slow, or too early', status: is(408, 425), ...recoverable('model_unavailable') },
  { what: 'a request that is too large', status: is(413), ...permanent('limit') },
  { what: 'a request that is wrong', status: is(400, 422), ...permanent('agent_failed') },
  {
    what: 'a used-up quota',
    pattern: /rate.?limit|too many requests|(?:usage|session|weekly) limit|quota|RESOURCE_EXHAUSTED|exhausted/i,
    ...recoverable('rate_limited'),
  },
  {
    what: 'no connection, or no answer',
    pattern:
      /overloaded|high demand|stream disconnected|waiting for network|error sending request|connection (?:failed|error|refused|reset)|connection_failed|fetch failed|terminated|socket hang up|service unavailable|internal server error|bad gateway|gateway time-?out|\b(?:ECONN(?:REFUSED|RESET|ABORTED)|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|EPIPE)\b/i,
    ...recoverable('model_unavailable'),
  },
  { what: 'a request that is wrong', pattern: /invalid_request_error|INVALID_ARGUMENT/, ...permanent('agent_failed') },
];

/** Classifies a response of a model's service; null if neither its status nor its text is in the table. */
export function classifyAnswer({ status = null, text = '' }: ServiceAnswer): Classification | null {
  const row = TABLE.find((one) => (one.pattern?.test(text) ?? false) || (status !== null && (one.status?.(status) ?? false)));
  return row === undefined ? null : { kind: row.kind, retryable: row.retryable, reason: row.reason };
}

/** Classifies a text that may mention the status. */
export const classifyText = (text: string): Classification | null => classifyAnswer({ status: statusIn(text), text });

/**
 * The HTTP status mentioned in a text: `unexpected status 401`, `API Error: 400 …`, `"code":404`, `HTTP 500`, `(429)`.
 */
export function statusIn(text: string): number | null {
  const [, status] = /(?:\bstatus(?: code)?:? |\bHTTP |"(?:code|status)":\s*|\bsays |\berror:? |\()([45]\d\d)\b/i.exec(text) ?? [];
  return status === undefined ? null : Number(status);
}

/** The failure cause for an HTTP status; null if it says nothing about the agent. */
export function causeOfStatus(status: number): FailureCause | null {
  const kind = classifyAnswer({ status })?.kind ?? null;
  return kind === 'agent_failed' || kind === 'limit' ? null : kind;
}
