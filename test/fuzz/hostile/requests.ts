/** Hostile HTTP: every route with paths, queries, headers, bodies and encodings that are wrong, and bytes that are not a request. */
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ROUTES } from '../../../adapters/http/routes.ts';
import { HTTP_ERRORS } from '../../../core/protocol/http-errors.ts';
import { httpBodySchemas } from '../../../core/protocol/http-bodies.ts';
import { MARKS } from './frame-texts.ts';
import { awkward, fitting, oneWrong, structured } from './from-schema.ts';
import type { Chooser } from './choose.ts';
import type { Targets } from './hostile-sockets.ts';
import { requestSocketPlay } from './socket-requests.ts';
import type { Tallying } from './tally.ts';

/** Addresses whose connections are kept open, so that not each request opens one. */
const KEPT_ADDRESSES = 100;
const WITHIN_MS = 30_000;
/** One in this many plays opens a socket of requests, and sends some twenty of them. */
const SOCKET_ONE_IN = 50;

interface HostileRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | null;
}

const bodies = Object.values(httpBodySchemas);
const json = (value: unknown): string => JSON.stringify(value) ?? 'null';
const fitBody = fc.oneof(...bodies.map((schema) => fitting(schema).map(json)));
const wrongBody = fc.oneof(...bodies.map((schema) => oneWrong(schema).map(json)));
const lines = fc.array(fc.oneof({ arbitrary: fitting(httpBodySchemas.submit).map(json), weight: 5 }, wrongBody), {
  minLength: 1,
  maxLength: 30,
});
const body: fc.Arbitrary<string | Uint8Array> = fc.oneof(
  { arbitrary: fitBody, weight: 3 },
  { arbitrary: wrongBody, weight: 6 },
  { arbitrary: lines.map((many) => many.join('\n')), weight: 1 },
  awkward.map(json),
  fc
    .tuple(fitting(httpBodySchemas.submit), structured)
    .map(([task, metadata]) => json({ ...(task as object), metadata: { value: metadata } })),
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom<string | Uint8Array>(
    '',
    '{',
    '['.repeat(100_000),
    '{"a":'.repeat(30_000),
    '{"description":"x","metadata":{"n":1e400}}',
    '{"description":"\\ud800"}',
    '{"description":"x","__proto__":{"polluted":true}}',
    JSON.stringify({ description: 'x', metadata: { pad: 'y'.repeat(262_144) } }),
    `${JSON.stringify({ description: 'x' })}\n`.repeat(10_001),
    gzipSync(Buffer.alloc(1_048_576)),
  ),
);
const segment = fc.oneof(
  fc.constantFrom(
    ...Object.values(MARKS),
    'a1',
    'hostile-1',
    'tok-1',
    '..',
    '%2e%2e',
    '%00',
    '%ff',
    '%',
    '%2f',
    'x'.repeat(2_000),
    'stats',
    '__proto__',
  ),
  fc.webSegment(),
);
const query = fc.oneof(
  { arbitrary: fc.constant(''), weight: 3 },
  fc
    .dictionary(fc.constantFrom('status', 'limit', 'cursor', 'task_id', 'agent_id', 'type', 'priority', '__proto__', 'x'), fc.string())
    .map((one) => `?${new URLSearchParams(one).toString()}`),
  fc.webQueryParameters().map((text) => `?${text}`),
);
const headerText = fc.stringMatching(/^[\x21-\x7e][\x20-\x7e]{0,40}$/);
const headers = fc.dictionary(
  fc.constantFrom('idempotency-key', 'last-event-id', 'content-type', 'content-encoding', 'x-forwarded-for', 'accept', 'range', 'expect', 'origin', 'cookie', 'x-http-method-override'), // prettier-ignore
  fc.oneof(headerText, fc.constantFrom('application/json', 'application/x-ndjson', 'gzip', '0', '1', '99999999999999999999', 'bytes=0-1', '127.0.0.1, 10.0.0.1', 'http://evil.test', 'null')), // prettier-ignore
  { maxKeys: 3 },
);
const TYPE_OF: Readonly<Record<string, string>> = { lines: 'application/x-ndjson' };

const hostileRequest: fc.Arbitrary<HostileRequest> = fc
  .record({
    route: fc.constantFrom(...ROUTES),
    method: fc.oneof(
      { arbitrary: fc.constant(null), weight: 9 },
      fc.constantFrom('GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'POST', 'PROPFIND'),
    ),
    segment,
    strange: fc.oneof({ arbitrary: fc.constant(''), weight: 9 }, fc.constantFrom('/', '//', '/../..', '/%2e%2e/x', '?', '#x', '/x/y/z')),
    query,
    headers: fc.oneof({ arbitrary: fc.constant({}), weight: 2 }, headers),
    body,
  })
  .map(({ route, method, segment: part, strange, query: search, headers: more, body: bytes }) => {
    const way = method ?? route.method;
    const hasBody = way !== 'HEAD' && (way !== 'GET' || route.body !== 'none');
    return {
      method: way,
      path: route.path.replace(':id', part.replaceAll('/', '')) + strange + search,
      headers: { ...(hasBody ? { 'content-type': TYPE_OF[route.body] ?? 'application/json' } : {}), ...more },
      body: hasBody ? bytes : null,
    };
  });

/** Bytes that Node's own parser must reject, or a server behind it might misinterpret. */
const RAW: readonly string[] = [
  'GET / HTTP/9.9\r\n\r\n',
  'GET\r\n\r\n',
  'GET /health HTTP/1.1\r\n\r\n',
  'GET /health HTTP/1.1\r\nHost: \r\n\r\n',
  'GET /health HTTP/1.1\r\nHost: a b\r\n\r\n',
  'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.test\r\n\r\n',
  'GET http://evil.test/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
  'GET //evil.test/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
  'CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test\r\n\r\n',
  'POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n',
  'POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  'POST /api/onboard/register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  `GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
  `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
  'GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  'GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: x\r\n\r\n',
  'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
  'GET /health HTTP/1.1\nHost: 127.0.0.1\n\n',
  '\u0000\u0001\u0002\u0003\r\n\r\n',
  '\r\n\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
];

/** `mayEnd`: its role may cancel, retry or adopt what others submitted, which is not a fault of the hub. */
export interface HostileToken {
  readonly token: string;
  readonly mayEnd: boolean;
}

export interface RequestDeps {
  readonly port: number;
  /** Tokens of hostile people and agents, and some invalid ones; the empty one sends no token. */
  readonly tokens: readonly HostileToken[];
  readonly choose: Chooser;
  readonly tally: Tallying;
  readonly targets: Targets;
}

export interface Requester {
  send(): Promise<void>;
  close(): void;
}

/** `size` requests are generated at the start, and sent again with other tokens, tasks and addresses. */
export function requester(deps: RequestDeps, seed: number, size: number): Requester {
  const { port, tokens, choose, tally, targets } = deps;
  const pool = fc.sample(hostileRequest, { numRuns: size, seed });
  const agents = Array.from(
    { length: KEPT_ADDRESSES },
    () => new Agent({ keepAlive: true, maxSockets: 2, localAddress: choose.address() }),
  );

  const aimed = <T extends string | Uint8Array | null>(text: T, { mayEnd }: HostileToken): T => {
    if (typeof text !== 'string' || !text.includes('task-')) return text;
    const aims = mayEnd ? targets.hostile : targets.others;
    const other = aims.length === 0 ? MARKS.gone : choose.of(aims).id;
    return text.replaceAll(MARKS.other, other) as T;
  };

  async function ordinary(): Promise<void> {
    const { method, path, headers: more, body: bytes } = choose.of(pool);
    const sender = choose.of(tokens);
    const { token } = sender;
    // Disconnecting in the middle of a body is a case of its own.
    const hangsUp = bytes !== null && choose.oneIn(50);
    const clientRequest = request({
      host: '127.0.0.1',
      port,
      method,
      // Only what the client itself would not send is left to the raw requests.
      path: aimed(path, sender).replace(/[^\x21-\x7e]/g, '%20'),
      agent: choose.of(agents),
      timeout: WITHIN_MS,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(hangsUp ? { 'content-length': '1000000' } : {}),
        ...more,
      },
    });
    // The hub may answer and disconnect before it has read a body: its answer is what counts.
    clientRequest.on('error', () => undefined);
    clientRequest.on('timeout', () => {
      tally.surprise(`no answer within ${WITHIN_MS} ms: ${method} ${path.slice(0, 200)}`);
      clientRequest.destroy();
    });
    if (hangsUp) {
      clientRequest.write(bytes);
      setImmediate(() => clientRequest.destroy());
      tally.status('cut');
      return;
    }
    if (bytes === null) clientRequest.end();
    else clientRequest.end(aimed(bytes, sender));
    try {
      const [response] = (await once(clientRequest, 'response')) as [IncomingMessage];
      await judge(response, `${method} ${path}`);
    } catch {
      tally.status('cut');
    }
  }

  async function judge(response: IncomingMessage, what: string): Promise<void> {
    const status = response.statusCode ?? 0;
    tally.status(status);
    if (response.headers['content-type']?.startsWith('text/event-stream') === true) {
      await once(response, 'data');
      return void response.destroy();
    }
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    if (status < 400 || what.startsWith('HEAD')) return;
    judgeRefusal(status, Buffer.concat(chunks).toString(), what);
  }

  function judgeRefusal(status: number, output: string, what: string): void {
    const error = output.startsWith('{') ? String((JSON.parse(output) as Readonly<Record<string, unknown>>)['error']) : null;
    if (status === 500 || status > 503 || (error !== null && !Object.hasOwn(HTTP_ERRORS, error)))
      tally.surprise(`${status} for ${what}: ${output}`);
  }

  async function overSocket(): Promise<void> {
    const sender = choose.of(tokens);
    await requestSocketPlay({
      port,
      token: sender.token,
      choose,
      tally,
      next() {
        const { method, path, headers: more, body: bytes } = choose.of(pool);
        return { method, path: aimed(path, sender), headers: more, body: aimed(bytes, sender) };
      },
      judge(status, output, what) {
        tally.status(status);
        if (status >= 400) judgeRefusal(status, output, what);
      },
    });
  }

  /** Raw bytes; of the response only the status is checked. */
  async function raw(): Promise<void> {
    const socket = connect({ host: '127.0.0.1', port, localAddress: choose.address() });
    let output = '';
    socket.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
      socket.end();
    });
    socket.on('error', () => undefined);
    const closed = once(socket, 'close');
    const what = choose.of(RAW);
    socket.write(what.slice(0, choose.oneIn(4) ? choose.below(what.length) : undefined));
    const patience = setTimeout(() => socket.destroy(), 200);
    await closed;
    clearTimeout(patience);
    const status = /^HTTP\/1\.1 (\d{3})/.exec(output)?.[1];
    tally.status(status === undefined ? 'cut' : Number(status));
    if (status === '500') tally.surprise(`500 for ${JSON.stringify(what.slice(0, 100))}: ${output}`);
  }

  return {
    async send() {
      // Each of its messages counts.
      if (choose.oneIn(SOCKET_ONE_IN)) return overSocket();
      tally.body();
      return choose.oneIn(25) ? raw() : ordinary();
    },
    close() {
      for (const agent of agents) agent.destroy();
    },
  };
}
