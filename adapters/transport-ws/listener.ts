/** One listening port: its HTTP server, its sockets, and their end. */
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type ServerOptions } from 'ws';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { HubConnection, ListenOptions, TransportEvents } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import type { WsSettings } from './settings.ts';
import { openConnection } from './connection.ts';
import { httpFront, plainAddress } from './http-front.ts';
import { refusalLog } from './refusal-log.ts';
import { refusalOf, refuseUpgrade } from './upgrade.ts';

export interface Listener {
  readonly port: number;
  /** Answers when the port is free and every `onGone` was called; again, the same answer. */
  close(code: number, reason: string): Promise<void>;
}

export interface ListenerParts {
  readonly options: ListenOptions;
  readonly events: TransportEvents;
  readonly settings: WsSettings;
  /** A number for each connection, never the same again. */
  readonly nextId: () => number;
  /** Whether new sockets and requests are turned away by now. */
  readonly isRefusing: () => boolean;
  readonly log: Log;
}

/** Listens, or fails with `AC_PORT_BUSY` or `AC_LISTEN` and leaves nothing open. */
export const openListener = async ({ options, events, settings, nextId, isRefusing, log }: ListenerParts): Promise<Listener> => {
  const connections = new Set<HubConnection>();
  /** Every TCP connection, whatever became of it, so that none can outlive `close`. */
  const sockets = new Set<Socket>();
  const noteRefusal = refusalLog(log);
  let closing: Promise<void> | null = null;
  let whenAllGone: (() => void) | null = null;

  const server = httpFront({
    settings,
    connectionsMax: options.socketsMax + settings.httpConnectionsMax,
    http: options.http,
    isRefusing,
    log,
  });
  // `closeTimeout` is newer than the types of ws: how long the peer may take to answer a close frame.
  const upgrading: ServerOptions & { readonly closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.frameBytesMax,
    closeTimeout: settings.closeWithinMs,
  };
  const upgrader = new WebSocketServer(upgrading);

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('drop', (peer) => noteRefusal('connections full', { remoteAddress: plainAddress(peer?.remoteAddress) }));
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const remoteAddress = plainAddress(request.socket.remoteAddress);
    const refusal = refusalOf(request, { isRefusing: isRefusing(), socketsOpen: connections.size }, options);
    if (refusal !== null) {
      noteRefusal(refusal.reason, { remoteAddress, host: request.headers.host, origin: request.headers.origin });
      refuseUpgrade(stream, refusal);
      return;
    }
    upgrader.handleUpgrade(request, stream, head, (socket) => {
      const forwardedFor = request.headers['x-forwarded-for'];
      const connection = openConnection({
        id: nextId(),
        socket,
        remoteAddress,
        forwardedFor: forwardedFor === undefined ? null : String(forwardedFor),
        socketQueueBytesMax: options.socketQueueBytesMax,
        events,
        log,
        forget: (gone) => {
          connections.delete(gone);
          if (connections.size === 0) whenAllGone?.();
        },
      });
      connections.add(connection);
    });
  });

  const closeAll = async (code: number, reason: string): Promise<void> => {
    // Node ends idle keep-alive connections by itself here.
    const portFree = new Promise<void>((resolve) => server.close(() => resolve()));
    const allGone = new Promise<void>((resolve) => {
      whenAllGone = resolve;
      if (connections.size === 0) resolve();
    });
    for (const connection of [...connections]) connection.close(code, reason);
    const deadline = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, settings.closeWithinMs);
    await Promise.all([portFree, allGone]);
    clearTimeout(deadline);
  };

  const port = await listening(server, options);
  server.on('error', (error) => noteRefusal('accepting failed', { error: messageOf(error) }));
  return {
    port,
    close: (code, reason) => (closing ??= closeAll(code, reason)),
  };
};

const listening = (server: Server, { host, port }: Pick<ListenOptions, 'host' | 'port'>): Promise<number> =>
  new Promise((resolve, reject) => {
    const fail = (thrown: unknown): void => reject(listenError(thrown, `${host}:${port}`));
    server.once('error', fail);
    server.once('listening', () => {
      server.off('error', fail);
      resolve((server.address() as AddressInfo).port);
    });
    try {
      server.listen({ host, port });
    } catch (thrown) {
      // Node throws, and does not emit, on a port that cannot be one.
      fail(thrown);
    }
  });

const listenError = (thrown: unknown, address: string): AgentcomError => {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  if (code === 'EADDRINUSE') {
    const message = `Cannot listen on ${address}: another process has this port. Stop it, or set another hub.listen.port (0 takes a free one).`;
    return new AgentcomError('AC_PORT_BUSY', message, { cause: thrown, details: { address } });
  }
  const message = `Cannot listen on ${address}: ${messageOf(thrown)}. Set hub.listen.host to an address of this machine and hub.listen.port to one that it may use.`;
  return new AgentcomError('AC_LISTEN', message, { cause: thrown, details: { address } });
};
