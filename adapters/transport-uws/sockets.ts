/** The WebSockets of a port: upgrades, open connections, and their closing. */
import { STATUS_CODES } from 'node:http';
import { headerIn } from '../kit/captured-request.ts';
import type { PortContext } from '../kit/create-transport.ts';
import { REQUEST_SOCKET_PATH } from '../kit/request-socket.ts';
import { decideUpgrade, WEBSOCKET_KEY } from '../kit/upgrade.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import { CLOSE_CODES } from '../../core/protocol/close-codes.ts';
import { ambiguousLength, padToFlush, partsOf } from './capture-request.ts';
import { UwsConnection, type Peer } from './peer-connection.ts';
import type { UwsApp, UwsResponse, UwsSocket, WebSocketBehavior } from './uws-package.ts';

/**
 * Idle time after which uWebSockets.js pings a peer, and destroys the connection if there is no answer. Seconds. The hub's own heartbeat
 * is faster; this ends connections that the hub has already closed and whose peer does not answer.
 */
const IDLE_S = 60;
const WEBSOCKET_VERSION = '13';
const RETRY_SOON = { 'retry-after': '1' };
/**
 * The close code for each reason with which uWebSockets.js drops a connection; the session logs and counts it. A peer can send the same
 * text, but not with code 1006.
 */
const DROP_CODES: ReadonlyMap<string, number> = new Map([
  ['Received too big message', CLOSE_CODES.tooLarge],
  ['Received too big message, or other inflation error', CLOSE_CODES.tooLarge],
  ['Received invalid UTF-8', CLOSE_CODES.notUtf8],
]);

export interface SocketsDeps extends PortContext {
  readonly log: Log;
  /** Logs a refusal, at a limited rate. */
  readonly note: (what: string, fields: LogFields) => void;
  /** Called when a WebSocket was closed, by either side. */
  readonly onClosed: () => void;
}

export interface Sockets {
  /** Handles the upgrades on all paths of the app. Several apps share the limits. */
  serve(app: UwsApp): void;
  /** Upgrades that the hub has not answered yet. */
  readonly waiting: number;
  /** Closes all open WebSockets. Resolves when `onGone` was called for each, to whether there were any. */
  closeAll(code: number, reason: string): Promise<boolean>;
}

export const serveSockets = (deps: SocketsDeps): Sockets => {
  const { options, events, nextId, isRefusing, log, note, onClosed } = deps;
  const open = new Map<UwsSocket, UwsConnection>();
  /** WebSockets for which `onGone` was not called yet. It is called a moment after a socket was removed from `open`. */
  let known = 0;
  let waiting = 0;
  let whenAllGone: () => void = () => undefined;
  const forget = (): void => {
    known -= 1;
    if (known === 0) whenAllGone();
  };
  const { socketQueueBytesMax, unidentifiedBytesMax } = options;
  const shared = { socketQueueBytesMax, unidentifiedBytesMax, events, log, forget };

  const behavior: WebSocketBehavior = {
    maxPayloadLength: options.frameBytesMax,
    // Pongs are sent automatically: over this limit they are dropped and the socket is closed. `UwsConnection` checks the limit itself
    // before each of our frames and after each ping, so that the reason is logged and reported.
    maxBackpressure: options.socketQueueBytesMax,
    closeOnBackpressureLimit: 1,
    idleTimeout: IDLE_S,
    sendPingsAutomatically: true,
    upgrade(response, request, context) {
      // Called for every request with a key of 24 characters. Without an upgrade to WebSocket it is answered as HTTP.
      if (request.getHeader('upgrade').toLowerCase() !== 'websocket') return void request.setYield(true);
      const { headers, path, remoteAddress } = partsOf(request, response);
      const ambiguous = ambiguousLength({ headers });
      if (ambiguous !== null) return refuse(response, 400, padToFlush(`${ambiguous}\n`), {});
      const header = (name: string): string | undefined => headerIn(headers, name);
      const [host, origin] = [header('host'), header('origin')];
      // Its requests would need a pause of reading, which uWebSockets.js has for HTTP only. Clients then use HTTP.
      if (path === REQUEST_SOCKET_PATH) return refuse(response, 404, 'not with uws()\n', {});
      const isAccepted = (): boolean => {
        const refusal = decideUpgrade({ path, host, origin, isRefusing: isRefusing(), socketsOpen: known }, options);
        if (refusal === null) return true;
        note(refusal.reason, { remoteAddress, host, origin });
        refuse(response, refusal.status, `${refusal.reason}\n`, refusal.status === 503 ? RETRY_SOON : {});
        return false;
      };
      if (!isAccepted()) return;
      if (header('sec-websocket-version') !== WEBSOCKET_VERSION) {
        return refuse(response, 400, 'wrong Sec-WebSocket-Version\n', { 'sec-websocket-version': WEBSOCKET_VERSION });
      }
      const key = header('sec-websocket-key') ?? '';
      if (!WEBSOCKET_KEY.test(key)) return refuse(response, 400, 'wrong Sec-WebSocket-Key\n', {});
      const peer: Peer = { remoteAddress, forwardedFor: header('x-forwarded-for') ?? null };
      const protocol = header('sec-websocket-protocol') ?? '';
      // Without the offered extensions: none is supported, and compression is not wanted.
      const open = (): void => response.upgrade(peer, key, protocol, '', context);
      if (options.admit === undefined) return open();
      let [isAnswered, isAborted, isLate] = [false, false, false];
      waiting += 1;
      const answer = (how: () => void): void => {
        if (isAnswered || isAborted) return;
        isAnswered = true;
        waiting -= 1;
        // uWebSockets.js ends the process if a socket is upgraded while it handles another one, even in a microtask after that handler.
        if (isLate) setImmediate(() => isAborted || response.cork(how));
        else response.cork(how);
      };
      response.onAborted(() => {
        isAborted = true;
        if (isAnswered) return;
        waiting -= 1;
        leave();
      });
      const leave = options.admit({
        ...peer,
        open: () => answer(() => void (isAccepted() && open())),
        refuse: (reason) => answer(() => refuse(response, 503, `${reason}\n`, RETRY_SOON)),
      });
      isLate = true;
    },
    open(socket) {
      known += 1;
      const connection = new UwsConnection(nextId(), socket, socket.getUserData() as Peer, shared);
      open.set(socket, connection);
      connection.onOpen();
    },
    message: (socket, data, isBinary) => open.get(socket)?.onMessage(data, isBinary),
    ping: (socket, { byteLength }) => open.get(socket)?.onPing(byteLength),
    pong: (socket, { byteLength }) => open.get(socket)?.onAlive(byteLength),
    close(socket, code, message) {
      const dropCode = code === CLOSE_CODES.abnormal ? DROP_CODES.get(Buffer.from(message).toString()) : undefined;
      const closed = open.get(socket);
      open.delete(socket);
      onClosed();
      closed?.onClosed(dropCode ?? code);
    },
  };

  return {
    get waiting() {
      return waiting;
    },
    serve: (app) => void app.ws('/*', behavior),
    async closeAll(code, reason) {
      if (known === 0) return false;
      const allGone = new Promise<void>((resolve) => (whenAllGone = resolve));
      for (const connection of [...open.values()]) connection.close(code, reason);
      await allGone;
      return true;
    },
  };
};

const refuse = (response: UwsResponse, status: number, text: string, headers: Readonly<Record<string, string>>): void => {
  response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
  response.writeHeader('content-type', 'text/plain; charset=utf-8');
  response.writeHeader('x-content-type-options', 'nosniff');
  for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
  response.end(text, true);
};
