/** An HTTP server that answers as a test tells it: web requests in, web responses out, by methods and paths with `:names`. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { routeTable, type RoutePath } from '../../../adapters/http/route-table.ts';

type Fields = Readonly<Record<string, string>>;

/** One request, with helpers to answer it. */
export class Call {
  readonly method: string;
  /** The path with its query, as sent. */
  readonly target: string;
  readonly headers: Fields;
  /** The body as text. */
  readonly text: string;
  readonly params: Fields;

  constructor(parts: Pick<Call, 'method' | 'target' | 'headers' | 'text' | 'params'>) {
    this.method = parts.method;
    this.target = parts.target;
    this.headers = parts.headers;
    this.text = parts.text;
    this.params = parts.params;
  }

  /** The parsed body. */
  sent<T = unknown>(): T {
    return JSON.parse(this.text) as T;
  }

  json(value: unknown, status = 200, headers: Fields = {}): Response {
    return Response.json(value, { status, headers });
  }

  body(body: string | ReadableStream<Uint8Array>, status = 200, headers: Fields = {}): Response {
    return new Response(body, { status, headers });
  }
}

export type Answer = (call: Call) => Response | Promise<Response>;

interface Scripted extends RoutePath {
  readonly answer: Answer;
}

export class ScriptedApp {
  readonly #routes: Scripted[] = [];
  #otherwise: Answer = (call) => call.body('404 Not Found', 404);
  readonly #seen: (call: Call) => void;

  /** `seen` is called with each request before it is answered. */
  constructor(seen: (call: Call) => void = () => undefined) {
    this.#seen = seen;
  }

  get(path: string, answer: Answer): this {
    return this.#add('GET', path, answer);
  }

  post(path: string, answer: Answer): this {
    return this.#add('POST', path, answer);
  }

  delete(path: string, answer: Answer): this {
    return this.#add('DELETE', path, answer);
  }

  /** For everything without a route. */
  otherwise(answer: Answer): this {
    this.#otherwise = answer;
    return this;
  }

  /** Listens; the caller closes it. */
  async listen(port = 0): Promise<Server> {
    const server = createServer((incoming, outgoing) => void this.#serve(incoming, outgoing)).listen(port, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }

  #add(method: string, path: string, answer: Answer): this {
    this.#routes.push({ method, path, answer });
    return this;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = '', url: target = '' } = incoming;
    const found = routeTable(this.#routes)(method, target.split('?', 1)[0] ?? '');
    const params = found.route === null ? {} : found.params;
    const call = new Call({ method, target, headers: incoming.headers as Fields, text: await text(incoming), params });
    this.#seen(call);
    const { status, headers, body } = await (found.route?.answer ?? this.#otherwise)(call);
    outgoing.writeHead(status, Object.fromEntries(headers));
    if (body === null) return void outgoing.end();
    outgoing.flushHeaders();
    Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]).pipe(outgoing);
  }
}
