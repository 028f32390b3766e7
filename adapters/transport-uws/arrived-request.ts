/**
 * A web `Request` that costs little: what a router and most handlers look at (method, url, headers, body) it has itself, for
 * everything else a real one is made of it, once. It is one to `instanceof`, and to `clone()`, not to `new Request`.
 * Measured on Node 20.20, CPU of one core, made and read: 12.5 µs against 22 µs with a short body, 3 µs against 8 µs without.
 */
import './light-globals.ts';

export interface ArrivedParts {
  readonly method: string;
  /** Absolute and normalised. */
  readonly url: string;
  readonly headers: Headers;
  /** The body's stream, made when it is asked for; null without a body. */
  readonly body: (() => ReadableStream<Uint8Array>) | null;
  /** All of the body at once, in the stream's place. */
  readonly whole: () => Promise<ArrayBuffer>;
}

/** The members that the light one has itself. */
type Own = Pick<Request, 'method' | 'url' | 'headers' | 'body' | 'bodyUsed' | 'arrayBuffer'>;

type Member = (this: Request, ...given: unknown[]) => unknown;

class ArrivedRequest implements Own {
  readonly #parts: ArrivedParts;
  #real: Request | null = null;
  #stream: ReadableStream<Uint8Array> | null = null;
  #isTaken = false;

  constructor(parts: ArrivedParts) {
    this.#parts = parts;
  }

  get method(): string {
    return this.#parts.method;
  }

  get url(): string {
    return this.#parts.url;
  }

  get headers(): Headers {
    return this.#parts.headers;
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#real !== null) return this.#real.body;
    return (this.#stream ??= this.#parts.body?.() ?? null);
  }

  get bodyUsed(): boolean {
    // A stream that nobody has asked for is not made for this: nobody has begun to read it.
    return this.#isTaken || (this.#real === null ? this.#stream?.locked === true : this.#real.bodyUsed);
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    if (this.#real !== null || this.bodyUsed) return ArrivedRequest.real(this).arrayBuffer();
    this.#isTaken = true;
    return this.#parts.whole();
  }

  /** The real one, around the same stream. */
  static real(request: ArrivedRequest): Request {
    if (request.#real !== null) return request.#real;
    const { method, url, headers } = request.#parts;
    const { body } = request;
    // Node's types leave out `duplex`, which a body that is a stream needs.
    const init: RequestInit & { duplex?: 'half' } = body === null ? { method, headers } : { method, headers, body, duplex: 'half' };
    return (request.#real = new Request(url, init));
  }
}

function askReal(member: Member): (this: ArrivedRequest, ...given: unknown[]) => unknown {
  return function (...given) {
    return member.apply(ArrivedRequest.real(this), given);
  };
}

/** Node's, whose members they are: the global one may be made of it. */
const nodePrototype = (of: object): object => (Object.hasOwn(of, 'clone') ? of : nodePrototype(Object.getPrototypeOf(of) as object));

// Everything else that a Request has is asked of the real one.
for (const [name, { value, get }] of Object.entries(Object.getOwnPropertyDescriptors(nodePrototype(Request.prototype)))) {
  if (Object.hasOwn(ArrivedRequest.prototype, name)) continue;
  const through = typeof value === 'function' ? { value: askReal(value as Member) } : { get: askReal(get as Member) };
  Object.defineProperty(ArrivedRequest.prototype, name, through);
}
Object.setPrototypeOf(ArrivedRequest.prototype, Request.prototype);

/** A request of these parts. */
export const arrivedRequest = (parts: ArrivedParts): Request => new ArrivedRequest(parts) as unknown as Request;
