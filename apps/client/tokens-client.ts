/** Tokens and enrollment secrets. */
import { pathTo, type Requester } from './api-request.ts';
import type {
  EnrolSecretJson,
  Page,
  PageQuery,
  RegisterChallenge,
  RegisterHelloRequest,
  RegisterProvedRequest,
  RegisterRequest,
  Registration,
  RotatedTokenJson,
  RotateTokenRequest,
  SealedRegistration,
  TokenJson,
  TokenRequest,
} from './types.ts';

/** The routes of tokens, for admins. */
export interface TokensClient {
  /** Creates a token. Only this response has `token`. Not retried once it was sent. */
  create(body: TokenRequest): Promise<TokenJson>;
  /** A page of tokens, with their prefixes only; `next_cursor` gives the next page. Retried. */
  list(query?: PageQuery): Promise<Page<'tokens', TokenJson>>;
  /**
   * Creates a token that replaces this one, with the same rights and lifetime. The old one expires after `overlap_ms` (default 1 h, at most
   * 30 days; 0: at once). Only this response has `token`. Not retried once it was sent.
   */
  rotate(id: string, body?: RotateTokenRequest): Promise<RotatedTokenJson>;
  /** Revokes a token by its ID, or all tokens of an agent, and closes their connections. Not retried once it was sent. */
  revoke(id: string): Promise<Readonly<Record<string, unknown>>>;
}

/** How a new machine gets its token. */
export interface EnrolmentClient {
  /** Creates a secret with which one agent can enroll once, within 15 minutes. Not retried once it was sent. */
  createSecret(): Promise<EnrolSecretJson>;
  /** Asks the hub to prove that it knows an enrollment secret, without revealing the secret. Retried. */
  hello(body: RegisterHelloRequest): Promise<RegisterChallenge>;
  /** Like `register`, but after `hello`, with the secret and the token encrypted. Not retried once it was sent. */
  registerProved(body: RegisterProvedRequest): Promise<SealedRegistration>;
  /**
   * Enrolls an agent and uses up the secret, which is sent to any program that answers at this address. Not retried once it was sent.
   */
  register(body: RegisterRequest): Promise<Registration>;
}

export const tokensClient = ({ get, postOnce, request }: Requester): TokensClient => ({
  create: (body) => postOnce('/admin/tokens', body),
  list: (query) => get('/admin/tokens', query),
  rotate: (id, body) => postOnce(`${pathTo('/admin/tokens', id)}/rotate`, body),
  revoke: (id) => request({ method: 'DELETE', path: pathTo('/admin/tokens', id), idempotent: false }),
});

export const enrolmentClient = ({ post, postOnce }: Requester): EnrolmentClient => ({
  createSecret: () => postOnce('/admin/enrol-secrets'),
  hello: (body) => post('/api/onboard/register', body),
  registerProved: (body) => postOnce('/api/onboard/register', body),
  register: (body) => postOnce('/api/onboard/register', body),
});
