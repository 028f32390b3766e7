/**
 * The WebSocket of one sidecar: open, then closing once either side has sent a close, then gone. Frames are delivered only while it is
 * open, so that nothing but `onGone` follows our own close.
 */
import type { Duplex } from 'node:stream';
import { WebSocket, type RawData } from 'ws';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { HubConnection, TransportEvents } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { CLOSE_CODES, closeReason } from '../../core/protocol/close-codes.ts';

/**
 * When more than this many bytes are corked, they are written before the end of the turn, so that buffered bytes are only those that the
 * peer is too slow to receive.
 */
const CORKED_BYTES_MAX = 65_536;

/** What the connections of a port share. */
export interface ConnectionDeps {
  readonly socketQueueBytesMax: number;
  readonly unidentifiedBytesMax: number;
  readonly events: TransportEvents;
  readonly log: Log;
  /** Called for a closed connection, before `onGone`. */
  readonly forget: (connection: HubConnection) => void;
}

/** An upgraded connection. */
export interface Upgraded {
  readonly id: number;
  readonly socket: WebSocket;
  /** The TCP or TLS stream under the WebSocket. */
  readonly stream: Duplex;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
}

/** Takes ownership of an upgraded socket, and calls `onOpen` synchronously. */
export function openConnection(upgraded: Upgraded, deps: ConnectionDeps): HubConnection {
  const connection = new WsConnection(upgraded, deps);
  const socket: OwnedSocket = upgraded.socket;
  socket[OWNER] = connection;
  const stream: OwnedStream = upgraded.stream;
  stream[OWNER] = connection;
  // Prepended, to count the bytes before ws reads them.
  stream.prependListener('data', onBytes);
  socket.on('message', onMessage).on('pong', onAlive).on('ping', onAlive).on('error', onError).on('close', onClose);
  connection.onOpen();
  return connection;
}

const OWNER = Symbol('the connection of a socket');
type OwnedSocket = WebSocket & { [OWNER]?: WsConnection };
type OwnedStream = Duplex & { [OWNER]?: WsConnection };

// Shared by all sockets, to save memory: with closures, each of thousands of sockets would have its own functions.
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

class WsConnection implements HubConnection {
  readonly id: number;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
  readonly #deps: ConnectionDeps;
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  /** The close code of the side that closed first; null while open. */
  #closedWith: number | null = null;
  #isCorked = false;
  /** Bytes received before `identified`, or, from an identified peer, after our close. */
  #countedBytes = 0;
  #isCounting = true;

  constructor({ id, socket, stream, remoteAddress, forwardedFor }: Upgraded, deps: ConnectionDeps) {
    this.id = id;
    this.remoteAddress = remoteAddress;
    this.forwardedFor = forwardedFor;
    this.#deps = deps;
    this.#socket = socket;
    this.#stream = stream;
  }

  send(text: string): boolean {
    const socket = this.#socket;
    if (this.#closedWith !== null || socket.readyState !== WebSocket.OPEN) return false;
    const { socketQueueBytesMax } = this.#deps;
    // Without this frame, whose size says nothing about the peer.
    const waitingBytes = socket.bufferedAmount;
    if (waitingBytes > socketQueueBytesMax) {
      const { remoteAddress } = this;
      this.#log().warn('A WebSocket is closed: its peer reads too slowly.', { remoteAddress, waitingBytes, socketQueueBytesMax });
      this.close(CLOSE_CODES.tooSlow, 'the peer reads too slowly');
      return false;
    }
    this.#corkThisTurn();
    socket.send(text);
    if (this.#stream.writableLength > CORKED_BYTES_MAX) this.uncork();
    return true;
  }

  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  identified(): void {
    this.#isCounting = false;
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
    if (this.#isCounting) return;
    // Until the peer has answered, it is read only as far as an unidentified one.
    this.#isCounting = true;
    this.#countedBytes = 0;
    this.#stream.prependListener('data', onBytes);
  }

  onOpen(): void {
    this.#notify(() => this.#deps.events.onOpen(this));
  }

  /** Called while bytes count. A frame is buffered until it is complete, so they are limited even within a frame. */
  onBytes(bytes: number): void {
    this.#countedBytes += bytes;
    const { unidentifiedBytesMax } = this.#deps;
    if (this.#countedBytes <= unidentifiedBytesMax) return;
    this.close(CLOSE_CODES.tooLarge, `at most ${unidentifiedBytesMax} bytes before identify`);
    // Not even the peer's close frame is read. Nor is more read from a peer that sends on after another close, even after `resume`.
    this.#socket.pause();
  }

  onMessage(data: RawData, isBinary: boolean): void {
    if (this.#closedWith !== null) return;
    if (isBinary) this.close(CLOSE_CODES.notText, 'text frames only');
    else this.#notify(() => this.#deps.events.onFrame(this, data.toString()));
  }

  onAlive(): void {
    if (this.#closedWith === null) this.#notify(() => this.#deps.events.onPong(this));
  }

  /** ws closes the socket itself after an error; `onClosed` follows. */
  onError(error: Error): void {
    this.#closedWith ??= codeOf(error);
    this.#log().debug('A socket failed.', { remoteAddress: this.remoteAddress, error: messageOf(error) });
  }

  onClosed(code: number): void {
    const gone = (this.#closedWith ??= code);
    this.#deps.forget(this);
    this.#notify(() => this.#deps.events.onGone(this, gone));
  }

  uncork(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#stream.uncork();
  }

  /** Sends the frames that a commit causes for one peer in one write, because the system call costs more than the data. */
  #corkThisTurn(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#stream.cork();
    queueMicrotask(() => this.uncork());
  }

  /** Calls a handler of the hub. An exception in it must affect only this connection. */
  #notify(handler: () => void): void {
    try {
      handler();
    } catch (thrown) {
      this.#log().error('A handler of socket events threw; the socket is closed.', { error: thrown });
      this.close(CLOSE_CODES.internal, 'internal error');
    }
  }

  #log(): Log {
    return this.#deps.log.with({ connection: this.id });
  }
}

/** The close code that ws sends for its own errors; 1006 for network errors. */
const codeOf = (error: Error & { readonly code?: unknown }): number => {
  if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return CLOSE_CODES.tooLarge;
  if (error.code === 'WS_ERR_INVALID_UTF8') return CLOSE_CODES.notUtf8;
  if (error.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') return CLOSE_CODES.policy;
  return typeof error.code === 'string' && error.code.startsWith('WS_ERR_') ? CLOSE_CODES.protocol : CLOSE_CODES.abnormal;
};
