/** Tokens, and the secrets by which machines get one. */
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
  /** Makes a token; `token` is in this answer and nowhere else. Not repeated once it was sent. */
  create(body: TokenRequest): Promise<TokenJson>;
  /** A page of the tokens, without themselves; `next_cursor` gives the next. Repeated. */
  list(query?: PageQuery): Promise<Page<'tokens', TokenJson>>;
  /** By agent id or token id; its sockets are closed. Not repeated once it was sent. */
  revoke(id: string): Promise<Readonly<Record<string, unknown>>>;
}

export interface EnrolmentClient {
  /** Makes a secret with which one agent may enrol, once and soon. Not repeated once it was sent. */
  createSecret(): Promise<EnrolSecretJson>;
  /** Has the hub prove that it knows an enrolment secret, of which nothing is sent that opens anything. Repeated. */
  hello(body: RegisterHelloRequest): Promise<RegisterChallenge>;
  /** As `register`, with secret and token sealed, once the hub has proved itself. Not repeated once it was sent. */
  registerProved(body: RegisterProvedRequest): Promise<SealedRegistration>;
  /**
   * Takes an identity with an enrolment secret, which is used up by it. Whoever answers at the address gets the secret. Not repeated once
   * it was sent.
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
