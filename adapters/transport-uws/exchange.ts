/** One HTTP request and its answer on the wire: open until it is answered, or until its peer goes. */
import { STATUS_CODES } from 'node:http';
import type { UwsResponse } from './uws-package.ts';

export interface AnswerHead {
  readonly status: number;
  readonly headers: Iterable<readonly [name: string, value: string]>;
}

export interface Exchange {
  /** Whether nothing more can be written. */
  isOver(): boolean;
  /**
   * Answers with this body and its length; null is no body at all (HEAD, 204, 304), with the length that `headers` tell;
   * `closeAfter` then counts only where they tell one.
   */
  answer(head: AnswerHead, body: Uint8Array | string | null, options: { readonly closeAfter: boolean }): void;
  /** Begins an answer of unknown length, or goes on with it; answers when the peer has room for more. */
  write(chunk: Uint8Array, head?: AnswerHead): Promise<void>;
  /** Ends an answer of unknown length. */
  end(options: { readonly closeAfter: boolean }): void;
  /** Cuts the connection, so that an answer that is not whole is not taken for one. */
  cut(): void;
}

export interface ExchangeEvents {
  /** The peer went before the answer was written. */
  onGone(): void;
  /** It is over, however it ended; once. */
  onOver(): void;
}

/** What uWebSockets.js writes by itself, or what would contradict it. */
const OWN_HEADERS = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'date']);

/** MUST be called before the handler of uWebSockets.js returns. */
export const openExchange = (response: UwsResponse, events: ExchangeEvents): Exchange => {
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
  const writeHead = ({ status, headers }: AnswerHead): number | undefined => {
    response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    let length: number | undefined;
    for (const [name, value] of headers) {
      if (name === 'content-length') length = Number(value);
      if (!OWN_HEADERS.has(name)) response.writeHeader(name, value);
    }
    return length;
  };

  return {
    isOver: () => isOver,
    answer(head, body, { closeAfter }) {
      write(() => {
        const length = writeHead(head);
        if (body !== null) response.end(body, closeAfter);
        else if (length !== undefined) response.endWithoutBody(length, closeAfter);
        // It writes nonsense for a length that is given and undefined, and so cannot be told to close here.
        else response.endWithoutBody();
        over();
      });
    },
    async write(chunk, head) {
      let hasRoom = true;
      write(() => {
        if (head !== undefined) writeHead(head);
        hasRoom = response.write(chunk);
      });
      while (!hasRoom && !isOver) {
        await new Promise<void>((resolve) => (wake = resolve));
        hasRoom = true;
      }
    },
    end({ closeAfter }) {
      write(() => {
        response.end('', closeAfter);
        over();
      });
    },
    cut() {
      if (isOver) return;
      over();
      response.close();
    },
  };
};
