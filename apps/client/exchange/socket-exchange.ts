/**
 * Submits over a WebSocket: a request and its answer take this process a quarter less CPU time than over HTTP. Whatever is wrong with the
 * socket, submits go over HTTP: while it opens, if the hub or a proxy does not have it, and when those that it took with it are retried.
 */
import type { Socket } from 'node:net';
import type { ClientOptions, RawData, WebSocket } from 'ws';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { wsClientOptions } from '../../../adapters/kit/ws-client-options.ts';
import { brokenOff, reasonOf, type Exchange, type HttpAnswer, type HttpQuestion } from '../platform.ts';
import { isTemporaryStatus } from '../retries.ts';

const PATH = '/api/socket';
const PATHS: ReadonlySet<string> = new Set(['/api/tasks', '/api/tasks/batch']);
/** A hub takes at most 1 MiB in a message, and 16 requests at once. A character has at most three bytes. */
const BODY_CHARACTERS_MAX = 300_000;
const REQUESTS_MAX = 16;
/** An idle socket is not used again after this time, milliseconds: a hub closes one after 30 s. */
const REUSED_WITHIN_MS = 20_000;
/** How long no socket is opened after one that was refused, as by a hub without sockets, or that could not be opened for now. Milliseconds. */
const REFUSED_MS = 60_000;
const FAILED_MS = 2_000;
const OPENED_WITHIN_MS = 10_000;
const ANSWER_BYTES_MAX = 16_777_216;
const HEADERS = ['content-type', 'idempotency-key', 'traceparent', 'tracestate'] as const;
const LINE_FEED = 10;

interface Pending {
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** Of one client: it has one hub and one token. `isOften`: whether it submits so often that it is worth opening a socket. */
export function exchangeOverSocket(overHttp: Exchange, trust: HubTrust, isOften: () => boolean): Exchange {
  const submits = new RequestSocket(trust, isOften);
  return (base, question) => submits.exchange(base, question) ?? overHttp(base, question);
}

/**
 * closed ── `#open` ──► opening ──► open ── closed by either side ──► closed
 *                                    └── a request is not answered in time ──► retired: takes no new ones ── all have ended ──► closed
 */
class RequestSocket {
  readonly #trust: HubTrust;
  readonly #isOften: () => boolean;
  readonly #pending = new Map<number, Pending>();
  #isOpening = false;
  #isRetired = false;
  #socket: WebSocket | null = null;
  /** Under the open socket: it keeps the process alive only while requests wait for their answers. */
  #raw: Socket | null = null;
  #lastId = 0;
  #lastUsedMs = 0;
  #closedUntilMs = 0;

  constructor(trust: HubTrust, isOften: () => boolean) {
    this.#trust = trust;
    this.#isOften = isOften;
  }

  /** Null: it goes over HTTP. */
  exchange(base: URL, question: HttpQuestion): Promise<HttpAnswer> | null {
    const { method, path, headers, body } = question;
    const { authorization } = headers;
    if (method !== 'POST' || !PATHS.has(path) || body === undefined || authorization === undefined) return null;
    const nowMs = performance.now();
    const isStale = this.#pending.size === 0 && nowMs - this.#lastUsedMs > REUSED_WITHIN_MS;
    if (this.#socket !== null && (isStale || this.#socket.readyState !== this.#socket.OPEN)) this.#closed(this.#socket);
    const socket = this.#socket;
    if (socket === null) {
      if (!this.#isOpening && nowMs >= this.#closedUntilMs && this.#isOften()) void this.#open(base, authorization);
      return null;
    }
    const isFull = this.#isRetired || this.#pending.size >= REQUESTS_MAX;
    if (isFull || body.length > BODY_CHARACTERS_MAX || question.signal.aborted) return null;
    this.#lastUsedMs = nowMs;
    return this.#ask(socket, question, body);
  }

  #ask(socket: WebSocket, { method, path, headers, signal }: HttpQuestion, body: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const id = (this.#lastId += 1);
      if (this.#pending.size === 0) this.#raw?.ref();
      const abort = (): void => {
        this.#isRetired = true;
        this.#ended(socket, id);
        reject(reasonOf(signal, brokenOff()));
      };
      signal.addEventListener('abort', abort);
      this.#pending.set(id, {
        resolve(answer) {
          signal.removeEventListener('abort', abort);
          resolve(answer);
        },
        reject(error) {
          signal.removeEventListener('abort', abort);
          reject(error);
        },
      });
      socket.send(`${JSON.stringify({ id, method, path, headers: ownHeaders(headers) })}\n${body}`);
    });
  }

  async #open(base: URL, authorization: string): Promise<void> {
    this.#isOpening = true;
    try {
      const { WebSocket } = await import('ws');
      const url = new URL(PATH, base);
      url.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
      const options: ClientOptions = {
        ...wsClientOptions(url, this.#trust, false),
        maxPayload: ANSWER_BYTES_MAX,
        handshakeTimeout: OPENED_WITHIN_MS,
        headers: { authorization },
        // A process that has nothing else to do does not wait for it.
        finishRequest(request) {
          request.on('socket', (socket) => socket.unref());
          request.end();
        },
      };
      const socket = new WebSocket(url, options);
      let raw: Socket | null = null;
      let isOpen = false;
      let isRefused = false;
      socket.on('unexpected-response', (_request, { statusCode }) => {
        isRefused = !isTemporaryStatus(statusCode);
        socket.terminate();
      });
      socket.on('upgrade', (response) => (raw = response.socket));
      socket.on('open', () => {
        isOpen = true;
        this.#isOpening = false;
        this.#socket = socket;
        this.#raw = raw;
        this.#lastUsedMs = performance.now();
        raw?.unref();
      });
      socket.on('message', (data: RawData) => this.#answered(socket, data as Buffer));
      // `close` follows.
      socket.on('error', () => undefined);
      socket.on('close', () => (isOpen ? this.#closed(socket) : this.#notAgain(isRefused ? REFUSED_MS : FAILED_MS)));
    } catch {
      // ws cannot be loaded, as in a bundle without it, or refuses the address: HTTP does without.
      this.#notAgain(REFUSED_MS);
    }
  }

  #answered(socket: WebSocket, message: Buffer): void {
    if (socket !== this.#socket) return;
    const end = message.indexOf(LINE_FEED);
    const head = headOf(message.toString('utf8', 0, end));
    if (head === null || head.id > this.#lastId) return this.#closed(socket);
    const pending = this.#pending.get(head.id);
    // Too late: nobody waits for it any more.
    if (pending === undefined) return;
    this.#ended(socket, head.id);
    pending.resolve(answerOf(head, message.toString('utf8', end + 1)));
  }

  #ended(socket: WebSocket, id: number): void {
    this.#pending.delete(id);
    if (this.#pending.size > 0) return;
    this.#raw?.unref();
    if (this.#isRetired) this.#closed(socket);
  }

  #closed(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#isRetired = false;
    this.#raw = null;
    socket.terminate();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(brokenOff());
  }

  #notAgain(forMs: number): void {
    this.#isOpening = false;
    this.#closedUntilMs = performance.now() + forMs;
  }
}

function ownHeaders(headers: HttpQuestion['headers']): Readonly<Record<string, string>> {
  const own: Record<string, string> = {};
  for (const name of HEADERS) {
    const value = headers[name];
    if (value !== undefined) own[name] = value;
  }
  return own;
}

interface AnswerHead {
  readonly id: number;
  readonly status: number;
  /** Whatever the hub sent. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Null: it is none. */
function headOf(line: string): AnswerHead | null {
  try {
    const head = JSON.parse(line) as Partial<AnswerHead> | null;
    const isHead =
      Number.isSafeInteger(head?.id) && Number.isSafeInteger(head?.status) && typeof head?.headers === 'object' && head.headers !== null;
    return isHead ? (head as AnswerHead) : null;
  } catch {
    return null;
  }
}

const answerOf = ({ status, headers }: AnswerHead, text: string): HttpAnswer => ({
  status,
  statusText: '',
  header(name) {
    const value = headers[name];
    return typeof value === 'string' ? value : null;
  },
  async *bytes() {
    yield new TextEncoder().encode(text);
  },
  text: () => Promise.resolve(text),
});
