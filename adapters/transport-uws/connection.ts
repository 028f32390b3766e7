/**
 * One sidecar's socket as the hub sees it: open, then closed once either side said so. uWebSockets.js ends its side of a
 * socket with our close, at once, and gives it to nobody any more: `onGone` follows on the next turn, never from inside a
 * call of the hub. What becomes of the TCP connection then is uWebSockets.js's: its peer answers the close, or it is cut
 * after the idle time of the listener.
 */
import type { HubConnection, TransportEvents } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { CLOSE_CODES, closeReason } from '../../core/protocol/close-codes.ts';
import type { UwsSocket } from './uws-package.ts';

export interface ConnectionParts {
  readonly id: number;
  readonly socket: UwsSocket;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
  readonly socketQueueBytesMax: number;
  readonly events: TransportEvents;
  readonly log: Log;
  /** Called when it is gone, before `onGone`. */
  readonly forget: () => void;
}

/** What uWebSockets.js tells of the socket. */
export interface SocketEvents {
  readonly connection: HubConnection;
  /** Reports it open; first of all. */
  open(): void;
  message(data: ArrayBuffer, isBinary: boolean): void;
  /** A ping or a pong. */
  alive(): void;
  closed(code: number): void;
}

/** Takes over an upgraded socket. */
export const carryConnection = (parts: ConnectionParts): SocketEvents => {
  const { id, socket, remoteAddress, forwardedFor, socketQueueBytesMax, events, forget } = parts;
  const log = parts.log.with({ connection: id });
  /** The code of whoever closed first; null while open. The socket must not be touched after that. */
  let closedWith: number | null = null;

  /** `end` makes uWebSockets.js call `closed` before it returns. */
  const closeBy = (code: number, end: () => void): void => {
    if (closedWith !== null) return;
    closedWith = code;
    end();
  };
  const close = (code: number, reason: string): void => closeBy(code, () => socket.end(code, closeReason(reason)));

  const connection: HubConnection = {
    id,
    remoteAddress,
    forwardedFor,
    send(text) {
      if (closedWith !== null) return false;
      socket.send(text);
      const waitingBytes = socket.getBufferedAmount();
      if (waitingBytes <= socketQueueBytesMax) return true;
      log.warn('A socket takes too little and is closed.', { remoteAddress, waitingBytes, socketQueueBytesMax });
      // A close frame would stand behind all that waits, which is let go at once this way.
      closeBy(CLOSE_CODES.tooSlow, () => socket.close());
      return false;
    },
    ping() {
      if (closedWith === null) socket.ping();
    },
    bufferedBytes: () => (closedWith === null ? socket.getBufferedAmount() : 0),
    close,
  };

  /** A fault in what we call must cost this socket and no other. */
  const tell = (what: () => void): void => {
    try {
      what();
    } catch (thrown) {
      log.error('A handler of socket events threw; the socket is closed.', { error: thrown });
      close(CLOSE_CODES.internal, 'internal error');
    }
  };

  return {
    connection,
    open: () => tell(() => events.onOpen(connection)),
    message(data, isBinary) {
      if (closedWith !== null) return;
      if (isBinary) close(CLOSE_CODES.notText, 'text frames only');
      else {
        // The memory is uWebSockets.js's own; the text is a copy.
        const text = Buffer.from(data).toString();
        tell(() => events.onFrame(connection, text));
      }
    },
    alive() {
      if (closedWith === null) tell(() => events.onPong(connection));
    },
    closed(code) {
      const gone = (closedWith ??= code);
      queueMicrotask(() => {
        forget();
        tell(() => events.onGone(connection, gone));
      });
    },
  };
};
