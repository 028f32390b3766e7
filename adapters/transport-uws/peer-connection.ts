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

/** What the connections of a port share. */
export interface ConnectionParts {
  readonly socketQueueBytesMax: number;
  readonly unidentifiedBytesMax: number;
  readonly events: TransportEvents;
  readonly log: Log;
  /** Called when one is gone, before `onGone`. */
  readonly forget: () => void;
}

/** What is kept of the request that became a socket. */
export interface Peer {
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
}

/** One object without functions of its own: there are thousands, and most never say anything. */
export class UwsConnection implements HubConnection {
  readonly id: number;
  readonly remoteAddress: string;
  readonly forwardedFor: string | null;
  readonly #parts: ConnectionParts;
  readonly #socket: UwsSocket;
  /** The code of whoever closed first; null while open. The socket must not be touched after that. */
  #closedWith: number | null = null;
  /** What it has sent before it has said who it is; null after. */
  #unidentifiedBytes: number | null = 0;

  constructor(id: number, socket: UwsSocket, { remoteAddress, forwardedFor }: Peer, parts: ConnectionParts) {
    this.id = id;
    this.remoteAddress = remoteAddress;
    this.forwardedFor = forwardedFor;
    this.#parts = parts;
    this.#socket = socket;
  }

  send(text: string): boolean {
    if (this.#closedWith !== null) return false;
    this.#socket.send(text);
    return !this.#endIfTooSlow();
  }

  /** Whether more waits than may, in which case the socket is closed. */
  #endIfTooSlow(): boolean {
    const waitingBytes = this.#socket.getBufferedAmount();
    const { socketQueueBytesMax } = this.#parts;
    if (waitingBytes <= socketQueueBytesMax) return false;
    const { remoteAddress } = this;
    this.#log().warn('A socket takes too little and is closed.', { remoteAddress, waitingBytes, socketQueueBytesMax });
    // A close frame would stand behind all that waits, which is let go at once this way.
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

  /** Reports it open; first of all. */
  onOpen(): void {
    this.#tell(() => this.#parts.events.onOpen(this));
  }

  onMessage(data: ArrayBuffer, isBinary: boolean): void {
    if (this.#closedWith !== null) return;
    if (isBinary) return this.close(CLOSE_CODES.notText, 'text frames only');
    if (this.#unidentifiedBytes !== null) {
      this.#unidentifiedBytes += data.byteLength;
      const { unidentifiedBytesMax } = this.#parts;
      if (this.#unidentifiedBytes > unidentifiedBytesMax)
        return this.close(CLOSE_CODES.tooLarge, `at most ${unidentifiedBytesMax} bytes before identify`);
    }
    // The memory is uWebSockets.js's own; the text is a copy.
    const text = Buffer.from(data).toString();
    this.#tell(() => this.#parts.events.onFrame(this, text));
  }

  /** uWebSockets.js has answered it: a peer that pings and reads nothing piles up pongs. */
  onPing(): void {
    if (this.#closedWith === null && !this.#endIfTooSlow()) this.onAlive();
  }

  /** A ping or a pong. */
  onAlive(): void {
    if (this.#closedWith === null) this.#tell(() => this.#parts.events.onPong(this));
  }

  onClosed(code: number): void {
    const gone = (this.#closedWith ??= code);
    queueMicrotask(() => {
      this.#parts.forget();
      this.#tell(() => this.#parts.events.onGone(this, gone));
    });
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
