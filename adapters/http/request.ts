/** What a handler gets: the request after every check that does not depend on what it asks for. */
import type { Principal } from './authenticate.ts';
import type { Reply } from './reply.ts';
import type { OpenRouteName, RouteName } from './routes.ts';

/** Takes one line of a body; a reply ends the reading and is the answer. */
export type LineTaker = (line: { readonly number: number; readonly bytes: Uint8Array }) => Reply | null;

export interface ApiRequest {
  readonly method: string;
  /** The named parts of the address, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Of the address; made when it is asked for. */
  query(): URLSearchParams;
  /** By its name in lower case. */
  header(name: string): string | undefined;
  /** Who sent it, proxies looked through. */
  readonly address: string;
  /** The parsed body of a route with one; its text is fit to keep, its depth bounded. */
  readonly json: unknown;
  /** Reads the body of a route with lines, a slice at a time; null when it was read to its end. */
  readLines(take: LineTaker): Promise<Reply | null>;
}

export type Handler = (request: ApiRequest, principal: Principal) => Reply | Promise<Reply>;
export type OpenHandler = (request: ApiRequest) => Reply | Promise<Reply>;

/** One for each row of the table; a row without a handler does not compile. */
export type Handlers = { readonly [N in RouteName]: N extends OpenRouteName ? OpenHandler : Handler };
