/** Connects the HTTP requests of uWebSockets.js to the given handler. */
import { httpAnswerer, type AnswererDeps } from '../kit/answer-http.ts';
import { ArrivingBody } from '../kit/arriving-body.ts';
import { CapturedRequest, hasBody } from '../kit/captured-request.ts';
import { unreadable } from '../kit/own-answers.ts';
import { ambiguousLength, padToFlush, partsOf } from './capture-request.ts';
import { uwsExchange } from './uws-exchange.ts';
import type { UwsRequest, UwsResponse } from './uws-package.ts';

/** Unread bytes of a body above which reading from the socket is paused: as many as uWebSockets.js reads at once. */
const BUFFERED_BYTES_MAX = 524_288;

export interface HttpBridge {
  readonly handle: (response: UwsResponse, request: UwsRequest) => void;
  /** Resolves when no request is running. */
  idle(): Promise<void>;
}

export const httpBridge = (deps: AnswererDeps): HttpBridge => {
  const answer = httpAnswerer(deps);
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
      // Otherwise the rest of an unread body would have to be read before the next request.
      closeAfter() {
        const isLeft = body !== null && !body.isComplete();
        if (isLeft) body.cancel();
        return isLeft || ambiguous !== null || deps.isRefusing();
      },
    });
    if (ambiguous === null) return answer(new CapturedRequest({ ...captured, body }), exchange);
    const refusal = unreadable(ambiguous);
    exchange.answer(refusal, padToFlush(refusal.body));
  };

  return {
    handle,
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => (whenIdle = resolve))),
  };
};

/** MUST be called synchronously in the handler of uWebSockets.js. */
const arrivingBody = (response: UwsResponse): ArrivingBody => {
  const body = new ArrivingBody({
    bufferedBytesMax: BUFFERED_BYTES_MAX,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
  });
  response.onData((chunk, isLast) => {
    // The chunk is in memory that the parser reuses after this call.
    body.push(new Uint8Array(chunk.slice(0)));
    if (isLast) body.end();
  });
  return body;
};
