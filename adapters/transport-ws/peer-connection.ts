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

/** What the connections of a port share. */
export interface ConnectionParts {
  readonly socketQueueBytesMax: number;
  readonly unidentifiedBytesMax: number;
  readonly events: TransportEvents;
  readonly log: Log;
  /** Called when one is gone, before `onGone`. */
  readonly forget: (connection: HubConnection) => void;
}

/** What is told of one connection. */
export interface Upgraded {
  readonly id: number;
  readonly socket: WebSocket;
  /** What the socket writes to. */
  readonly stream: Duplex;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
}

/** Takes over an upgraded socket, and reports it open before this returns. */
export function openConnection(upgraded: Upgraded, parts: ConnectionParts): HubConnection {
  const connection = new WsConnection(upgraded, parts);
  const socket: OwnedSocket = upgraded.socket;
  socket[OWNER] = connection;
  const stream: OwnedStream = upgraded.stream;
  stream[OWNER] = connection;
  // Before ws takes them.
  stream.prependListener('data', onBytes);
  socket.on('message', onMessage).on('pong', onAlive).on('ping', onAlive).on('error', onError).on('close', onClose);
  connection.onOpen();
  return connection;
}

const OWNER = Symbol('the connection of a socket');
type OwnedSocket = WebSocket & { [OWNER]?: WsConnection };
type OwnedStream = Duplex & { [OWNER]?: WsConnection };

// The same functions for every socket: there are thousands, and each function of its own would be kept for each.
function onMessage(this: OwnedSocket, data: RawData, isBinary: boolean): void {
  this[OWNER]?.onMessage(data, isBinary);
}
function onAlive(this: OwnedSocket): void {
  this[OWNER]?.onAlive();
}
function onError(this: OwnedSocket, error: Error): void {
  this[OWNER]?.onError(error);
}
function onClose(this: OwnedSocket, code: number): void {
  this[OWNER]?.onClosed(code);
}
function onBytes(this: OwnedStream, chunk: Buffer): void {
  this[OWNER]?.onBytes(chunk.byteLength);
}
function uncork(connection: WsConnection): void {
  connection.uncork();
}

class WsConnection implements HubConnection {
  readonly id: number;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
  readonly #parts: ConnectionParts;
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  /** The code of whoever closed first here; null while open. */
  #closedWith: number | null = null;
  #isCorked = false;
  /** What it has sent before it has said who it is. */
  #unidentifiedBytes = 0;

  constructor({ id, socket, stream, remoteAddress, forwardedFor }: Upgraded, parts: ConnectionParts) {
    this.id = id;
    this.remoteAddress = remoteAddress;
    this.forwardedFor = forwardedFor;
    this.#parts = parts;
    this.#socket = socket;
    this.#stream = stream;
  }

  send(text: string): boolean {
    const socket = this.#socket;
    if (this.#closedWith !== null || socket.readyState !== WebSocket.OPEN) return false;
    this.#corkThisTurn();
    socket.send(text);
    if (this.#stream.writableLength > CORKED_BYTES_MAX) this.uncork();
    const { socketQueueBytesMax } = this.#parts;
    const waitingBytes = socket.bufferedAmount;
    if (waitingBytes <= socketQueueBytesMax) return true;
    const { remoteAddress } = this;
    this.#log().warn('A socket takes too little and is closed.', { remoteAddress, waitingBytes, socketQueueBytesMax });
    this.close(CLOSE_CODES.tooSlow, 'too much waits for this socket');
    return false;
  }

  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  identified(): void {
    this.#stream.off('data', onBytes);
  }

  bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  pause(): void {
    if (this.#closedWith === null) this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(code: number, reason: string): void {
    if (this.#closedWith !== null) return;
    this.#closedWith = code;
    this.#socket.close(code, closeReason(reason));
  }

  onOpen(): void {
    this.#tell(() => this.#parts.events.onOpen(this));
  }

  /** A frame is kept in memory until it is whole: of strangers not for long. */
  onBytes(bytes: number): void {
    this.#unidentifiedBytes += bytes;
    const { unidentifiedBytesMax } = this.#parts;
    if (this.#unidentifiedBytes <= unidentifiedBytesMax || this.#closedWith !== null) return;
    this.identified();
    this.close(CLOSE_CODES.tooLarge, `at most ${unidentifiedBytesMax} bytes before identify`);
    // Not even for the answer to that.
    this.#socket.pause();
  }

  onMessage(data: RawData, isBinary: boolean): void {
    if (this.#closedWith !== null) return;
    if (isBinary) this.close(CLOSE_CODES.notText, 'text frames only');
    else this.#tell(() => this.#parts.events.onFrame(this, data.toString()));
  }

  onAlive(): void {
    if (this.#closedWith === null) this.#tell(() => this.#parts.events.onPong(this));
  }

  /** ws closes the socket itself for what it reports here; `onClosed` follows. */
  onError(error: Error): void {
    this.#closedWith ??= codeOf(error);
    this.#log().debug('A socket failed.', { remoteAddress: this.remoteAddress, error: messageOf(error) });
  }

  onClosed(code: number): void {
    const gone = (this.#closedWith ??= code);
    this.#parts.forget(this);
    this.#tell(() => this.#parts.events.onGone(this, gone));
  }

  uncork(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#stream.uncork();
  }

  /** What a commit sends to one peer leaves in one write: the system takes longer over each than over what is in it. */
  #corkThisTurn(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#stream.cork();
    process.nextTick(uncork, this);
  }

  /** A fault in what we call must cost this socket and no other. */
  #tell(what: () => void): void {
    try {
      what();
    } catch (thrown) {
      this.#log().error('A handler of socket events threw; the socket is closed.', { error: thrown });
      this.close(CLOSE_CODES.internal, 'internal error');
    }
  }

  #log(): Log {
    return this.#parts.log.with({ connection: this.id });
  }
}

/** The close code that ws sends for an error of its own; 1006 for one of the network. */
const codeOf = (error: Error & { readonly code?: unknown }): number => {
  if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return CLOSE_CODES.tooLarge;
  if (error.code === 'WS_ERR_INVALID_UTF8') return CLOSE_CODES.notUtf8;
  if (error.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') return CLOSE_CODES.policy;
  return typeof error.code === 'string' && error.code.startsWith('WS_ERR_') ? CLOSE_CODES.protocol : CLOSE_CODES.abnormal;
};
