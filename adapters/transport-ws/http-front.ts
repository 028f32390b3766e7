/** The HTTP or HTTPS server of the port: Node's own, with timeouts for slow clients. */
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { PortCertificate } from '../../core/ports/hub-transport.ts';
import { httpAnswerer, type AnswererDeps } from '../kit/answer-http.ts';
import { nodeExchange } from './node-exchange.ts';
import type { WsSettings } from './settings.ts';

/** How often Node checks for requests that exceed a timeout. Together with `PARSER_WITHIN_MS`, this is by how much they can exceed it. */
const CHECK_MS = 1_000;
/** How long a silent connection stays without a parser. */
const PARSER_WITHIN_MS = 4_000;
/** TCP keep-alive probes start after this idle time. */
const KEEP_ALIVE_PROBE_MS = 30_000;
/**
 * How many pipelined requests of a connection may wait for the response to an earlier one. Node handles all requests that it has read, about
 * a thousand, in one turn of the event loop; browsers and HTTP libraries wait for each response.
 */
export const PIPELINED_MAX = 4;

/**
 * Of Node 22.21 and 24.9, and newer than Node's types. Before that, Node emits `upgrade` for a request with any `Upgrade` header, without
 * a response or a parser for the body.
 */
interface UpgradeOption {
  readonly shouldUpgradeCallback: (request: IncomingMessage) => boolean;
}

export interface HttpFrontDeps extends AnswererDeps {
  readonly settings: WsSettings;
  /** TCP connections open at once, including WebSockets; more are dropped. */
  readonly connectionsMax: number;
  readonly certificate?: PortCertificate | undefined;
  /** Called when a connection is closed for too many pipelined requests. */
  readonly onTooMany: (socket: Socket) => void;
}

/** The server, not listening yet. */
export const httpFront = ({ settings, connectionsMax, certificate, onTooMany, ...deps }: HttpFrontDeps): Server | TlsServer => {
  const answer = httpAnswerer(deps);
  const options: ServerOptions & UpgradeOption = {
    headersTimeout: settings.headersWithinMs,
    requestTimeout: settings.requestWithinMs,
    connectionsCheckingInterval: Math.min(CHECK_MS, settings.headersWithinMs, settings.requestWithinMs),
    keepAliveTimeout: settings.keepAliveMs,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
    // Any other protocol, such as h2c, is ignored (RFC 9110, section 7.8): the request is answered as if it had no such header.
    shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
  };
  const pipelined = pipelineCount();
  const onRequest: RequestListener = (incoming, outgoing) => {
    const { socket } = incoming;
    // What Node had read before the connection was closed.
    if (socket.destroyed) return;
    if (!pipelined.add(socket, outgoing)) {
      onTooMany(socket);
      socket.destroy();
      return;
    }
    const { request, exchange } = nodeExchange(incoming, outgoing, deps.isRefusing);
    answer(request, exchange);
  };
  const server =
    certificate === undefined
      ? parsingLate(createPlainServer(options, onRequest), Math.min(PARSER_WITHIN_MS, settings.headersWithinMs))
      : tlsServer(options, { certificate, handshakeWithinMs: settings.headersWithinMs }, onRequest);
  server.setTimeout(settings.idleMs);
  server.maxConnections = connectionsMax;
  return server;
};

/** `add`: false if more than `PIPELINED_MAX` requests of the connection wait, with this one. */
function pipelineCount(): { add(socket: Socket, outgoing: ServerResponse): boolean } {
  const waiting = new WeakMap<Socket, Set<ServerResponse>>();
  const waitingOn = (socket: Socket): Set<ServerResponse> => {
    const known = waiting.get(socket);
    if (known !== undefined) return known;
    const made = new Set<ServerResponse>();
    waiting.set(socket, made);
    socket.once('close', () => made.forEach(closeUnsent));
    return made;
  };
  return {
    add(socket, outgoing) {
      // Node gives a response its socket once the one before it is complete.
      if (outgoing.socket !== null) return true;
      const responses = waitingOn(socket);
      responses.add(outgoing);
      outgoing.once('close', () => responses.delete(outgoing));
      return responses.size <= PIPELINED_MAX;
    },
  };
}

/** Node does so only for the response that has the socket. */
function closeUnsent(outgoing: ServerResponse): void {
  if (outgoing.socket !== null) return;
  outgoing.destroy();
  outgoing.emit('close');
}

/**
 * Gives a connection its parser when its first bytes arrive. Node does so when it accepts the connection: when ten thousand sidecars
 * reconnect at once, that allocates 10 KiB for each, interleaved with what their sockets keep, and most of it never returns to the system.
 */
function parsingLate(server: Server, withinMs: number): Server {
  const [parse] = server.listeners('connection');
  if (parse === undefined) return server;
  function begin(this: Socket): void {
    this.off('readable', begin).off('timeout', begin).off('error', closed);
    parse?.call(server, this);
  }
  // `close` follows.
  const closed = (): void => undefined;
  server.off('connection', parse as () => void);
  return server.on('connection', (socket) => socket.on('readable', begin).on('timeout', begin).on('error', closed).setTimeout(withinMs));
}

interface TlsParts {
  readonly certificate: PortCertificate;
  readonly handshakeWithinMs: number;
}

/** Connections that are open when a certificate is renewed keep the one that they began with. */
function tlsServer(options: ServerOptions, { certificate, handshakeWithinMs }: TlsParts, onRequest: RequestListener): TlsServer {
  const { minVersion } = certificate;
  const server = createTlsServer({ ...options, ...certificate.current(), minVersion, handshakeTimeout: handshakeWithinMs }, onRequest);
  const forget = certificate.onRenewed((pair) => {
    server.setSecureContext({ ...pair, minVersion });
    return true;
  });
  server.once('close', forget);
  return server;
}
