/** HTTP requests and responses, independent of the server. */

/** A pull-based byte stream. Core compiles without the types of Node and the web, so this is not a `ReadableStream`. */
export interface ByteStream {
  /**
   * Resolves to the next chunk, or to null at the end. Rejects if the stream breaks off. MUST NOT be called while a previous call is
   * pending.
   */
  next(): Promise<Uint8Array | null>;
  /** Discards the rest: a pending `next` resolves to null at once. MUST be idempotent and callable at any time, and MUST NOT throw. */
  cancel(): void;
}

/**
 * A request body, which can be read once as it arrives: chunk by chunk with `next`, or as a whole with `whole`. The transport MUST apply
 * backpressure: while nobody reads the body, the client must not be able to send more than a bounded amount.
 */
export interface HttpBody extends ByteStream {
  /** The whole body, instead of `next`: at once if it has arrived. Rejects if the client disconnects before its end, and after `cancel`. */
  whole(): Uint8Array | Promise<Uint8Array>;
}

/** A request as the transport received it. */
export interface HttpRequest {
  /** As received. */
  readonly method: string;
  /** The raw, percent-encoded path, from its first `/` and without the query. */
  readonly path: string;
  /** The raw query string without the `?`; empty if there is none. */
  readonly query: string;
  /** The address of the TCP peer, which may be a proxy. */
  readonly remoteAddress: string;
  /** A header by its lowercase name. The values of a repeated header are joined with `, `; undefined if absent. */
  header(name: string): string | undefined;
  /** Null if there is none, and always for GET and HEAD. */
  readonly body: HttpBody | null;
  /**
   * Calls `listener` once the operating system has taken the whole response, or the client has disconnected; at once if it already has. Called
   * at most once. A transport that cannot tell leaves it undefined.
   */
  readonly whenSent?: ((listener: () => void) => void) | undefined;
}

/** What the transport answers. */
export interface HttpResponse {
  readonly status: number;
  /**
   * By lowercase name. The transport adds `content-length`, `date` and the headers of the connection, such as `connection` and
   * `transfer-encoding`.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** A string MUST be sent with `content-length`; null is an empty body. A stream MUST NOT be pulled faster than the client reads. */
  readonly body: string | ByteStream | null;
}

/**
 * Handles a request. If it throws or rejects, the transport responds with 500.
 *
 * - The transport itself MUST respond with 400 to a request whose path does not start with `/`, whose `Host` is missing or invalid, or
 *   whose body length is ambiguous.
 * - To HEAD, and with status 204 and 304, the transport MUST omit the body, and cancel it if it is a stream. A response to HEAD still has
 *   the `content-length` of a string.
 * - If the client disconnects, the transport MUST cancel the stream.
 * - If the stream fails, the transport MUST abort the connection, so that the client cannot mistake a partial body for a complete one.
 */
export type HttpHandler = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;
