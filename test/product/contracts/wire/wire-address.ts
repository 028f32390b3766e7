/** How the suites connect to a port under test directly: plain, or by TLS. */
import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as requestByTls } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const HOST = '127.0.0.1';

export interface WireAddress {
  readonly port: number;
  /** The certificate with which the port serves TLS; undefined: it serves plain connections. */
  readonly ca?: string | undefined;
}

export interface WireSocket {
  readonly socket: Socket;
  /** The TCP socket below; the same one for a plain connection. */
  readonly tcp: Socket;
}

/** Connects. Data written before the connection is open is sent then. */
export function connectTo({ port, ca }: WireAddress, options: { readonly allowHalfOpen?: boolean } = {}): WireSocket {
  const tcp = connect({ port, host: HOST, ...options });
  if (ca === undefined) return { socket: tcp, tcp };
  tcp.on('error', () => undefined); // Its TLS socket reports it, too.
  return { socket: connectTls({ socket: tcp, host: HOST, ca, ...options }), tcp };
}

/** Resolves when the connection has ended. `once` of node:events fails if it is reset, as it is if what was sent is not all read. */
export const untilClosed = (socket: Socket): Promise<void> => new Promise((resolve) => void socket.once('close', () => resolve()));

/**
 * Starts a request, on its own connection unless the options have an agent. Without an explicit server name, the Host
 * header is not used as one.
 */
export const requestTo = ({ port, ca }: WireAddress, options: RequestOptions, onResponse: (response: IncomingMessage) => void) =>
  (ca === undefined ? request : requestByTls)(
    { port, host: HOST, agent: false, ...(ca === undefined ? {} : { ca, servername: '' }), ...options },
    onResponse,
  );

/** Keeps one connection. */
export const keepAliveAgent = ({ ca }: WireAddress): Agent =>
  ca === undefined ? new Agent({ keepAlive: true, maxSockets: 1 }) : new TlsAgent({ keepAlive: true, maxSockets: 1, ca });

/** Like `fetch`, for a text body: `fetch` takes no certificate. */
export const fetchFrom = (address: WireAddress, url: string, { method = 'GET', body }: RequestInit = {}): Promise<Response> =>
  new Promise((resolve, reject) => {
    const { pathname, search } = new URL(url);
    const asking = requestTo(address, { method, path: `${pathname}${search}` }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const headers = Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]);
        resolve(new Response(Buffer.concat(chunks), { status: response.statusCode ?? 0, headers }));
      });
    });
    asking.on('error', reject);
    asking.end(typeof body === 'string' ? body : undefined);
  });
