/** Interprets failures reported by an agent. */
import {
  agentFailed,
  countOf,
  itemsOf,
  meaningOf,
  objectOf,
  incompleteAnswer,
  shorten,
  statusIn,
  textOf,
  type FailureCause,
  type Meaning,
  type JsonObject,
  type RunOutcome,
} from '../plugin.ts';

/** The protocol's code for an agent that is not logged in; the others are JSON-RPC's. */
const AUTH_REQUIRED = -32_000;
const METHOD_NOT_FOUND = -32_601;
const INVALID_PARAMS = -32_602;

/** Kinds that Claude's adapter adds to an error. */
const ERROR_KINDS: ReadonlyMap<unknown, FailureCause> = new Map<string, FailureCause>([
  ['rate_limit', 'rate_limited'],
  ['server_error', 'model_unavailable'],
  ['overloaded', 'model_unavailable'],
  ['authentication_failed', 'auth'],
  ['billing_error', 'config'],
]);

/** How far it had come. */
export interface BeforeRefusal {
  readonly hasWorked: boolean;
  /** Of its answer; null if that is incomplete. */
  readonly text: string | null;
  readonly sessionId: string | null;
}

/** The failure of one of our requests; at most one per run, since nothing follows a refused request. */
export function refusalOf(to: string | null, error: JsonObject, { hasWorked, text, sessionId }: BeforeRefusal): RunOutcome {
  const code = typeof error['code'] === 'number' ? error['code'] : null;
  const data = objectOf(error['data']);
  const reason = reasonIn(error);
  const named = code === AUTH_REQUIRED ? 'auth' : ERROR_KINDS.get(data['errorKind']);
  const status = code !== null && code >= 400 && code <= 599 ? code : statusIn(reason);
  const meant = named === undefined ? meaningOf({ status, text: reason }) : null;
  const kind = named ?? meant?.kind ?? causeOfRequest(to, code);
  return agentFailed({
    kind,
    message: shorten(`refused ${to ?? 'a request'}: ${textIn(reason)}`),
    hasWorked,
    retryable: meant?.retryable,
    details: { ...(code === null ? {} : { code }), ...data },
    acceptable: incompleteAnswer({
      as: to === 'session/prompt' ? meant?.as : undefined,
      // Claude sends its failure as a message first.
      text: meant?.as === 'refused' ? textIn(reason) : text !== null && reason.includes(text) ? '' : text,
      about: { session_id: sessionId },
    }),
  });
}

/** The agent's own text; some only say "Internal error" and put the problem beside it. */
export function reasonIn(error: JsonObject): string {
  const message = textOf(error['message']) ?? 'it gave no reason';
  const data = objectOf(error['data']);
  const details = textOf(data['details']) ?? textOf(data['message']);
  return details === null ? message : `${message}: ${details}`;
}

/** Codex accepts any session and only reports at the prompt that it has lost it. */
export const isSessionLost = (error: JsonObject): boolean => /\b(?:thread|session) not found\b/i.test(reasonIn(error));

/** When a request is refused before any work, its purpose tells what is wrong. */
function causeOfRequest(to: string | null, code: number | null): FailureCause {
  const isSetup = to === 'initialize' || to === 'session/set_config_option';
  return isSetup || code === METHOD_NOT_FOUND || code === INVALID_PARAMS ? 'config' : 'agent_failed';
}

/** The text inside a message that is itself an error as JSON. */
function textIn(message: string): string {
  try {
    return textOf(objectOf(objectOf(JSON.parse(message))['error'])['message']) ?? message;
  } catch {
    return message; // Plain text, as with most agents.
  }
}

/** An error of the agent's model, reported during its work; null if the update contains none. */
export interface ReportedError {
  readonly message: string;
  readonly status: number | null;
  readonly willRetry: boolean;
}

/** `metas`: the content of `_meta` under the agent's name. */
export function reportedErrorIn(metas: readonly JsonObject[]): ReportedError | null {
  const error = metas.map((meta) => objectOf(meta['error'])).find((found) => textOf(found['message']) !== null);
  if (error === undefined) return null;
  const info = Object.values(objectOf(error['codexErrorInfo'])).map((found) => countOf(objectOf(found)['httpStatusCode']));
  return {
    message: [textOf(error['message']), textOf(error['additionalDetails'])].filter((text) => text !== null).join(': '),
    status: info.find((status) => status > 0) ?? null,
    willRetry: error['willRetry'] === true,
  };
}

export const meaningOfReportedError = ({ status, message }: ReportedError): Meaning =>
  meaningOf({ status: status ?? statusIn(message), text: message }) ?? AWAY;

/** The agent has given up without saying why. */
export const AWAY: Meaning = { kind: 'model_unavailable', retryable: true };

/** The models that a session offers, through the option that selects them; null if it offers none. */
export function modelChoiceIn(result: JsonObject): { readonly configId: string; readonly models: readonly string[] } | null {
  const option = itemsOf(result['configOptions'])
    .map(objectOf)
    .find(({ category, id }) => category === 'model' || id === 'model');
  const configId = textOf(option?.['id']);
  if (option === undefined || configId === null) return null;
  // Values may be grouped.
  const values = itemsOf(option['options'])
    .map(objectOf)
    .flatMap((value) => [value, ...itemsOf(value['options']).map(objectOf)]);
  return { configId, models: values.flatMap(({ value }) => textOf(value) ?? []) };
}
