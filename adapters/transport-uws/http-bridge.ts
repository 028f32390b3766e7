/** Hands HTTP requests of uWebSockets.js to the given handler as web requests, and its responses back. */
import { FAILED, STOPPING, unreadable, type OwnAnswer } from '../kit/own-answers.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { HttpHandler } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { arrivedRequest } from './arrived-request.ts';
import { arrivingBody, type ArrivingBody } from './arriving-body.ts';
import { ambiguousLength, ambiguousText, copyOf, headerOf, type Asked } from './asked.ts';
import { openExchange } from './exchange.ts';
import { sendResponse } from './send-response.ts';
import type { UwsRequest, UwsResponse } from './uws-package.ts';

export interface HttpBridgeParts {
  readonly http: HttpHandler;
  readonly isRefusing: () => boolean;
  readonly log: Log;
}

export interface HttpBridge {
  readonly handle: (response: UwsResponse, request: UwsRequest) => void;
  /** When no request is being answered any more. */
  idle(): Promise<void>;
}

export const httpBridge = ({ http, isRefusing, log }: HttpBridgeParts): HttpBridge => {
  let running = 0;
  let whenIdle: () => void = () => undefined;

  const answer = async (asked: Asked, request: Request): Promise<Response> => {
    try {
      return await http(request, { remoteAddress: asked.remoteAddress });
    } catch (thrown) {
      log.error('The HTTP handler threw.', { method: asked.method, path: asked.path, error: thrown });
      return new Response(FAILED.body, FAILED);
    }
  };

  const handle = (response: UwsResponse, native: UwsRequest): void => {
    const asked = copyOf(native, response);
    const isHead = asked.method === 'HEAD';
    const ambiguous = ambiguousLength(asked);
    const body = hasBody(asked) ? arrivingBody(response) : null;
    const streams: (() => void)[] = [];
    running += 1;
    const exchange = openExchange(response, {
      onGone() {
        body?.breakOff(new Error('the peer closed the connection'));
        for (const stop of streams) stop();
      },
      onOver() {
        running -= 1;
        if (running === 0) whenIdle();
      },
    });
    // A body that is not read to its end would have to be taken off the wire before the next request.
    const closeAfter = (): boolean => {
      const isLeft = body !== null && !body.isComplete();
      if (isLeft) body.drop();
      return isLeft || isRefusing();
    };
    const answerOwn = ({ status, headers, body: text }: OwnAnswer): void =>
      exchange.answer({ status, headers: Object.entries(headers) }, isHead ? null : text, { closeAfter: closeAfter() });

    if (isRefusing()) return answerOwn(STOPPING);
    if (ambiguous !== null) {
      const refusal = unreadable(ambiguous);
      return exchange.answer({ status: refusal.status, headers: Object.entries(refusal.headers) }, ambiguousText(refusal.body), {
        closeAfter: true,
      });
    }
    const request = requestOf(asked, body);
    if (typeof request === 'string') return answerOwn(unreadable(request));
    const sending = { exchange, isHead, closeAfter, onStream: (stop: () => void) => void streams.push(stop) };
    answer(asked, request)
      .then((made) => sendResponse(made, sending))
      .catch((thrown: unknown) => {
        log.error('An HTTP answer broke off.', { method: asked.method, path: asked.path, error: thrown });
        exchange.cut();
      });
  };

  return {
    handle,
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => (whenIdle = resolve))),
  };
};

/** Those of GET and HEAD mean nothing, and a web request cannot have them. */
const hasBody = (asked: Asked): boolean => {
  if (asked.method === 'GET' || asked.method === 'HEAD') return false;
  return headerOf(asked, 'transfer-encoding') !== undefined || (headerOf(asked, 'content-length') ?? '0') !== '0';
};

/** The web request, or why it cannot be one. */
const requestOf = (asked: Asked, body: ArrivingBody | null): Request | string => {
  try {
    const { href: url } = new URL(`http://${headerOf(asked, 'host') ?? ''}${asked.path}${asked.query}`);
    const headers = new Headers(asked.headers as [string, string][]);
    const stream = body === null ? null : () => body.stream;
    const whole = (): Promise<ArrayBuffer> => body?.whole() ?? Promise.resolve(new ArrayBuffer(0));
    return arrivedRequest({ method: asked.method, url, headers, body: stream, whole });
  } catch (thrown) {
    return messageOf(thrown);
  }
};
