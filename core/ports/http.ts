/** One HTTP request and its reply, whatever server carries them. */

/** Bytes that are asked for a chunk at a time. */
export interface ByteStream {
  /** The next chunk, once it is there; null at the end. Fails when the rest will never come. MUST NOT be called before the last call has answered. */
  next(): Promise<Uint8Array | null>;
  /** Nobody wants the rest: a `next` that waits answers null, at once. MUST be safe at any time and twice, and MUST NOT throw. */
  cancel(): void;
}

/** The body of a request. It is read once, by `next` or by `whole`, while it arrives; what nobody reads the peer MUST NOT be let send on. */
export interface HttpBody extends ByteStream {
  /** All of it, in the place of `next`. Fails when the peer goes before its end, and after `cancel`. */
  whole(): Promise<Uint8Array>;
}

export interface HttpRequest {
  /** As it was sent. */
  readonly method: string;
  /** The path as it was sent, percent-encoded, from its first `/` to before the `?`. */
  readonly path: string;
  /** What was sent behind the `?`; empty without one. */
  readonly query: string;
  /** The socket's peer, before any proxy is looked at. */
  readonly remoteAddress: string;
  /** By its name in lower case. One that was sent more than once is one text, with `, ` between; undefined without it. */
  header(name: string): string | undefined;
  /** Null where there is none, and always for GET and HEAD. */
  readonly body: HttpBody | null;
}

export interface HttpReply {
  readonly status: number;
  /** Names in lower case. The transport adds what is its own: length, date and whatever says how the connection goes on. */
  readonly headers: Readonly<Record<string, string>>;
  /** A text MUST be sent with its length; null is an empty one. A stream MUST be asked no faster than the peer takes it. */
  readonly body: string | ByteStream | null;
}

/**
 * Answers a request. What it throws is answered with 500 by the transport. A transport MUST refuse with 400 by itself a request whose
 * path does not begin with `/`, whose Host is no host, or whose body has no certain end. To HEAD, and with 204 and 304, the transport
 * MUST leave out the body, and cancel one that is a stream; a text is still told by its length to HEAD. When the peer goes, the
 * transport MUST cancel the stream; when a stream fails, it MUST cut the connection, so that what is not whole is not taken for it.
 */
export type HttpHandler = (request: HttpRequest) => HttpReply | Promise<HttpReply>;
