/** Hostile messages on the WebSocket that takes requests (`/api/socket`): requests that are wrong, and messages that are not requests. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, type RawData } from 'ws';
import { REQUEST_BYTES_MAX, REQUEST_SOCKET_PATH, REQUESTS_MAX } from '../../../adapters/kit/request-socket.ts';
import type { Chooser } from './choose.ts';
import type { Tallying } from './tally.ts';
import { RAW_FRAMES } from './hostile-sockets.ts';

/** How long a peer that reads nothing waits, and one for its answers. */
const DEAF_MS = 200;
const ANSWERED_WITHIN_MS = 30_000;

export interface SocketMessage {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | null;
}

export interface RequestSocketPlay {
  readonly port: number;
  /** The empty one sends none. */
  readonly token: string;
  readonly choose: Chooser;
  readonly tally: Tallying;
  readonly next: () => SocketMessage;
  /** Judges the answer to a request. */
  readonly judge: (status: number, body: string, what: string) => void;
}

/** The ID of those below that the hub may answer. */
const HEADS_ID = 1;
/** Heads that are none, or that few requests have. */
const HEADS: readonly string[] = [
  '',
  '{',
  'null',
  '[]',
  '{}',
  '{"id":1}',
  '{"id":"1","method":"POST","path":"/api/tasks"}',
  '{"id":1e400,"method":"POST","path":"/api/tasks"}',
  '{"id":1,"method":"GET","path":"/api/tasks"}',
  '{"id":1,"method":"POST","path":"http://evil.test/api/tasks"}',
  '{"id":1,"method":"POST","path":"/api/tasks","headers":[]}',
  '{"id":1,"method":"POST","path":"/api/tasks","headers":{"authorization":"Bearer x"}}',
  '{"id":1,"method":"POST","path":"/api/tasks","headers":{"content-length":"5"}}',
  '{"id":1,"method":"POST","path":"/api/tasks","headers":{"x-forwarded-for":"127.0.0.1"}}',
  '{"id":1,"method":"POST","path":"/api/tasks","headers":{"__proto__":"x"}}',
  '{"id":1,"method":"POST","path":"/api/tasks","headers":{"idempotency-key":{"a":1}}}',
  '{"id":1,"method":"POST","path":"/api/socket"}',
  `{"id":1,"method":"POST","path":"/${'x'.repeat(10_000)}"}`,
  `${'['.repeat(10_000)}`,
  `{"id":1,"method":"POST","path":"/api/tasks","headers":{"traceparent":"${'x'.repeat(20_000)}"}}`,
  '{"id":1,"method":"POST","path":"/api/tasks","headers":{"content-type":"application/json\\r\\nx: y"}}',
];
const OWN_HEADERS = ['content-type', 'idempotency-key', 'traceparent', 'tracestate'];

/** Opens one from a new address, and sends requests, mostly whole ones, until the hub closes it or it is enough. */
export async function requestSocketPlay(play: RequestSocketPlay): Promise<void> {
  const { port, token, choose, tally } = play;
  const socket = new WebSocket(`ws://127.0.0.1:${port}${REQUEST_SOCKET_PATH}`, {
    localAddress: choose.address(),
    headers: token === '' ? {} : { authorization: `Bearer ${token}` },
    perMessageDeflate: choose.oneIn(4),
    skipUTF8Validation: true,
  });
  tally.socket();
  socket.on('error', () => undefined);
  socket.on('unexpected-response', (_request, { statusCode = 0 }) => {
    tally.status(statusCode);
    if (statusCode === 500) tally.surprise('500 for an upgrade to a socket of requests');
    socket.terminate();
  });
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  const opened = new Promise<void>((resolve) => socket.once('open', resolve));
  await Promise.race([opened, closed]);
  if (socket.readyState === WebSocket.OPEN) await send(play, socket, closed);
  socket.terminate();
  const code = await closed;
  tally.closed(code);
  if (code === 1011) tally.surprise('a socket of requests was closed with 1011: a handler of the hub threw');
}

async function send({ choose, tally, next, judge }: RequestSocketPlay, socket: WebSocket, closed: Promise<unknown>): Promise<void> {
  const sent = new Map<number, string>();
  let onAnswered: () => void = () => undefined;
  socket.on('message', (data: RawData) => {
    const text = (data as Buffer).toString();
    const end = text.indexOf('\n');
    const { id, status } = JSON.parse(text.slice(0, end)) as { readonly id: number; readonly status: number };
    judge(status, text.slice(end + 1), sent.get(id) ?? `a request with the ID ${id}, which was never sent`);
    if (!sent.delete(id) && id !== HEADS_ID) tally.surprise(`an answer to a request that was never sent: ${text}`);
    if (sent.size === 0) onAnswered();
  });
  const isDeaf = choose.oneIn(10);
  if (isDeaf) socket.pause();
  /** Most keep to the limit of requests at once; some do not. */
  const atOnce = choose.oneIn(5) ? 3 * REQUESTS_MAX : 1 + choose.below(REQUESTS_MAX);
  const rounds = 1 + choose.below(5);
  for (let round = 0; round < rounds && socket.readyState === WebSocket.OPEN; round += 1) {
    for (let n = 0; n < atOnce; n += 1) {
      tally.body();
      if (choose.oneIn(60)) sendNone(socket, choose);
      else {
        const { method, path, headers, body } = next();
        const id = HEADS_ID + 1 + round * atOnce + n;
        const own = Object.fromEntries(Object.entries(headers).filter(([name]) => OWN_HEADERS.includes(name) || choose.oneIn(40)));
        sent.set(id, `${method} ${path} over a socket`);
        const head = Buffer.from(`${JSON.stringify({ id, method: choose.oneIn(40) ? method : 'POST', path, headers: own })}\n`);
        socket.send(Buffer.concat([head, Buffer.from(body ?? '')]), { binary: choose.oneIn(20) });
      }
    }
    const answered = new Promise<void>((resolve) => (onAnswered = resolve));
    if (sent.size > 0) await Promise.race([answered, closed, sleep(isDeaf ? DEAF_MS : ANSWERED_WITHIN_MS, undefined, { ref: false })]);
    if (isDeaf) return;
    if (sent.size > 0 && socket.readyState === WebSocket.OPEN)
      return tally.surprise(`no answer within ${ANSWERED_WITHIN_MS} ms: ${[...sent.values()].join(', ').slice(0, 200)}`);
  }
}

/** Something that is no request. */
function sendNone(socket: WebSocket, choose: Chooser): void {
  const kind = choose.below(10);
  if (kind < 7) socket.send(`${choose.of(HEADS)}\n{"description":"x"}`);
  else if (kind < 8) socket.send(choose.of(HEADS));
  else if (kind < 9) socket.send('x'.repeat(REQUEST_BYTES_MAX + choose.below(3) - 1));
  else (socket as unknown as { readonly _socket: Socket })._socket.write(choose.of(RAW_FRAMES));
}
