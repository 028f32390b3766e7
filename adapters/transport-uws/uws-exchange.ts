/** The answer to one HTTP request on uWebSockets.js: open until it is written, or until its peer goes. */
import { STATUS_CODES } from 'node:http';
import type { AnswerHead, Exchange } from '../kit/answer-http.ts';
import type { UwsResponse } from './uws-package.ts';

export interface ExchangeEvents {
  /** The peer went, or was cut off, before the answer was written. */
  onGone(): void;
  /** It is over, however it ended; once. */
  onOver(): void;
  /** Asked when the answer ends: whether the connection is to end with it. */
  closeAfter(): boolean;
}

/** What uWebSockets.js writes by itself, or what would contradict it. */
const OWN_HEADERS = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'date']);

/** MUST be called before the handler of uWebSockets.js returns. */
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

  /** Writes all of it in one go to the system. */
  const write = (what: () => void): void => {
    if (!isOver) response.cork(what);
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
          // Of a length that it is told itself, it waits for the bytes and answers nothing more on the connection; and it writes
          // nonsense for one that is given and undefined, so that it cannot be told to close.
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
    cut() {
      if (isOver) return;
      events.onGone();
      over();
      response.close();
    },
    onGone: () => undefined,
  };
  return exchange;
};
