/** Writes a web response to the wire: a short one with its length, a stream as it comes and no faster than the peer takes it. */
import { WHOLE_TEXT } from '../../core/ports/hub-transport.ts';
import type { AnswerHead, Exchange } from './exchange.ts';

const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

export interface Sending {
  readonly exchange: Exchange;
  readonly isHead: boolean;
  /** Whether the connection is to end with the answer; asked when the answer ends. */
  readonly closeAfter: () => boolean;
  /** Told once, when the body is a stream: how to stop it. */
  readonly onStream: (stop: () => void) => void;
}

/** Fails when the response's stream does; what was written by then stays unfinished. */
export const sendResponse = async (response: Response, { exchange, isHead, closeAfter, onStream }: Sending): Promise<void> => {
  const head: AnswerHead = { status: response.status, headers: response.headers };
  const options = (): { readonly closeAfter: boolean } => ({ closeAfter: closeAfter() });
  if (isHead || response.status === NO_CONTENT || response.status === NOT_MODIFIED) {
    exchange.answer(head, null, options());
    await response.body?.cancel();
    return;
  }
  const text = (response as { readonly [WHOLE_TEXT]?: string })[WHOLE_TEXT];
  if (text !== undefined) return exchange.answer(head, text, options());
  // One that says its length is whole: a stream of it would cost more than all the rest.
  if (response.headers.has('content-length')) return exchange.answer(head, await response.text(), options());
  if (response.body === null) return exchange.answer(head, '', options());

  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const first = await reader.read();
  if (first.done) return exchange.answer(head, '', options());
  const second = reader.read();
  // The body of a text is there at once, with its end: it gets a length. A stream takes longer, or has more.
  const isWhole = await Promise.race([second.then(({ done }) => done), nextTurn()]);
  if (isWhole) return exchange.answer(head, first.value, options());

  onStream(() => void reader.cancel().catch(() => 'it ends without its reader'));
  await exchange.write(first.value, head);
  for (let next = await second; !next.done; next = await reader.read()) {
    if (exchange.isOver()) return;
    await exchange.write(next.value);
  }
  exchange.end(options());
};

const nextTurn = (): Promise<false> => new Promise((resolve) => setImmediate(() => resolve(false)));
