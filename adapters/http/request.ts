/** The request as a handler gets it, after all checks that are the same for every route. */
import type { Principal } from './authenticate.ts';
import type { Reply } from './reply.ts';
import type { OpenRouteName, Reach, RouteName } from './routes.ts';

/** Who sent the request, and what it reaches on this route. */
export interface Caller extends Principal {
  readonly reach: Reach;
}

/** Whom the requests of a token count for in limits that strangers have too, by their address. */
export const ownerOf = ({ id }: Pick<Caller, 'id'>): string => `token ${id}`;

/** Called with each line of a body. If it returns a reply, reading stops and that is the response. */
export type LineHandler = (line: { readonly number: number; readonly bytes: Uint8Array }) => Reply | null;

export interface ApiRequest {
  readonly method: string;
  /** The parameters in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Parsed on each call. */
  query(): URLSearchParams;
  /** By lowercase name. */
  header(name: string): string | undefined;
  /** The address of the client, as reported by trusted proxies. */
  readonly address: string;
  /** The parsed body of a route that has one. It can be stored unchanged, and its depth is limited. */
  readonly json: unknown;
  /** Reads the body of a route with lines. Resolves to null at its end, or to the reply of `take`. */
  readLines(take: LineHandler): Promise<Reply | null>;
}

export type Handler = (request: ApiRequest, by: Caller) => Reply | Promise<Reply>;
export type OpenHandler = (request: ApiRequest) => Reply | Promise<Reply>;

/** One for each row of the table. A row without a handler does not compile. */
export type Handlers = { readonly [N in RouteName]: N extends OpenRouteName ? OpenHandler : Handler };
