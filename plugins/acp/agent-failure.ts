/** What a failure that an agent told is, and what it means. */
import {
  agentFailed,
  countOf,
  itemsOf,
  meaningOf,
  objectOf,
  shortAnswer,
  shortened,
  statusIn,
  textOf,
  type FailureCause,
  type Meaning,
  type SaidObject,
  type Verdict,
} from '../plugin.ts';

/** The protocol's code for an agent that is not logged in; the others are those of JSON-RPC. */
const AUTH_REQUIRED = -32_000;
const METHOD_NOT_FOUND = -32_601;
const INVALID_PARAMS = -32_602;

/** Kinds that Claude's adapter names beside an error. */
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
  /** Of its answer; null where that is not whole. */
  readonly text: string | null;
  readonly sessionId: string | null;
}

/** The failure of a request of ours, once for each run: nothing follows a request that was refused. */
export function refusalOf(to: string | null, error: SaidObject, { hasWorked, text, sessionId }: BeforeRefusal): Verdict {
  const code = typeof error['code'] === 'number' ? error['code'] : null;
  const data = objectOf(error['data']);
  const said = reasonIn(error);
  const named = code === AUTH_REQUIRED ? 'auth' : ERROR_KINDS.get(data['errorKind']);
  const status = code !== null && code >= 400 && code <= 599 ? code : statusIn(said);
  const meant = named === undefined ? meaningOf({ status, words: said }) : null;
  const kind = named ?? meant?.kind ?? causeOfRequest(to, code);
  return agentFailed({
    kind,
    message: shortened(`refused ${to ?? 'a request'}: ${textIn(said)}`),
    hasWorked,
    retryable: meant?.retryable,
    details: { ...(code === null ? {} : { code }), ...data },
    acceptable: shortAnswer({
      as: to === 'session/prompt' ? meant?.as : undefined,
      // Claude says its failure as a message first.
      text: meant?.as === 'refused' ? textIn(said) : text !== null && said.includes(text) ? '' : text,
      about: { session_id: sessionId },
    }),
  });
}

/** In its own words; some say only "Internal error", and what was wrong beside it. */
export function reasonIn(error: SaidObject): string {
  const message = textOf(error['message']) ?? 'it gave no reason';
  const data = objectOf(error['data']);
  const details = textOf(data['details']) ?? textOf(data['message']);
  return details === null ? message : `${message}: ${details}`;
}

/** Codex goes on with any session, and says only at the prompt that it has lost it. */
export const isSessionLost = (error: SaidObject): boolean => /\b(?:thread|session) not found\b/i.test(reasonIn(error));

/** What a request is for says what is wrong when it is refused before any work. */
function causeOfRequest(to: string | null, code: number | null): FailureCause {
  const isSetup = to === 'initialize' || to === 'session/set_config_option';
  return isSetup || code === METHOD_NOT_FOUND || code === INVALID_PARAMS ? 'config' : 'agent_failed';
}

/** The words in a message that is itself the JSON of an error. */
function textIn(message: string): string {
  try {
    return textOf(objectOf(objectOf(JSON.parse(message))['error'])['message']) ?? message;
  } catch {
    return message; // It is words, as with most.
  }
}

/** An error of the agent's model that it told beside its work; null when the update tells none. */
export interface ToldError {
  readonly message: string;
  readonly status: number | null;
  readonly willRetry: boolean;
}

/** `metas`: what stands in `_meta` under the name of the agent. */
export function toldErrorIn(metas: readonly SaidObject[]): ToldError | null {
  const error = metas.map((meta) => objectOf(meta['error'])).find((found) => textOf(found['message']) !== null);
  if (error === undefined) return null;
  const info = Object.values(objectOf(error['codexErrorInfo'])).map((found) => countOf(objectOf(found)['httpStatusCode']));
  return {
    message: [textOf(error['message']), textOf(error['additionalDetails'])].filter((text) => text !== null).join(': '),
    status: info.find((status) => status > 0) ?? null,
    willRetry: error['willRetry'] === true,
  };
}

export const meaningOfToldError = ({ status, message }: ToldError): Meaning =>
  meaningOf({ status: status ?? statusIn(message), words: message }) ?? AWAY;

/** An agent has given up and does not say why. */
export const AWAY: Meaning = { kind: 'model_unavailable', retryable: true };

/** The models that a session offers, by the option that chooses them; null when it offers none. */
export function modelChoiceIn(result: SaidObject): { readonly configId: string; readonly models: readonly string[] } | null {
  const option = itemsOf(result['configOptions'])
    .map(objectOf)
    .find(({ category, id }) => category === 'model' || id === 'model');
  const configId = textOf(option?.['id']);
  if (option === undefined || configId === null) return null;
  // Values may stand in groups.
  const values = itemsOf(option['options'])
    .map(objectOf)
    .flatMap((value) => [value, ...itemsOf(value['options']).map(objectOf)]);
  return { configId, models: values.flatMap(({ value }) => textOf(value) ?? []) };
}
