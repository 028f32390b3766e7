/** The response to an HTTP request on uWebSockets.js: open until it is written, or until the client disconnects. */
import { STATUS_CODES } from 'node:http';
import type { AnswerHead, Exchange } from '../kit/answer-http.ts';
import type { UwsResponse } from './uws-package.ts';

export interface ExchangeEvents {
  /** The client disconnected, or was disconnected, before the response was complete. */
  onGone(): void;
  /** The exchange has ended, in whatever way. Called once. */
  onOver(): void;
  /** Called at the end of the response: whether to close the connection. */
  closeAfter(): boolean;
}

/** Headers that uWebSockets.js writes itself, or that would contradict those. */
const OWN_HEADERS = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'date']);

/** MUST be called synchronously in the handler of uWebSockets.js. */
export const uwsExchange = (response: UwsResponse, events: ExchangeEvents): Exchange => {
  let isOver = false;
  let wake: () => void = () => undefined;

  const over = (): void => {
    if (isOver) return;
    isOver = true;
    wake();
    events.onOver();
  };
  response.onAborted(() => {
    if (isOver) return;
    events.onGone();
    exchange.onGone();
    over();
  });
  response.onWritable(() => {
    wake();
    return true;
  });

  /** Sends everything that `writes` writes in one system call. */
  const write = (writes: () => void): void => {
    if (!isOver) response.cork(writes);
  };
  const writeHead = ({ status, headers }: AnswerHead): void => {
    response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    for (const name in headers) if (!OWN_HEADERS.has(name)) response.writeHeader(name, headers[name] ?? '');
  };

  const exchange: Exchange = {
    isOver: () => isOver,
    answer(head, body, length) {
      write(() => {
        const closes = events.closeAfter();
        writeHead(head);
        if (body !== null) response.end(body, closes);
        else {
          // `endWithoutBody` cannot be used with arguments: given a length, uWebSockets.js waits for that many bytes and sends nothing
          // more on the connection; given undefined, as would be needed for its close flag, it writes a wrong header.
          if (length !== undefined) response.writeHeader('content-length', String(length));
          if (closes) response.writeHeader('connection', 'close');
          response.endWithoutBody();
        }
        over();
      });
    },
    async write(chunk, head) {
      let hasRoom = true;
      write(() => {
        if (head !== null) writeHead(head);
        hasRoom = response.write(chunk);
      });
      if (!hasRoom && !isOver) await new Promise<void>((resolve) => (wake = resolve));
    },
    end() {
      write(() => {
        response.end('', events.closeAfter());
        over();
      });
    },
    abort() {
      if (isOver) return;
      events.onGone();
      over();
      response.close();
    },
    onGone: () => undefined,
  };
  return exchange;
};
