/** Calls the HTTP handler and sends its response, in the same way on every server. */
import type { ByteStream, HttpHandler, HttpRequest, HttpResponse } from '../../core/ports/http.ts';
import type { Log } from '../../core/ports/log.ts';
import { unservable, type CapturedRequest } from './captured-request.ts';
import { FAILED, STOPPING, unreadable } from './own-answers.ts';

/** The response to one request, as implemented by a server. Calls after its end do nothing. */
export interface Exchange {
  /** Whether nothing more can be written: the response is complete, or the client disconnected. */
  isOver(): boolean;
  /** Sends a complete response. `body` null: none is sent; `length` is then its `content-length`, if known. */
  answer(head: AnswerHead, body: string | null, length?: number): void;
  /** Sends a chunk of a stream, after the head if it is given. Resolves when the client can receive more, or has disconnected. */
  write(chunk: Uint8Array, head: AnswerHead | null): Promise<void>;
  /** Completes a stream. */
  end(): void;
  /** Aborts the connection, so that the client cannot mistake a partial response for a complete one. */
  abort(): void;
  /** Called if the client disconnects before the response is complete. Set by the sender of a stream. */
  onGone: () => void;
  /** As in `HttpRequest`. */
  readonly whenSent?: HttpRequest['whenSent'];
}

export type AnswerHead = Pick<HttpResponse, 'status' | 'headers'>;

export interface AnswererDeps {
  readonly http: HttpHandler;
  readonly isRefusing: () => boolean;
  readonly log: Log;
}

/** Responds to requests with the handler. The returned function never throws. */
export function httpAnswerer({ http, isRefusing, log }: AnswererDeps): (request: CapturedRequest, exchange: Exchange) => void {
  const replyTo = async (request: CapturedRequest): Promise<HttpResponse> => {
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
    request.whenSent = exchange.whenSent;
    replyTo(request)
      .then((reply) => sendReply(reply, request.method, exchange))
      .catch((thrown: unknown) => {
        log.error('An HTTP response was aborted.', { method: request.method, path: request.path, error: thrown });
        exchange.abort();
      });
  };
}

const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

/** Rejects if the stream fails; the response is then incomplete. */
async function sendReply(reply: HttpResponse, method: string, exchange: Exchange): Promise<void> {
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
