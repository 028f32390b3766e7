/** An HTTP request and its response on node:http. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { plainAddress } from '../../core/protocol/client-address.ts';
import type { AnswerHead, Exchange } from '../kit/answer-http.ts';
import { ArrivingBody } from '../kit/arriving-body.ts';
import { announcesBody, CapturedRequest, headerIn, ignoresBody } from '../kit/captured-request.ts';

/** Unread bytes of a body above which reading from the socket is paused. */
const BUFFERED_BYTES_MAX = 65_536;
/**
 * How long the rest of a body is still read and discarded after the response was written. If the connection were closed at once, the
 * client might not receive the response.
 */
const LEFTOVER_MS = 500;
/** How long a client may read nothing of a response before it is disconnected, milliseconds. Node notices after up to twice that time. */
const UNREAD_MS = 10_000;
/** The start of an absolute request target, as sent to proxies. The host is in `Host`, too. */
const ABSOLUTE = /^https?:\/\/[^/?]*/i;

export interface NodeExchange {
  readonly request: CapturedRequest;
  readonly exchange: Exchange;
}

/** `closes`: called when the response begins; whether to close the connection after it. */
export function nodeExchange(incoming: IncomingMessage, outgoing: ServerResponse, closes: () => boolean): NodeExchange {
  const { method = '', rawHeaders, socket } = incoming;
  const target = (incoming.url ?? '').replace(ABSOLUTE, '') || '/';
  const mark = target.indexOf('?');
  const arriving = announcesBody(rawHeaders) ? arrivingBody(incoming) : null;
  const isIgnored = ignoresBody(method);
  if (isIgnored) arriving?.cancel();
  const request = new CapturedRequest({
    method,
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? '' : target.slice(mark + 1),
    headers: rawHeaders,
    remoteAddress: plainAddress(socket.remoteAddress ?? ''),
    body: isIgnored ? null : arriving,
  });
  return { request, exchange: exchangeOf(outgoing, closes, () => discardRest(incoming, arriving)) };
}

function exchangeOf(outgoing: ServerResponse, closes: () => boolean, done: () => void): Exchange {
  let wake: () => void = () => undefined;
  const isOver = (): boolean => outgoing.destroyed || outgoing.writableEnded;
  const writeHead = ({ status, headers }: AnswerHead, length?: number): void => {
    if (closes()) outgoing.shouldKeepAlive = false;
    outgoing.writeHead(status, length === undefined ? headers : { ...headers, 'content-length': length });
  };
  const end = (text: string): void => {
    outgoing.end(text);
    if (outgoing.writableLength > 0) closeIfUnread(outgoing);
    done();
  };
  let onSent: () => void = () => undefined;
  let isClosed = false;
  outgoing.once('close', () => {
    isClosed = true;
    if (!outgoing.writableEnded) exchange.onGone();
    wake();
    onSent();
  });
  // A write after the client disconnected; `close` follows.
  outgoing.on('error', () => undefined);

  const exchange: Exchange = {
    isOver,
    answer(head, body, length) {
      if (isOver()) return;
      writeHead(head, body === null ? length : Buffer.byteLength(body));
      end(body ?? '');
    },
    async write(chunk, head) {
      if (isOver()) return;
      if (head !== null) writeHead(head);
      if (outgoing.write(chunk)) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
        outgoing.once('drain', resolve);
      });
    },
    end() {
      if (!isOver()) end('');
    },
    abort: () => void outgoing.destroy(),
    onGone: () => undefined,
    whenSent(listener) {
      if (isClosed) listener();
      else onSent = listener;
    },
  };
  return exchange;
}

/** Disconnects the client if it reads nothing of a response that it has not taken at once. */
function closeIfUnread(outgoing: ServerResponse): void {
  const { socket } = outgoing.req;
  const { timeout = 0 } = socket;
  if (timeout > 0 && timeout <= UNREAD_MS) return;
  // By Node's timeout of the socket, which any part of a write that the client takes restarts.
  socket.setTimeout(UNREAD_MS);
  // Before Node's own listener, which sets the timeout until the next request.
  outgoing.prependOnceListener('finish', () => socket.setTimeout(timeout));
}

function arrivingBody(incoming: IncomingMessage): ArrivingBody {
  const body = new ArrivingBody({
    bufferedBytesMax: BUFFERED_BYTES_MAX,
    pause: () => void incoming.pause(),
    resume: () => void incoming.resume(),
  });
  // The last byte of a short body arrives together with the head, but `end` is emitted only after the handler has begun.
  let leftBytes = Number(headerIn(incoming.rawHeaders, 'content-length') ?? NaN);
  incoming.on('data', (chunk: Buffer) => {
    body.push(chunk);
    leftBytes -= chunk.byteLength;
    if (leftBytes === 0) body.end();
    if (!body.isRefused()) return;
    // Whoever reads the body answers; nobody else would. Paused, little more is read until then.
    if (body.isCancelled()) incoming.socket.destroy();
    else incoming.pause();
  });
  incoming.once('end', () => body.end());
  incoming.on('error', (error) => body.breakOff(error.message));
  // Also emitted after the end of the body, when `breakOff` does nothing.
  incoming.once('close', () => body.breakOff());
  return body;
}

/** Called after the response was written: discards the rest of the body, and closes the connection if that takes too long or costs too much. */
function discardRest(incoming: IncomingMessage, body: ArrivingBody | null): void {
  if (body === null || body.isComplete()) return;
  const { socket } = incoming;
  body.cancel();
  if (body.isRefused()) socket.destroySoon();
  // Of a refused body nothing more is read, even if the client does not read the response.
  const timer = setTimeout(() => (body.isRefused() ? socket.destroy() : socket.destroySoon()), LEFTOVER_MS);
  incoming.once('close', () => clearTimeout(timer));
}
