/**
 * One kept-alive HTTP connection with one request on it at a time, and nothing else: a more capable client would be
 * what is measured. It accepts only answers with a `Content-Length`, and fails loudly on any other.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface HttpLine {
  /** Sends a whole request, head and body; `done` is called with the answer. One at a time. */
  send(request: string, done: (status: number, body: string) => void): void;
  end(): void;
}

/** `onFailure` is called once when the connection breaks or receives something that this does not understand. */
export async function httpLine(port: number, onFailure: (error: Error) => void): Promise<HttpLine> {
  const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  let waiting: ((status: number, body: string) => void) | null = null;
  let rest: Buffer = EMPTY;
  let isOver = false;
  const fail = (error: Error): void => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    onFailure(error);
  };
  socket.on('error', fail);
  socket.on('close', () => fail(new Error(`the hub closed an HTTP connection${waiting === null ? '' : ' with a request on it'}`)));
  socket.on('data', (chunk) => {
    const bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const answer = answerIn(bytes);
    if (answer === null) {
      rest = bytes;
      return;
    }
    rest = EMPTY;
    if (typeof answer === 'string' || waiting === null)
      return fail(new Error(`not understood: ${bytes.toString('latin1', 0, TOLD_BYTES)}`));
    const done = waiting;
    waiting = null;
    done(answer.status, answer.body);
  });
  return {
    send(request, done) {
      waiting = done;
      socket.write(request, 'utf8');
    },
    end() {
      isOver = true;
      socket.destroy();
    },
  };
}

const EMPTY = Buffer.alloc(0);
/** Of an answer that is not understood. */
const TOLD_BYTES = 500;
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/** The one answer in these bytes; null while it has not arrived completely; `strange` if it is not an answer, or more than one. */
function answerIn(bytes: Buffer): { readonly status: number; readonly body: string } | 'strange' | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const head = bytes.toString('latin1', 0, headEnd);
  const length = LENGTH.exec(head)?.[1];
  if (length === undefined) return 'strange';
  const end = headEnd + 4 + Number(length);
  if (bytes.length < end) return null;
  if (bytes.length > end) return 'strange';
  return { status: Number(head.slice(9, 12)), body: bytes.toString('utf8', headEnd + 4, end) };
}
