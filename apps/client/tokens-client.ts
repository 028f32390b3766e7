/** Tokens and enrolment secrets. */
import { at, type Requester } from './api-request.ts';
import type {
  EnrolSecretJson,
  Page,
  PageQuery,
  RegisterChallenge,
  RegisterHelloRequest,
  RegisterProvedRequest,
  RegisterRequest,
  Registration,
  SealedRegistration,
  TokenJson,
  TokenRequest,
} from './types.ts';

export interface TokensClient {
  /** Creates a token; `token` is only in this answer. Not retried once it was sent. */
  create(body: TokenRequest): Promise<TokenJson>;
  /** A page of tokens, showing only their prefixes; `next_cursor` gives the next page. Retried. */
  list(query?: PageQuery): Promise<Page<'tokens', TokenJson>>;
  /** Revokes by agent ID or token ID and closes the connections. Not retried once it was sent. */
  revoke(id: string): Promise<Readonly<Record<string, unknown>>>;
}

export interface EnrolmentClient {
  /** Creates a secret with which one agent can enrol, once and for a short time. Not retried once it was sent. */
  createSecret(): Promise<EnrolSecretJson>;
  /** Has the hub prove that it knows an enrolment secret, without revealing it. Retried. */
  hello(body: RegisterHelloRequest): Promise<RegisterChallenge>;
  /** Like `register`, with secret and token encrypted, once the hub has proved itself. Not retried once it was sent. */
  registerProved(body: RegisterProvedRequest): Promise<SealedRegistration>;
  /**
   * Enrols an agent and uses up the secret. Whoever answers at the address gets the secret. Not retried once it was sent.
   */
  register(body: RegisterRequest): Promise<Registration>;
}

export const tokensClient = ({ read, actOnce, request }: Requester): TokensClient => ({
  create: (body) => actOnce('/admin/tokens', body),
  list: (query) => read('/admin/tokens', query),
  revoke: (id) => request({ method: 'DELETE', path: at('/admin/tokens', id), repeatable: false }),
});

export const enrolmentClient = ({ act, actOnce }: Requester): EnrolmentClient => ({
  createSecret: () => actOnce('/admin/enrol-secrets'),
  hello: (body) => act('/api/onboard/register', body),
  registerProved: (body) => actOnce('/api/onboard/register', body),
  register: (body) => actOnce('/api/onboard/register', body),
});
