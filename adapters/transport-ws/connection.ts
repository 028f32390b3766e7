/**
 * One sidecar's socket as the hub sees it: open, then closing once either side said so, then gone. Frames are passed on
 * only while it is open, so that nothing follows our own close but `onGone`.
 */
import type { Duplex } from 'node:stream';
import { WebSocket, type RawData } from 'ws';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { HubConnection, TransportEvents } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { CLOSE_CODES, closeReason } from '../../core/protocol/close-codes.ts';

/** Bytes that wait for the end of the turn; more are written at once, so that what waits is what the peer does not take. */
const CORKED_BYTES_MAX = 65_536;

export interface ConnectionParts {
  readonly id: number;
  readonly socket: WebSocket;
  /** What the socket writes to. */
  readonly stream: Duplex;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
  readonly socketQueueBytesMax: number;
  readonly events: TransportEvents;
  readonly log: Log;
  /** Called when it is gone, before `onGone`. */
  readonly forget: (connection: HubConnection) => void;
}

/** Takes over an upgraded socket, and reports it open before this returns. */
export const openConnection = (parts: ConnectionParts): HubConnection => {
  const { id, socket, stream, remoteAddress, forwardedFor, socketQueueBytesMax, events, forget } = parts;
  /** Made when there is something to say: most connections never say anything, and thousands would each hold one. */
  const log = (): Log => parts.log.with({ connection: id });
  /** The code of whoever closed first here; null while open. */
  let closedWith: number | null = null;

  let isCorked = false;
  const uncork = (): void => {
    if (!isCorked) return;
    isCorked = false;
    stream.uncork();
  };
  /** What a commit sends to one peer leaves in one write: the system takes longer over each than over what is in it. */
  const corkThisTurn = (): void => {
    if (isCorked) return;
    isCorked = true;
    stream.cork();
    process.nextTick(uncork);
  };

  const close = (code: number, reason: string): void => {
    if (closedWith !== null) return;
    closedWith = code;
    socket.close(code, closeReason(reason));
  };

  const connection: HubConnection = {
    id,
    remoteAddress,
    forwardedFor,
    send(text) {
      if (closedWith !== null || socket.readyState !== WebSocket.OPEN) return false;
      corkThisTurn();
      socket.send(text);
      if (stream.writableLength > CORKED_BYTES_MAX) uncork();
      if (socket.bufferedAmount <= socketQueueBytesMax) return true;
      log().warn('A socket takes too little and is closed.', { remoteAddress, waitingBytes: socket.bufferedAmount, socketQueueBytesMax });
      close(CLOSE_CODES.tooSlow, 'too much waits for this socket');
      return false;
    },
    ping() {
      if (socket.readyState === WebSocket.OPEN) socket.ping();
    },
    bufferedBytes: () => socket.bufferedAmount,
    close,
  };

  /** A fault in what we call must cost this socket and no other. */
  const tell = (what: () => void): void => {
    try {
      what();
    } catch (thrown) {
      log().error('A handler of socket events threw; the socket is closed.', { error: thrown });
      close(CLOSE_CODES.internal, 'internal error');
    }
  };

  socket.on('message', (data: RawData, isBinary: boolean) => {
    if (closedWith !== null) return;
    if (isBinary) close(CLOSE_CODES.notText, 'text frames only');
    else tell(() => events.onFrame(connection, data.toString()));
  });
  const alive = (): void => {
    if (closedWith === null) tell(() => events.onPong(connection));
  };
  socket.on('pong', alive);
  socket.on('ping', alive);
  // ws closes the socket itself for what it reports here; `close` follows.
  socket.on('error', (error) => {
    closedWith ??= codeOf(error);
    log().debug('A socket failed.', { remoteAddress, error: messageOf(error) });
  });
  socket.on('close', (code: number) => {
    const gone = closedWith ?? code;
    closedWith = gone;
    forget(connection);
    tell(() => events.onGone(connection, gone));
  });

  tell(() => events.onOpen(connection));
  return connection;
};

/** The close code that ws sends for an error of its own; 1006 for one of the network. */
const codeOf = (error: Error & { readonly code?: unknown }): number => {
  if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return CLOSE_CODES.tooLarge;
  if (error.code === 'WS_ERR_INVALID_UTF8') return CLOSE_CODES.notUtf8;
  if (error.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') return CLOSE_CODES.policy;
  return typeof error.code === 'string' && error.code.startsWith('WS_ERR_') ? CLOSE_CODES.protocol : CLOSE_CODES.abnormal;
};
