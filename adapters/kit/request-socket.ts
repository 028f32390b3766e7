/**
 * POST requests in the messages of a WebSocket: for a client that sends many, such as submits, a message costs less than a request over HTTP.
 * The handler treats each like any other request, with the token of the upgrade.
 *
 * A message is a line of JSON and the body: `{"id":1,"method":"POST","path":"/api/tasks","headers":{…}}`, a line feed, the body. So is its
 * answer: `{"id":1,"status":201,"headers":{…}}`. Answers come in any order.
 */
import type { HttpBody } from '../../core/ports/http.ts';
import type { AnswerHead, Exchange } from './answer-http.ts';
import { CapturedRequest } from './captured-request.ts';

/** Where clients open one. */
export const REQUEST_SOCKET_PATH = '/api/socket';
/** Open at once on a port: each may hold a message that is not complete. Tokens share them; who gets none uses HTTP. */
export const REQUEST_SOCKETS_MAX = 128;
/** A larger message closes the socket. Bytes. */
export const REQUEST_BYTES_MAX = 1_048_576;
/** A socket may have this many requests without an answer; one more closes it. */
export const REQUESTS_MAX = 16;
/** While more bytes than this wait for the client to read them, nothing is read from it. */
export const UNREAD_BYTES_MAX = 1_048_576;
/** Of the line before the body, bytes. */
const HEAD_BYTES_MAX = 16_384;

const LINE_FEED = 10;
/** What a message may set; everything else comes from the upgrade. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['content-type', 'idempotency-key', 'traceparent', 'tracestate']);
/** The headers of the upgrade that each request has. No cookies: only a token opens a socket. */
const UPGRADE_HEADERS = ['host', 'origin', 'authorization', 'x-forwarded-for'] as const;
/** The headers of an answer that a client uses. */
const ANSWER_HEADERS = ['content-type', 'retry-after'] as const;

/** The WebSocket under it. */
export interface RequestPeer {
  readonly remoteAddress: string;
  send(text: string): void;
  /** Nothing is sent or delivered afterwards. */
  close(code: 1008 | 1001, reason: string): void;
}

export interface RequestSocketDeps {
  readonly peer: RequestPeer;
  /** Alternating names and values, from `upgradeHeaders`. */
  readonly headers: readonly string[];
  readonly answer: (request: CapturedRequest, exchange: Exchange) => void;
}

/** The headers of an upgrade that its requests get. */
export const upgradeHeaders = (header: (name: string) => string | undefined): readonly string[] =>
  UPGRADE_HEADERS.flatMap((name) => {
    const value = header(name);
    return value === undefined ? [] : [name, value];
  });

/** open ── `end` ──► ending, until all requests are answered ──► closed, also by `gone` and by a wrong message */
export class RequestSocket {
  readonly #deps: RequestSocketDeps;
  readonly #running = new Set<Exchange>();
  #runningBytes = 0;
  #isEnding = false;
  #isClosed = false;

  constructor(deps: RequestSocketDeps) {
    this.#deps = deps;
  }

  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** Of the bodies of requests without an answer: the caller reads nothing more while they are over `REQUEST_BYTES_MAX`. */
  get runningBytes(): number {
    return this.#runningBytes;
  }

  /** A message arrived. */
  take(message: Uint8Array): void {
    if (this.#isClosed) return;
    const read = readHead(message);
    if (typeof read === 'string') return this.#close(1008, read);
    if (this.#running.size === REQUESTS_MAX) return this.#close(1008, `at most ${REQUESTS_MAX} requests at once`);
    const { id, path: target, headers, body } = read;
    const mark = target.indexOf('?');
    const request = new CapturedRequest({
      method: 'POST',
      path: mark === -1 ? target : target.slice(0, mark),
      query: mark === -1 ? '' : target.slice(mark + 1),
      remoteAddress: this.#deps.peer.remoteAddress,
      headers: [...this.#deps.headers, ...headers, 'content-length', String(body.byteLength)],
      body: body.byteLength === 0 ? null : new WholeBody(body),
    });
    const exchange = this.#exchange(id, body.byteLength);
    this.#running.add(exchange);
    this.#runningBytes += body.byteLength;
    this.#deps.answer(request, exchange);
  }

  /** Closes it once everything is answered. */
  end(reason = 'the hub is stopping'): void {
    this.#isEnding = true;
    if (this.isIdle) this.#close(1001, reason);
  }

  /** Its token is no longer valid. */
  revoked(): void {
    this.#close(1008, 'the token is not valid');
  }

  /** The client disconnected. */
  gone(): void {
    this.#isClosed = true;
    for (const exchange of this.#running) exchange.onGone();
    this.#running.clear();
  }

  #close(code: 1008 | 1001, reason: string): void {
    if (this.#isClosed) return;
    this.gone();
    this.#deps.peer.close(code, reason);
  }

  #exchange(id: number, bytes: number): Exchange {
    const exchange: Exchange = {
      isOver: () => !this.#running.has(exchange),
      answer: ({ status, headers }, body) => {
        if (!this.#running.delete(exchange)) return;
        this.#runningBytes -= bytes;
        this.#deps.peer.send(`${JSON.stringify({ id, status, headers: answerHeaders(headers) })}\n${body ?? ''}`);
        // Its token is no longer valid, which a wrong secret in a body does not mean.
        if (status === 401 && headers['www-authenticate'] !== undefined) this.revoked();
        else if (this.#isEnding) this.end();
      },
      write: () => {
        this.#close(1008, 'a stream is sent over HTTP only');
        return Promise.resolve();
      },
      end: () => undefined,
      abort: () => this.#close(1008, 'the answer was aborted'),
      onGone: () => undefined,
    };
    return exchange;
  }
}

function answerHeaders(headers: AnswerHead['headers']): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  for (const name of ANSWER_HEADERS) {
    const value = headers[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

interface RequestHead {
  readonly id: number;
  readonly path: string;
  /** Alternating names and values. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

/** Why the message cannot be read, as the reason of a close. */
function readHead(message: Uint8Array): RequestHead | string {
  const end = message.subarray(0, HEAD_BYTES_MAX).indexOf(LINE_FEED);
  if (end === -1) return `expected a line of at most ${HEAD_BYTES_MAX} bytes before the body`;
  let head: unknown;
  try {
    head = JSON.parse(Buffer.from(message.buffer, message.byteOffset, end).toString());
  } catch {
    return 'expected JSON in the first line';
  }
  if (typeof head !== 'object' || head === null) return 'expected an object in the first line';
  const { id, method, path, headers = {} } = head as Readonly<Record<string, unknown>>;
  if (!Number.isSafeInteger(id)) return 'expected an integer as id';
  // What is read may be long, and would wait here for a client that does not read it.
  if (method !== 'POST') return 'expected POST as method';
  if (typeof path !== 'string') return 'expected a path';
  if (typeof headers !== 'object' || headers === null) return 'expected an object as headers';
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (!OWN_HEADERS.has(name) || typeof value !== 'string') return `expected only the headers ${[...OWN_HEADERS].join(', ')}`;
    pairs.push(name, value);
  }
  return { id: id as number, path, headers: pairs, body: message.subarray(end + 1) };
}

/** A body that has arrived. */
class WholeBody implements HttpBody {
  #bytes: Uint8Array | null;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  whole(): Uint8Array | Promise<Uint8Array> {
    const bytes = this.#bytes;
    this.#bytes = null;
    return bytes ?? Promise.reject(new Error('the body was read or cancelled'));
  }

  next(): Promise<Uint8Array | null> {
    const bytes = this.#bytes;
    this.#bytes = null;
    return Promise.resolve(bytes);
  }

  cancel(): void {
    this.#bytes = null;
  }
}
