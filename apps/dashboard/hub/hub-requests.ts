/** Requests to the hub that served this page, as the user who is signed in. */
import { signal } from '@preact/signals';
import { isRecord } from '../../../core/domain/describe-value.ts';

/** How long an answer may take, milliseconds. */
const ANSWER_WITHIN_MS = 30_000;
const UNAUTHORIZED = 401;

/** A request that the hub refused, or did not answer (`status` 0). `message` is for people. */
export class HubError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface Identity {
  /** The ID of the token. */
  readonly id: string;
  /** Of the token, and of the one that replaces it. */
  readonly name: string;
  readonly role: 'submitter' | 'viewer' | 'operator' | 'admin';
}

/** Who is signed in: `unknown` until the hub has said so. */
export const identity = signal<Identity | 'unknown' | null>('unknown');
/** Why the user was signed out; shown above the form. */
export const signedOutBecause = signal<string | null>(null);
/** The hub's clock minus this machine's, milliseconds. */
const clockOffsetMs = signal(0);
export const hubNowMs = (): number => Date.now() + clockOffsetMs.value;

export const role = (): Identity['role'] | null => (identity.value === null || identity.value === 'unknown' ? null : identity.value.role);
/** Whether the user may retry, cancel, drain and so on. */
export const canOperate = (): boolean => role() === 'operator' || role() === 'admin';
export const canSubmit = (): boolean => canOperate() || role() === 'submitter';
/** Whether the user may read the audit log, and see and revoke tokens. */
export const canAdminister = (): boolean => role() === 'admin';
/** Whether the user sees more than their own tasks. */
export const canView = (): boolean => role() !== null && role() !== 'submitter';

/** Only pages of the hub itself can send this header: other origins cannot without the hub's permission, which it never gives. */
export const OWN_PAGE = { 'x-agentcom-dashboard': '1' } as const;

type Method = 'GET' | 'POST' | 'DELETE';

export interface RequestOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** Sends a request and reads the JSON of its answer. Throws `HubError`. A 401 signs the user out. */
export async function sendRequest<T>(method: Method, path: string, { body, headers = {}, signal: stop }: RequestOptions = {}): Promise<T> {
  const limit = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const hasBody = method === 'POST';
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      signal: stop === undefined ? limit : AbortSignal.any([limit, stop]),
      headers: { ...OWN_PAGE, ...(hasBody ? { 'content-type': 'application/json' } : {}), ...headers },
      ...(hasBody ? { body: JSON.stringify(body ?? {}) } : {}),
    });
    text = await response.text();
  } catch (thrown) {
    if (stop?.aborted === true) throw thrown;
    throw new HubError(0, 'unreachable', 'The hub does not answer. Is it running, and is the network up?');
  }
  if (response.ok) return answerIn(text) as T;
  if (response.status === UNAUTHORIZED && identity.value !== null && identity.value !== 'unknown')
    signedOut('Your session has ended, or its token was revoked. Sign in again.');
  throw refusalIn(response.status, text);
}

/** Why the hub refused a request: in its own words, if the answer has any. */
export function refusalIn(status: number, text: string): HubError {
  const answer = jsonIn(text);
  const json = isRecord(answer) ? answer : {};
  const code = typeof json['error'] === 'string' ? json['error'] : `status ${status}`;
  const message = typeof json['message'] === 'string' ? json['message'] : `The hub answered with status ${status}.`;
  return new HubError(status, code, message + detailsText(json['details']));
}

export const get = <T>(path: string, stop?: AbortSignal): Promise<T> => sendRequest<T>('GET', path, { signal: stop });

/** The answer to a request that succeeded. Throws `HubError` if it is not JSON, such as the sign-in page of a proxy. */
function answerIn(text: string): unknown {
  const answer = text === '' ? {} : jsonIn(text);
  if (answer === undefined)
    throw new HubError(
      0,
      'not_the_hub',
      'Something other than the hub answered, such as a proxy that wants you to sign in. Reload the page.',
    );
  return answer;
}

/** Undefined if it is not JSON. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Up to three mistakes after the first, which the message already names. */
function detailsText(details: unknown): string {
  if (!Array.isArray(details) || details.length < 2) return '';
  const more = (details as readonly { readonly field?: unknown; readonly detail?: unknown }[]).slice(1, 4);
  return ` Also: ${more.map(({ field, detail }) => `${String(field)} ${String(detail)}`).join('; ')}.`;
}

export function signedOut(why: string | null): void {
  signedOutBecause.value = why;
  identity.value = null;
}

/** Asks who is signed in. Throws if the hub does not answer; `identity` then stays as it is. */
export async function readIdentity(): Promise<void> {
  const fromMs = Date.now();
  try {
    const answer = await get<Identity & { readonly server_time: number }>('/api/whoami');
    clockOffsetMs.value = answer.server_time - (fromMs + Date.now()) / 2;
    const before = identity.value;
    // The same user in a new object would restart everything that depends on the identity, such as the event stream.
    const isSame = before !== null && before !== 'unknown' && before.id === answer.id && before.role === answer.role;
    if (!isSame) identity.value = { id: answer.id, name: answer.name, role: answer.role };
  } catch (thrown) {
    if (!(thrown instanceof HubError) || thrown.status !== UNAUTHORIZED) throw thrown;
    // Nobody was signed in before, so no session has ended. Otherwise `sendRequest` has already reported which session ended.
    if (identity.value === 'unknown') signedOut(null);
  }
}

/** The other pages of this browser share the session: each asks again who is signed in. */
const otherPages = new BroadcastChannel('agentcom-session');
const SESSION_CHANGED = 'changed';

export function startSession(): void {
  otherPages.addEventListener('message', () => {
    readIdentity().catch((thrown: unknown) => {
      // A hub that does not answer says it at the next request of the page.
      if (!(thrown instanceof HubError)) throw thrown;
    });
  });
}

export async function signIn(token: string): Promise<void> {
  await sendRequest('POST', '/api/session', { body: { token: token.trim() } });
  otherPages.postMessage(SESSION_CHANGED);
  signedOutBecause.value = null;
  await readIdentity();
  if (identity.value === null)
    throw new HubError(UNAUTHORIZED, 'no_session', 'The browser did not store the session. Allow cookies for this address.');
}

export async function signOut(): Promise<void> {
  await sendRequest('DELETE', '/api/session');
  otherPages.postMessage(SESSION_CHANGED);
  signedOut(null);
}
