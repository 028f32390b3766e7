/**
 * The WebSocket of one sidecar: open, then closed once either side closes it. On our close, uWebSockets.js ends the socket at once and
 * delivers nothing more from it. `onGone` follows in a microtask, never synchronously in a call by the hub. uWebSockets.js ends the TCP
 * connection itself: when the peer answers the close frame, or after the idle timeout.
 */
import type { HubConnection, TransportEvents } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { CLOSE_CODES, closeReason } from '../../core/protocol/close-codes.ts';
import type { UwsSocket } from './uws-package.ts';

/** The header of a client's frame, without the longer lengths of large frames. Bytes. */
const FRAME_HEADER_BYTES = 6;

/** What the connections of a port share. */
export interface ConnectionDeps {
  readonly socketQueueBytesMax: number;
  readonly unidentifiedBytesMax: number;
  readonly events: TransportEvents;
  readonly log: Log;
  /** Called for a closed connection, before `onGone`. */
  readonly forget: () => void;
}

/** What is kept from the upgrade request. */
export interface Peer {
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
}

/** A class without closures, to save memory: there are thousands of connections, and most are idle. */
export class UwsConnection implements HubConnection {
  readonly id: number;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
  readonly #deps: ConnectionDeps;
  readonly #socket: UwsSocket;
  /** The close code of the side that closed first; null while open. The native socket must not be used after that. */
  #closedWith: number | null = null;
  /** Bytes received before `identified`; null afterwards. */
  #unidentifiedBytes: number | null = 0;

  constructor(id: number, socket: UwsSocket, { remoteAddress, forwardedFor }: Peer, deps: ConnectionDeps) {
    this.id = id;
    this.remoteAddress = remoteAddress;
    this.forwardedFor = forwardedFor;
    this.#deps = deps;
    this.#socket = socket;
  }

  send(text: string): boolean {
    // Checked without this frame, whose size says nothing about the peer.
    if (this.#closedWith !== null || this.#endIfTooSlow()) return false;
    this.#socket.send(text);
    return true;
  }

  /** Closes the socket if it has too many unsent bytes; returns whether it did. */
  #endIfTooSlow(): boolean {
    const waitingBytes = this.#socket.getBufferedAmount();
    const { socketQueueBytesMax } = this.#deps;
    if (waitingBytes <= socketQueueBytesMax) return false;
    const { remoteAddress } = this;
    this.#log().warn('A WebSocket is closed: its peer reads too slowly.', { remoteAddress, waitingBytes, socketQueueBytesMax });
    // No close frame, which would wait behind the unsent bytes: this discards them at once.
    this.#closedWith = CLOSE_CODES.tooSlow;
    this.#socket.close();
    return true;
  }

  ping(): void {
    if (this.#closedWith !== null) return;
    this.#socket.ping();
    this.#endIfTooSlow();
  }

  identified(): void {
    this.#unidentifiedBytes = null;
  }

  bufferedBytes(): number {
    return this.#closedWith === null ? this.#socket.getBufferedAmount() : 0;
  }

  close(code: number, reason: string): void {
    if (this.#closedWith !== null) return;
    this.#closedWith = code;
    // uWebSockets.js calls `onClosed` before it returns.
    this.#socket.end(code, closeReason(reason));
  }

  /** Called first. */
  onOpen(): void {
    this.#notify(() => this.#deps.events.onOpen(this));
  }

  onMessage(data: ArrayBuffer, isBinary: boolean): void {
    if (this.#closedWith !== null) return;
    if (isBinary) return this.close(CLOSE_CODES.notText, 'text frames only');
    if (this.#endIfTooMuch(data.byteLength)) return;
    // `data` is memory of uWebSockets.js; the string is a copy.
    const text = Buffer.from(data).toString();
    this.#notify(() => this.#deps.events.onFrame(this, text));
  }

  /** uWebSockets.js has already sent the pong. A peer that sends pings without reading accumulates unsent pongs. */
  onPing(payloadBytes: number): void {
    if (this.#closedWith === null && !this.#endIfTooSlow()) this.onAlive(payloadBytes);
  }

  /** A ping or a pong. */
  onAlive(payloadBytes: number): void {
    if (this.#closedWith === null && !this.#endIfTooMuch(payloadBytes)) this.#notify(() => this.#deps.events.onPong(this));
  }

  /** Counts a frame, and closes the socket if its peer has sent too much before `identified`; returns whether it did. */
  #endIfTooMuch(payloadBytes: number): boolean {
    if (this.#unidentifiedBytes === null) return false;
    this.#unidentifiedBytes += FRAME_HEADER_BYTES + payloadBytes;
    const { unidentifiedBytesMax } = this.#deps;
    if (this.#unidentifiedBytes <= unidentifiedBytesMax) return false;
    this.close(CLOSE_CODES.tooLarge, `at most ${unidentifiedBytesMax} bytes before identify`);
    return true;
  }

  onClosed(code: number): void {
    const gone = (this.#closedWith ??= code);
    queueMicrotask(() => {
      this.#deps.forget();
      this.#notify(() => this.#deps.events.onGone(this, gone));
    });
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
