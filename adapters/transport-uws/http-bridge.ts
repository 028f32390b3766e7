/** Hands HTTP requests of uWebSockets.js to the given handler, and its replies back. */
import { httpAnswerer, type AnswererParts } from '../kit/answer-http.ts';
import { ArrivingBody } from '../kit/arriving-body.ts';
import { CapturedRequest, hasBody } from '../kit/captured-request.ts';
import { unreadable } from '../kit/own-answers.ts';
import { ambiguousLength, ambiguousText, partsOf } from './capture-request.ts';
import { uwsExchange } from './uws-exchange.ts';
import type { UwsRequest, UwsResponse } from './uws-package.ts';

/** Bytes of a body that may wait to be read before the peer is paused: what uWebSockets.js reads at once. */
const WAITING_BYTES_MAX = 524_288;

export interface HttpBridge {
  readonly handle: (response: UwsResponse, request: UwsRequest) => void;
  /** When no request is being answered any more. */
  idle(): Promise<void>;
}

export const httpBridge = (parts: AnswererParts): HttpBridge => {
  const answer = httpAnswerer(parts);
  let running = 0;
  let whenIdle: () => void = () => undefined;

  const handle = (response: UwsResponse, native: UwsRequest): void => {
    const captured = partsOf(native, response);
    const ambiguous = ambiguousLength(captured);
    const body = hasBody(captured.method, captured.headers) ? arrivingBody(response) : null;
    running += 1;
    const exchange = uwsExchange(response, {
      onGone: () => body?.breakOff(),
      onOver() {
        running -= 1;
        if (running === 0) whenIdle();
      },
      // A body that is not read to its end would have to be taken off the wire before the next request.
      closeAfter() {
        const isLeft = body !== null && !body.isComplete();
        if (isLeft) body.cancel();
        return isLeft || ambiguous !== null || parts.isRefusing();
      },
    });
    if (ambiguous === null) return answer(new CapturedRequest({ ...captured, body }), exchange);
    const refusal = unreadable(ambiguous);
    exchange.answer(refusal, ambiguousText(refusal.body));
  };

  return {
    handle,
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => (whenIdle = resolve))),
  };
};

/** MUST be called before the handler of uWebSockets.js returns. */
const arrivingBody = (response: UwsResponse): ArrivingBody => {
  const body = new ArrivingBody({
    waitingBytesMax: WAITING_BYTES_MAX,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
  });
  response.onData((chunk, isLast) => {
    // The chunk is the parser's own memory, which it uses again after this call.
    body.take(new Uint8Array(chunk.slice(0)));
    if (isLast) body.end();
  });
  return body;
};
