/** One request and its answer on node:http. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { plainAddress } from '../../core/protocol/client-address.ts';
import type { AnswerHead, Exchange } from '../kit/answer-http.ts';
import { ArrivingBody } from '../kit/arriving-body.ts';
import { CapturedRequest, hasBody } from '../kit/captured-request.ts';

/** Bytes of a body that may wait to be read before the peer is paused. */
const WAITING_BYTES_MAX = 65_536;
/** What is left of a body after its answer is taken off the wire for so long; cut at once, the peer might not get the answer. */
const LEFTOVER_MS = 500;
/** What a proxy puts before the path; its name is in Host, too. */
const ABSOLUTE = /^https?:\/\/[^/?]*/i;

export interface NodeExchange {
  readonly request: CapturedRequest;
  readonly exchange: Exchange;
}

/** `closes`: asked when the answer begins, whether its connection is to end with it. */
export function nodeExchange(incoming: IncomingMessage, outgoing: ServerResponse, closes: () => boolean): NodeExchange {
  const { method = '', rawHeaders, socket } = incoming;
  const target = (incoming.url ?? '').replace(ABSOLUTE, '') || '/';
  const mark = target.indexOf('?');
  const body = hasBody(method, rawHeaders) ? arrivingBody(incoming) : null;
  const request = new CapturedRequest({
    method,
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? '' : target.slice(mark + 1),
    headers: rawHeaders,
    remoteAddress: plainAddress(socket.remoteAddress ?? ''),
    body,
  });
  return { request, exchange: exchangeOf(outgoing, closes, () => letGo(incoming, body)) };
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
    done();
  };
  outgoing.once('close', () => {
    if (!outgoing.writableEnded) exchange.onGone();
    wake();
  });
  // Of a peer that is gone; `close` follows.
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
    cut: () => void outgoing.destroy(),
    onGone: () => undefined,
  };
  return exchange;
}

function arrivingBody(incoming: IncomingMessage): ArrivingBody {
  const body = new ArrivingBody({
    waitingBytesMax: WAITING_BYTES_MAX,
    pause: () => void incoming.pause(),
    resume: () => void incoming.resume(),
  });
  incoming.on('data', (chunk: Buffer) => body.take(chunk));
  incoming.once('end', () => body.end());
  incoming.on('error', (error) => body.breakOff(error.message));
  // After the end, too, where it does nothing.
  incoming.once('close', () => body.breakOff());
  return body;
}

/** The answer is written: what still comes of the body is let go, and the connection with it when that takes too long. */
function letGo(incoming: IncomingMessage, body: ArrivingBody | null): void {
  if (body === null || body.isComplete()) return;
  body.cancel();
  const timer = setTimeout(() => incoming.socket.destroySoon(), LEFTOVER_MS);
  incoming.once('close', () => clearTimeout(timer));
}
