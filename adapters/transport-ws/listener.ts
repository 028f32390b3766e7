/** A listening port: its HTTP server, its WebSockets, and their closing. */
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type ServerOptions } from 'ws';
import { refusalLog } from '../../core/application/refusal-log.ts';
import { listenFailure } from '../kit/listen-failure.ts';
import type { OpenPort, PortContext } from '../kit/create-transport.ts';
import { REQUEST_SOCKET_PATH } from '../kit/request-socket.ts';
import { decideUpgrade } from '../kit/upgrade.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { HubConnection, ListenOptions, PortCertificate } from '../../core/ports/hub-transport.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import { plainAddress } from '../../core/protocol/client-address.ts';
import type { WsSettings } from './settings.ts';
import { AddressShare } from './address-share.ts';
import { admitUpgrade, isComplete, keepOnlyUpgrade } from './admit-upgrade.ts';
import { openConnection, type Upgraded } from './peer-connection.ts';
import { httpFront } from './http-front.ts';
import { refuseInvalid, refuseUpgrade } from './refuse-upgrade.ts';
import { requestSockets } from './request-sockets.ts';

/**
 * Connections that the operating system queues until they are accepted, if its own limit allows. Node's default of 511 is less than
 * what arrives in one turn of the event loop when ten thousand sidecars reconnect; TCP retries a connection that does not fit
 * after a second or more.
 */
const BACKLOG = 4_096;
const NOTHING = Buffer.alloc(0);

export interface PortDeps extends PortContext {
  readonly settings: WsSettings;
  readonly log: Log;
  readonly certificate?: PortCertificate | undefined;
}

/** Listens. Rejects with `AC_PORT_BUSY` or `AC_LISTEN`, and then leaves nothing open. */
export const openPort = async ({ options, events, settings, nextId, isRefusing, log, certificate }: PortDeps): Promise<OpenPort> => {
  const connections = new Set<HubConnection>();
  /** Every open TCP connection, including those that became WebSockets, so that none can outlive `close`. */
  const sockets = new Set<Socket>();
  const noteRefusal = refusalLog({ log, clock: { monotonicMs: () => performance.now() } });
  const note = (what: string, fields: LogFields): void => noteRefusal(what, `Refused at the port: ${what}.`, fields);
  let closing: Promise<void> | null = null;
  let whenAllGone: (() => void) | null = null;

  const connectionsMax = options.socketsMax + settings.httpConnectionsMax;
  const server = httpFront({
    settings,
    connectionsMax: connectionsMax + (options.pendingUpgradesMax ?? 0),
    http: options.http,
    isRefusing,
    log,
    certificate,
    onTooMany: ({ remoteAddress = '' }) => note('too many pipelined requests', { remoteAddress: plainAddress(remoteAddress) }),
  });
  // `closeTimeout` (how long the peer may take to answer a close frame) is newer than the types of ws.
  const upgrading: ServerOptions & { readonly closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.frameBytesMax,
    closeTimeout: settings.closeWithinMs,
  };
  const upgrader = new WebSocketServer(upgrading);
  refuseInvalid(upgrader, settings);

  const requests = requestSockets({ http: options.http, settings, isRefusing, log });

  const share = new AddressShare(connectionsMax, certificate !== undefined);
  // One function for all sockets: with `once` and a closure, each of thousands would have several objects of its own.
  function closed(this: Socket): void {
    sockets.delete(this);
    share.closed(this);
  }
  const noteFull = (remoteAddress = ''): void => note('connections full', { remoteAddress: plainAddress(remoteAddress) });
  server.on('connection', (socket) => {
    // Of `server.maxConnections`, the rest is for upgrades that wait.
    if (share.size + connections.size >= connectionsMax) {
      noteFull(socket.remoteAddress);
      socket.destroy();
      return;
    }
    if (!share.acquire(socket, connections.size)) {
      note('one address has half of the free connections', { remoteAddress: plainAddress(socket.remoteAddress ?? '') });
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.on('close', closed);
  });
  server.on('drop', (peer) => noteFull(peer?.remoteAddress));
  // Not inside the `upgrade` listener: a closure there would keep the request in memory as long as the connection lives.
  const forget = (gone: HubConnection): void => {
    connections.delete(gone);
    if (connections.size === 0) whenAllGone?.();
  };
  const { socketQueueBytesMax, unidentifiedBytesMax } = options;
  const shared = { socketQueueBytesMax, unidentifiedBytesMax, events, log, forget };
  const opened = (upgraded: Omit<Upgraded, 'id'>): void => void connections.add(openConnection({ ...upgraded, id: nextId() }, shared));
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const remoteAddress = plainAddress(request.socket.remoteAddress ?? '');
    const { host, origin } = request.headers;
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (path === REQUEST_SOCKET_PATH) return requests.upgrade(request, stream, head, remoteAddress);
    const forwarded = request.headers['x-forwarded-for'];
    const peer = { remoteAddress, forwardedFor: forwarded === undefined ? null : String(forwarded) };
    const isAccepted = (): boolean => {
      const refusal = decideUpgrade({ path, host, origin, isRefusing: isRefusing(), socketsOpen: connections.size }, options);
      if (refusal === null) return true;
      note(refusal.reason, { remoteAddress, host, origin });
      refuseUpgrade(stream, refusal, settings);
      return false;
    };
    let more = head;
    const open = (): void =>
      upgrader.handleUpgrade(request, stream, more, (socket) => {
        share.release(request.socket);
        opened({ socket, stream, ...peer });
      });
    if (!isAccepted()) return;
    // What is incomplete is refused by ws.
    if (options.admit === undefined || !isComplete(request)) return open();
    const accept = (): void => void (isAccepted() && open());
    const waits = admitUpgrade({ ...peer, stream, hasMore: head.length > 0, accept }, options.admit, settings);
    if (!waits) return;
    // Even an empty one keeps all that arrived with it in memory.
    more = NOTHING;
    keepOnlyUpgrade(request);
    // From now on, `pendingUpgradesMax` limits it.
    share.release(request.socket);
  });

  const closeAll = async (code: number, reason: string): Promise<void> => {
    // This also closes idle keep-alive connections.
    const portFree = new Promise<void>((resolve) => server.close(() => resolve()));
    const allGone = new Promise<void>((resolve) => {
      whenAllGone = resolve;
      if (connections.size === 0) resolve();
    });
    requests.end();
    for (const connection of [...connections]) connection.close(code, reason);
    const deadline = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, settings.closeWithinMs);
    await Promise.all([portFree, allGone]);
    clearTimeout(deadline);
  };

  const port = await listening(server, options);
  server.on('error', (error) => note('accepting failed', { error: messageOf(error) }));
  return {
    port,
    close: (code, reason) => (closing ??= closeAll(code, reason)),
  };
};

const listening = (server: Server, { host, port }: Pick<ListenOptions, 'host' | 'port'>): Promise<number> =>
  new Promise((resolve, reject) => {
    const fail = (thrown: unknown): void => reject(listenFailure(thrown, { host, port }));
    server.once('error', fail);
    server.once('listening', () => {
      server.off('error', fail);
      resolve((server.address() as AddressInfo).port);
    });
    try {
      server.listen({ host, port, backlog: BACKLOG });
    } catch (thrown) {
      // For an invalid port number, Node throws instead of emitting an error.
      fail(thrown);
    }
  });
