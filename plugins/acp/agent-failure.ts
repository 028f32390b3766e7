/** Interprets failures reported by an agent. */
import {
  agentFailed,
  classifyAnswer,
  countOf,
  incompleteAnswer,
  objectOf,
  shorten,
  statusIn,
  textOf,
  type Classification,
  type FailureCause,
  type JsonObject,
  type RunOutcome,
} from '../plugin.ts';

/** ACP's error code for an agent that is not logged in. The two below are standard JSON-RPC codes. */
const AUTH_REQUIRED = -32_000;
const METHOD_NOT_FOUND = -32_601;
const INVALID_PARAMS = -32_602;

/** Values of `data.errorKind`, which the ACP adapter of Claude Code adds to an error. */
const CLAUDE_ERROR_KINDS: ReadonlyMap<string, FailureCause> = new Map<string, FailureCause>([
  ['rate_limit', 'rate_limited'],
  ['server_error', 'model_unavailable'],
  ['overloaded', 'model_unavailable'],
  ['authentication_failed', 'auth'],
  ['billing_error', 'config'],
]);

/** State of the run when the request failed. */
export interface RunProgress {
  readonly mayHaveSideEffects: boolean;
  /** The answer so far; null if part of it was lost. */
  readonly text: string | null;
  readonly sessionId: string | null;
}

/**
 * The failure of a run whose request was answered with an error. No further request is sent after it. `method` is null
 * if the error answers no known request.
 */
export function failureOfRequest(
  method: string | null,
  error: JsonObject,
  { mayHaveSideEffects, text, sessionId }: RunProgress,
): RunOutcome {
  const code = typeof error['code'] === 'number' ? error['code'] : null;
  const data = objectOf(error['data']);
  const reported = errorText(error);
  const explicitKind = code === AUTH_REQUIRED ? 'auth' : CLAUDE_ERROR_KINDS.get(textOf(data['errorKind']) ?? '');
  // Some agents put the HTTP status into the JSON-RPC code.
  const status = code !== null && code >= 400 && code <= 599 ? code : statusIn(reported);
  const classified = explicitKind === undefined ? classifyAnswer({ status, text: reported }) : null;
  const message = unwrapJsonError(reported);
  return agentFailed({
    kind: explicitKind ?? classified?.kind ?? kindOfMethod(method, code),
    message: shorten(`answered ${method ?? 'a request'} with an error: ${message}`),
    mayHaveSideEffects,
    retryable: classified?.retryable,
    details: { ...(code === null ? {} : { code }), ...data },
    acceptable: incompleteAnswer({
      reason: method === 'session/prompt' ? classified?.reason : undefined,
      text: classified?.reason === 'refused' ? message : partialAnswer(text, reported),
      metadata: { session_id: sessionId },
    }),
  });
}

/** Claude first sends the error as a message: that is not an answer. */
const partialAnswer = (text: string | null, error: string): string | null => (text !== null && error.includes(text) ? '' : text);

/** The agent's error message. Some agents only say "Internal error" and put the details into `data`. */
export function errorText(error: JsonObject): string {
  const message = textOf(error['message']) ?? 'it gave no reason';
  const data = objectOf(error['data']);
  const details = textOf(data['details']) ?? textOf(data['message']);
  return details === null ? message : `${message}: ${details}`;
}

/** Codex accepts any session and only reports at the prompt that it has lost it. */
export const saysSessionNotFound = (error: JsonObject): boolean => /\b(?:thread|session) not found\b/i.test(errorText(error));

/** A setup request or an unsupported method fails because of the configuration. */
function kindOfMethod(method: string | null, code: number | null): FailureCause {
  const isSetup = method === 'initialize' || method === 'session/set_config_option';
  return isSetup || code === METHOD_NOT_FOUND || code === INVALID_PARAMS ? 'config' : 'agent_failed';
}

/** Unwraps a message that is itself a JSON-encoded error. */
function unwrapJsonError(message: string): string {
  try {
    return textOf(objectOf(objectOf(JSON.parse(message))['error'])['message']) ?? message;
  } catch {
    return message; // Plain text, as with most agents.
  }
}

/** An error of the agent's model, reported during the run. */
export interface ReportedError {
  readonly message: string;
  readonly status: number | null;
  readonly willRetry: boolean;
}

/** Null if the update contains no error. `agentMeta`: the objects in `_meta`, one for each agent name. */
export function reportedErrorIn(agentMeta: readonly JsonObject[]): ReportedError | null {
  const error = agentMeta.map((meta) => objectOf(meta['error'])).find((found) => textOf(found['message']) !== null);
  if (error === undefined) return null;
  // `{ codexErrorInfo: { <variant>: { httpStatusCode: 503 } } }`; 0 stands for a missing status.
  const statuses = Object.values(objectOf(error['codexErrorInfo'])).map((variant) => countOf(objectOf(variant)['httpStatusCode']));
  return {
    message: [textOf(error['message']), textOf(error['additionalDetails'])].filter((text) => text !== null).join(': '),
    status: statuses.find((status) => status > 0) ?? null,
    willRetry: error['willRetry'] === true,
  };
}

export const classifyReportedError = ({ status, message }: ReportedError): Classification =>
  classifyAnswer({ status: status ?? statusIn(message), text: message }) ?? MODEL_UNAVAILABLE;

/** Assumed if the agent gives no reason. */
export const MODEL_UNAVAILABLE: Classification = { kind: 'model_unavailable', retryable: true };
