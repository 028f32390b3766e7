/** An HTTP request as both servers provide it: with its headers in one flat list, as received. */
import type { HttpBody, HttpRequest } from '../../core/ports/http.ts';

export interface RequestParts extends Pick<HttpRequest, 'method' | 'path' | 'query' | 'remoteAddress' | 'body'> {
  /** Alternating names and values. */
  readonly headers: readonly string[];
}

export class CapturedRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly remoteAddress: string;
  readonly body: HttpBody | null;
  /** Set by `httpAnswerer`. */
  whenSent: HttpRequest['whenSent'];
  readonly #headers: readonly string[];

  constructor({ method, path, query, remoteAddress, body, headers }: RequestParts) {
    this.method = method;
    this.path = path;
    this.query = query;
    this.remoteAddress = remoteAddress;
    this.body = body;
    this.#headers = headers;
  }

  header(name: string): string | undefined {
    return headerIn(this.#headers, name);
  }
}

/** A header by its lowercase name, with the values of a repeated one joined; undefined if absent. */
export function headerIn(headers: readonly string[], wanted: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (name.length !== wanted.length || name.toLowerCase() !== wanted) continue;
    const value = headers[at + 1] ?? '';
    found = found === undefined ? value : `${found}, ${value}`;
  }
  return found;
}

/** Whether the request has a body. That of GET and HEAD has no meaning and is ignored. */
export const hasBody = (method: string, headers: readonly string[]): boolean => !ignoresBody(method) && announcesBody(headers);

export const ignoresBody = (method: string): boolean => method === 'GET' || method === 'HEAD';

/** Whether a body follows these headers, with any method. */
export const announcesBody = (headers: readonly string[]): boolean =>
  headerIn(headers, 'transfer-encoding') !== undefined || (headerIn(headers, 'content-length') ?? '0') !== '0';

/** Matches the Host of almost every request, so that it need not be parsed: lowercase, not IPv6, with a port below 60000. */
const PLAIN_HOST = /^[a-z0-9._-]+(?::[1-5]?\d{1,4})?$/;
/** Characters that would start another part of a URL. */
const NOT_IN_HOST = /[\s/?#@\\]/;

/** Why a request with this path and Host cannot be handled; null if it can. */
export function unservable(path: string, host: string | undefined): string | null {
  if (!path.startsWith('/')) return 'the path must begin with /';
  if (path.includes('\\')) return 'the path must not contain a backslash';
  if (host === undefined) return 'there is no Host';
  if (PLAIN_HOST.test(host) || (!NOT_IN_HOST.test(host) && URL.canParse(`http://${host}`))) return null;
  return 'the Host must be a name or an address, with or without a port';
}
