/** The sockets of one port: who may become one, which are open, and their end. */
import { STATUS_CODES } from 'node:http';
import { headerIn } from '../kit/captured-request.ts';
import type { Opening } from '../kit/listening.ts';
import { decideUpgrade } from '../kit/upgrade.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import { CLOSE_CODES } from '../../core/protocol/close-codes.ts';
import { ambiguousLength, ambiguousText, partsOf } from './capture-request.ts';
import { UwsConnection, type Peer } from './peer-connection.ts';
import type { UwsApp, UwsResponse, UwsSocket } from './uws-package.ts';

/**
 * A socket that carried nothing for so long is pinged by uWebSockets.js and cut if that brings nothing, seconds. The hub
 * looks for silent peers by itself and sooner; this ends what it has closed already and whose peer does not answer.
 */
const IDLE_S = 60;
const WEBSOCKET_VERSION = '13';
/** Why uWebSockets.js cut a connection, in its words, which no peer can say, and in ours. */
const TOO_LARGE = 'a frame over the limit';
const CUT_BECAUSE: ReadonlyMap<string, string> = new Map([
  ['Received too big message', TOO_LARGE],
  ['Received too big message, or other inflation error', TOO_LARGE],
  ['Received invalid UTF-8', 'a frame that is not UTF-8'],
]);

export interface SocketsParts extends Opening {
  readonly log: Log;
  /** Tells the log what was refused, once in a while. */
  readonly note: (what: string, fields: LogFields) => void;
  /** A connection that had become a socket has ended, or was closed by us. */
  readonly onClosed: () => void;
}

export interface Sockets {
  /** Closes those that are open; answers when `onGone` was called for each, with whether there were any. */
  closeAll(code: number, reason: string): Promise<boolean>;
}

/** Takes the upgrades of every path of the app. */
export const carrySockets = (app: UwsApp, parts: SocketsParts): Sockets => {
  const { options, events, nextId, isRefusing, log, note, onClosed } = parts;
  const open = new Map<UwsSocket, UwsConnection>();
  /** Counted until `onGone`, which comes a moment after a socket has left `open`. */
  let known = 0;
  let whenAllGone: () => void = () => undefined;
  const forget = (): void => {
    known -= 1;
    if (known === 0) whenAllGone();
  };
  const { socketQueueBytesMax, unidentifiedBytesMax } = options;
  const shared = { socketQueueBytesMax, unidentifiedBytesMax, events, log, forget };

  app.ws('/*', {
    maxPayloadLength: options.frameBytesMax,
    // Pongs are sent without asking: over the bound they are dropped and the socket ends. The connection looks at each of
    // our own frames, and after each ping, so that the log and the hub hear why.
    maxBackpressure: options.socketQueueBytesMax,
    closeOnBackpressureLimit: 1,
    idleTimeout: IDLE_S,
    sendPingsAutomatically: true,
    upgrade(response, request, context) {
      const { headers, path, remoteAddress } = partsOf(request, response);
      const ambiguous = ambiguousLength({ headers });
      if (ambiguous !== null) return refuse(response, 400, ambiguousText(`${ambiguous}\n`), {});
      const header = (name: string): string | undefined => headerIn(headers, name);
      const [host, origin] = [header('host'), header('origin')];
      const refusal = decideUpgrade({ path, host, origin, isRefusing: isRefusing(), socketsOpen: known }, options);
      if (refusal !== null) {
        note(refusal.reason, { remoteAddress, host, origin });
        return refuse(response, refusal.status, `${refusal.reason}\n`, refusal.status === 503 ? { 'retry-after': '1' } : {});
      }
      if (header('sec-websocket-version') !== WEBSOCKET_VERSION) {
        return refuse(response, 400, 'wrong Sec-WebSocket-Version\n', { 'sec-websocket-version': WEBSOCKET_VERSION });
      }
      // Without the extensions that were offered: none is spoken, compression least of all.
      const from: Peer = { remoteAddress, forwardedFor: header('x-forwarded-for') ?? null };
      response.upgrade(from, header('sec-websocket-key') ?? '', header('sec-websocket-protocol') ?? '', '', context);
    },
    open(socket) {
      known += 1;
      const connection = new UwsConnection(nextId(), socket, socket.getUserData() as Peer, shared);
      open.set(socket, connection);
      connection.onOpen();
    },
    message: (socket, data, isBinary) => open.get(socket)?.onMessage(data, isBinary),
    ping: (socket) => open.get(socket)?.onPing(),
    pong: (socket) => open.get(socket)?.onAlive(),
    close(socket, code, message) {
      const because = CUT_BECAUSE.get(Buffer.from(message).toString());
      const closed = open.get(socket);
      open.delete(socket);
      onClosed();
      if (because !== undefined && code === CLOSE_CODES.abnormal) note(because, { remoteAddress: closed?.remoteAddress });
      closed?.onClosed(because === TOO_LARGE ? CLOSE_CODES.tooLarge : code);
    },
  });

  return {
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
  for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
  response.end(text, true);
};
