/** From a request to its answer on the wire, the same on every server: what is refused, what fails, and how a stream is sent. */
import type { ByteStream, HttpHandler, HttpReply } from '../../core/ports/http.ts';
import type { Log } from '../../core/ports/log.ts';
import { unservable, type CapturedRequest } from './captured-request.ts';
import { FAILED, STOPPING, unreadable } from './own-answers.ts';

/** The answer to one request as its server writes it. Whatever comes after it is over is dropped. */
export interface Exchange {
  /** Nothing more can be written: it is answered, or its peer went. */
  isOver(): boolean;
  /** All of it; null is no body at all, with the length that it would have if that is known. */
  answer(head: AnswerHead, body: string | null, length?: number): void;
  /** Begins a stream with its head, or goes on with it; answers when the peer has room for more, or went. */
  write(chunk: Uint8Array, head: AnswerHead | null): Promise<void>;
  /** Ends a stream. */
  end(): void;
  /** Cuts the connection, so that an answer that is not whole is not taken for one. */
  cut(): void;
  /** Called when the peer goes before the answer was written; whoever streams sets it. */
  onGone: () => void;
}

export type AnswerHead = Pick<HttpReply, 'status' | 'headers'>;

export interface AnswererParts {
  readonly http: HttpHandler;
  readonly isRefusing: () => boolean;
  readonly log: Log;
}

/** Answers requests by the handler. Never throws. */
export function httpAnswerer({ http, isRefusing, log }: AnswererParts): (request: CapturedRequest, exchange: Exchange) => void {
  const replyTo = async (request: CapturedRequest): Promise<HttpReply> => {
    if (isRefusing()) return STOPPING;
    const why = unservable(request.path, request.header('host'));
    if (why !== null) return unreadable(why);
    try {
      return await http(request);
    } catch (thrown) {
      log.error('The HTTP handler threw.', { method: request.method, path: request.path, error: thrown });
      return FAILED;
    }
  };
  return (request, exchange) => {
    replyTo(request)
      .then((reply) => sendReply(reply, request.method, exchange))
      .catch((thrown: unknown) => {
        log.error('An HTTP answer broke off.', { method: request.method, path: request.path, error: thrown });
        exchange.cut();
      });
  };
}

const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

/** Fails when the stream does; what was written by then stays unfinished. */
async function sendReply(reply: HttpReply, method: string, exchange: Exchange): Promise<void> {
  const { status, body } = reply;
  if (method === 'HEAD' || status === NO_CONTENT || status === NOT_MODIFIED) {
    const isText = typeof body === 'string';
    exchange.answer(reply, null, isText && method === 'HEAD' ? Buffer.byteLength(body) : undefined);
    if (!isText) body?.cancel();
  } else if (body === null || typeof body === 'string') exchange.answer(reply, body ?? '');
  else await sendStream(reply, body, exchange);
}

async function sendStream(head: AnswerHead, stream: ByteStream, exchange: Exchange): Promise<void> {
  if (exchange.isOver()) return stream.cancel();
  exchange.onGone = () => stream.cancel();
  let unsent: AnswerHead | null = head;
  for (let chunk = await stream.next(); chunk !== null; chunk = await stream.next()) {
    await exchange.write(chunk, unsent);
    unsent = null;
    if (exchange.isOver()) return;
  }
  if (unsent === null) exchange.end();
  else exchange.answer(unsent, '');
}
