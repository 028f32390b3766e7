/** What is logged and counted for each request: never its query, headers or body, which may contain secrets. */
import { refusalCounts, type RefusalCounts } from '../../core/application/refusal-counts.ts';
import { refusalLog } from '../../core/application/refusal-log.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { HttpRequest } from '../../core/ports/http.ts';
import { clientAddress } from '../../core/protocol/client-address.ts';
import { loggedToken } from '../../core/application/logged-token.ts';
import { bearerToken } from './authenticate.ts';
import type { HttpApiDeps } from './deps.ts';
import type { Reply } from './reply.ts';

export interface Logged {
  readonly method: string;
  /** The path of the route, with parameter names instead of values; null if there is no such route. */
  readonly path: string | null;
}

/** Who sent a request, for the log. */
export interface Sender {
  /** The client, seen through trusted proxies. */
  readonly address: string;
  /** The ID of a known token, the first characters of an unknown one, `session`, or `none`: never the whole token. */
  token: string;
}

export interface RequestLog {
  /** The sender before its token is looked up. */
  senderOf(request: HttpRequest): Sender;
  /**
   * Logs one line for each request that failed with 500; refusals, and what a busy hub or a storage that is away rejects, are counted, and
   * logged at a limited rate; everything else is logged at debug level.
   */
  answered(logged: Logged, sender: Sender, reply: Reply, thrown?: unknown): void;
  /** Refused requests, by error code. */
  readonly refused: RefusalCounts;
}

export function requestLog(deps: Pick<HttpApiDeps, 'log' | 'clock' | 'trustedProxies'>): RequestLog {
  const { log } = deps;
  const noteRefusal = refusalLog(deps);
  const refused = refusalCounts();
  return {
    refused,
    senderOf: (request) => new RequestSender(request, deps.trustedProxies),
    answered({ method, path }, sender, reply, thrown) {
      const fields = { method, path, status: reply.status };
      if (reply.refused !== undefined) refused.add(reply.refused);
      if (reply.status === 500)
        log.error('A request failed.', { ...fields, error: messageOf(thrown), stack: thrown instanceof Error ? thrown.stack : null });
      else if (reply.status === 503)
        noteRefusal(`${method} ${path ?? ''} ${AgentcomError.is(thrown) ? thrown.code : reply.refused}`, 'A request was rejected.', {
          ...fields,
          error: thrown === undefined ? reply.refused : messageOf(thrown),
          address: sender.address,
          token: sender.token,
        });
      else if (reply.refused !== undefined)
        noteRefusal(`${method} ${path ?? ''} ${reply.refused}`, 'A request was refused.', {
          ...fields,
          error: reply.refused,
          address: sender.address,
          token: sender.token,
        });
      else log.debug('A request was answered.', fields);
    },
  };
}

/** Determines the text of its token only for the few requests that are logged. */
class RequestSender implements Sender {
  readonly address: string;
  readonly #request: HttpRequest;
  #tokenId: string | null = null;

  constructor(request: HttpRequest, trustedProxies: readonly string[]) {
    this.address = clientAddress(request.remoteAddress, request.header('x-forwarded-for') ?? null, trustedProxies);
    this.#request = request;
  }

  get token(): string {
    return this.#tokenId ?? tokenText(this.#request);
  }

  set token(id: string) {
    this.#tokenId = id;
  }
}

function tokenText(request: HttpRequest): string {
  const authorization = request.header('authorization');
  if (authorization === undefined) return request.header('cookie') === undefined ? 'none' : 'session';
  return loggedToken(bearerToken(authorization) ?? '');
}
