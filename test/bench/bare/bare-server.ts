/** The bare server process: `node:http` for submitters, `ws` for workers. Tells its parent its port once it listens. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { WorkerFrame } from './bare-frames.ts';
import { openBareHub } from './bare-hub.ts';
import { openBarePostgresStore } from './bare-postgres-store.ts';
import { openBareSqliteStore } from './bare-sqlite-store.ts';
import type { BareListening, BarePlace } from './start-bare.ts';

const place = JSON.parse(process.argv[2] ?? '') as BarePlace;
const fail = (error: unknown): never => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
};
const store = await ('file' in place ? openBareSqliteStore(place.file) : openBarePostgresStore(place));
const hub = await openBareHub(store, fail);

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => void chunks.push(chunk));
  request.on('end', () => void answer(request, response, textOf(chunks)).catch(fail));
});
// Submitters may be idle for long.
server.keepAliveTimeout = 0;

const textOf = (chunks: readonly Buffer[]): string => (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString();

async function answer({ method, url, headers }: IncomingMessage, response: ServerResponse, text: string): Promise<void> {
  switch (`${method} ${url}`) {
    case 'POST /tasks': {
      const line = `[${JSON.stringify(headers['idempotency-key'])},${text}]`;
      if (!isSubmitted(line)) return reply(response, 400, WANTED);
      const [id] = await hub.submit([line]);
      return reply(response, 201, `{"id":${id}}`);
    }
    case 'POST /tasks/batch': {
      const lines = text.trimEnd().split('\n');
      if (!lines.every(isSubmitted)) return reply(response, 400, WANTED);
      return reply(response, 201, `[${(await hub.submit(lines)).join(',')}]`);
    }
    case 'GET /counts':
      return reply(response, 200, JSON.stringify(await hub.counts()));
    default:
      return reply(response, 404, '{}');
  }
}

const WANTED = '{"error":"expected JSON and a key"}';

/** Lines of different requests go into one statement: each must be complete. */
function isSubmitted(line: string): boolean {
  try {
    const row = JSON.parse(line) as unknown;
    return Array.isArray(row) && row.length === 2 && typeof row[0] === 'string';
  } catch {
    return false;
  }
}

function reply(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

const sockets = new WebSocketServer({ server, perMessageDeflate: false, skipUTF8Validation: true });
sockets.on('connection', (socket, { url = '' }) => {
  const slots = Number(new URL(url, 'ws://hub').searchParams.get('slots'));
  const worker = hub.connect(slots, (frame) => socket.send(frame));
  socket.on('message', (data) => worker.report(JSON.parse((data as Buffer).toString()) as WorkerFrame));
  socket.on('close', () => worker.leave());
  socket.on('error', () => socket.terminate());
});

server.listen(0, '127.0.0.1', () => {
  const listening: BareListening = { port: (server.address() as AddressInfo).port, durability: store.durability };
  process.send?.(listening);
});

process.once('disconnect', () => void hub.close().then(() => process.exit(0), fail));
