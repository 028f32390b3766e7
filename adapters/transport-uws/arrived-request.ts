/**
 * A web `Request` that costs little: what a router and most handlers look at (method, url, headers, body) it has itself, for
 * everything else a real one is made of it, once. It is one to `instanceof`, and to `clone()`, not to `new Request`.
 * Measured on Node 20.20, CPU of one core, made and read: 12.5 µs against 22 µs with a short body, 3 µs against 8 µs without.
 */

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
    return (this.#real === null ? this.#parts.body?.() : this.#real.body) ?? null;
  }

  get bodyUsed(): boolean {
    return this.#isTaken || (this.#real === null ? this.body?.locked === true : this.#real.bodyUsed);
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    if (this.#real !== null || this.bodyUsed) return ArrivedRequest.real(this).arrayBuffer();
    this.#isTaken = true;
    return this.#parts.whole();
  }

  /** The real one, around the same stream. */
  static real(request: ArrivedRequest): Request {
    if (request.#real !== null) return request.#real;
    const { method, url, headers, body } = request.#parts;
    // Node's types leave out `duplex`, which a body that is a stream needs.
    const init: RequestInit & { duplex?: 'half' } = body === null ? { method, headers } : { method, headers, body: body(), duplex: 'half' };
    return (request.#real = new Request(url, init));
  }
}

function askReal(member: Member): (this: ArrivedRequest, ...given: unknown[]) => unknown {
  return function (...given) {
    return member.apply(ArrivedRequest.real(this), given);
  };
}

// Everything else that a Request has is asked of the real one.
for (const [name, { value, get }] of Object.entries(Object.getOwnPropertyDescriptors(Request.prototype))) {
  if (Object.hasOwn(ArrivedRequest.prototype, name)) continue;
  const through = typeof value === 'function' ? { value: askReal(value as Member) } : { get: askReal(get as Member) };
  Object.defineProperty(ArrivedRequest.prototype, name, through);
}
Object.setPrototypeOf(ArrivedRequest.prototype, Request.prototype);

/** A request of these parts. */
export const arrivedRequest = (parts: ArrivedParts): Request => new ArrivedRequest(parts) as unknown as Request;
