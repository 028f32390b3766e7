/** What the service of a model answered, as agent programs pass it on, and what that means: one table for all of them. */
import type { FailureCause } from '../../../core/ports/wake-runner.ts';

/** What is known of an answer: its HTTP status, where the program tells it, and its words. */
export interface ServiceAnswer {
  readonly status?: number | null | undefined;
  readonly words?: string | undefined;
}

export interface Meaning {
  readonly kind: FailureCause;
  /** False: the same request would be answered the same, now or without a person. */
  readonly retryable: boolean;
  /** A task may take it as a result: see `shortAnswer`. */
  readonly as?: 'truncated' | 'refused' | undefined;
}

interface Row extends Meaning {
  /** For people: what has happened. */
  readonly what: string;
  readonly status?: (status: number) => boolean;
  readonly words?: RegExp;
}

const is =
  (...statuses: readonly number[]) =>
  (status: number): boolean =>
    statuses.includes(status);
const pauses = (kind: FailureCause): Meaning => ({ kind, retryable: kind === 'rate_limited' || kind === 'model_unavailable' });
const hopeless = (kind: FailureCause): Meaning => ({ kind, retryable: false });

/**
 * The first row that fits counts. Words that name one thing outweigh the status: services answer 400 to a spent credit and to a
 * bad key. Words that may stand in any answer come after it.
 */
const TABLE: readonly Row[] = [
  {
    what: 'no credit',
    words:
      /credit balance|insufficient[_ ](?:quota|credits?|balance|funds)|billing[_ ](?:error|hard limit)|out of credits?|credits are depleted|quota exceeded\. check your plan and billing|payment required/i,
    ...pauses('config'),
  },
  {
    what: 'no login, or a bad key',
    words:
      /API_KEY_INVALID|API key (?:not valid|expired)|(?:invalid|incorrect) (?:x-)?api[ -]?key|invalid_api_key|authentication[ _](?:error|required|failed)|not logged in|please run \/login|missing environment variable|unauthori[sz]ed|UNAUTHENTICATED/i,
    ...pauses('auth'),
  },
  { what: 'too many requests', status: is(429), ...pauses('rate_limited') },
  {
    what: 'no such model',
    words:
      /\bmodels?\b(?! metadata)(?:[^.\n]|\.(?=\S)){0,120}\b(?:not found|not supported|does not exist|may not exist)|selected model|model_not_found|not supported when using codex/i,
    ...pauses('config'),
  },
  { what: 'the service is away', status: (status) => status >= 500 && status <= 599, ...pauses('model_unavailable') },
  {
    what: 'a context that is too long',
    words:
      /prompt (?:is )?too (?:long|large)|context[ _-]?(?:length|window|overflow)|maximum context|input token count|input is too long|request[_ ]too[_ ]large|exceeds? (?:model )?context limit|context exceeds|too large to compact/i,
    ...hopeless('limit'),
  },
  {
    what: 'an answer that was cut off',
    words: /output token (?:maximum|limit)|max_(?:output_)?tokens|finish_reason "?length|output ?length/i,
    ...hopeless('limit'),
    as: 'truncated',
  },
  {
    what: 'the model refuses',
    words:
      /usage polic|content[ _-]?(?:policy|filter|management)|appears to violate|PROHIBITED_CONTENT|blocked (?:by|due to) [^.\n]{0,40}(?:safety|polic)|safety (?:reasons|filters?|settings)|\brefusal\b/i,
    ...hopeless('agent_failed'),
    as: 'refused',
  },
  { what: 'not allowed', status: is(401, 403), ...pauses('auth') },
  { what: 'nothing there, or nothing paid', status: is(402, 404), ...pauses('config') },
  { what: 'too slow, or too early', status: is(408, 425), ...pauses('model_unavailable') },
  { what: 'a request that is too large', status: is(413), ...hopeless('limit') },
  { what: 'a request that is wrong', status: is(400, 422), ...hopeless('agent_failed') },
  {
    what: 'a spent allowance',
    words: /rate.?limit|too many requests|(?:usage|session|weekly) limit|quota|RESOURCE_EXHAUSTED|exhausted/i,
    ...pauses('rate_limited'),
  },
  {
    what: 'no connection, or no answer',
    words:
      /overloaded|high demand|stream disconnected|waiting for network|error sending request|connection (?:failed|error|refused|reset)|connection_failed|fetch failed|terminated|socket hang up|service unavailable|internal server error|bad gateway|gateway time-?out|\b(?:ECONN(?:REFUSED|RESET|ABORTED)|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|EPIPE)\b/i,
    ...pauses('model_unavailable'),
  },
  { what: 'a request that is wrong', words: /invalid_request_error|INVALID_ARGUMENT/, ...hopeless('agent_failed') },
];

/** What an answer of a model's service means; null where neither its status nor its words say it. */
export function meaningOf({ status = null, words = '' }: ServiceAnswer): Meaning | null {
  const row = TABLE.find((one) => (one.words?.test(words) ?? false) || (status !== null && (one.status?.(status) ?? false)));
  return row === undefined ? null : { kind: row.kind, retryable: row.retryable, as: row.as };
}

/** The same of a text that may name the status. */
export const meaningOfText = (words: string): Meaning | null => meaningOf({ status: statusIn(words), words });

/** The HTTP status that a text names: `unexpected status 401`, `API Error: 400 …`, `"code":404`, `HTTP 500`, `(429)`. */
export function statusIn(text: string): number | null {
  const [, status] = /(?:\bstatus(?: code)?:? |\bHTTP |"(?:code|status)":\s*|\bsays |\berror:? |\()([45]\d\d)\b/i.exec(text) ?? [];
  return status === undefined ? null : Number(status);
}

/** What an HTTP status of a service says of the failure; null where it says nothing of the agent. */
export function causeOfStatus(status: number): FailureCause | null {
  const kind = meaningOf({ status })?.kind ?? null;
  return kind === 'agent_failed' || kind === 'limit' ? null : kind;
}
