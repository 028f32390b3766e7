/** The hub's end of the wire: one listening port that carries the sidecars' sockets (path `/ws`) and the HTTP API. */
import type { HttpHandler } from './http.ts';

export interface HubTransport {
  readonly name: string;
  readonly capabilities: {
    /** The close code a peer sees for a frame over the limit. */
    readonly tooLargeCode: 1009 | 1006;
    /** It listens on a TCP port, which any program may connect to. */
    readonly tcp: boolean;
    /** A frame without a mask, which no client may send, closes its socket. A transport that does not look reads it as a garbled one. */
    readonly checksMask: boolean;
  };

  /**
   * Listens and answers the port it got.
   * MUST fail with `AC_PORT_BUSY` when the port is taken and with `AC_LISTEN` for any other reason, naming the address.
   * MUST be safe to call once only; a second call without `close` between is `AC_INTERNAL`.
   */
  listen(options: ListenOptions, events: TransportEvents): Promise<{ readonly port: number }>;

  /** Refuses new connections and requests from now on; those that are open go on. */
  refuseNew(): void;

  /**
   * Closes every socket with `code`, stops listening, and answers when the port is free and every `onGone` was called.
   * MUST be safe twice, at once and before `listen`, and MUST NOT wait over 5 s for peers that do not answer.
   */
  close(code: number, reason: string): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Frames over it close their socket. */
  readonly frameBytesMax: number;
  /**
   * Bytes that a peer may send before `identified` is called: with more its socket is closed with 1009, in the middle of a frame too. A
   * transport that sees whole frames only MAY look at these alone.
   */
  readonly unidentifiedBytesMax: number;
  /** Sockets open at once; more are refused with 503. */
  readonly socketsMax: number;
  /**
   * Bytes waiting in one socket before it is closed with 1013. What a transport answers by itself, such as pongs, counts;
   * it MAY bound these sooner, and cut the connection.
   */
  readonly socketQueueBytesMax: number;
  readonly http: HttpHandler;
  /** Host and Origin names that an upgrade may carry; an upgrade with another Origin or Host gets 403. */
  readonly isAllowedOrigin: (headers: { readonly host: string | undefined; readonly origin: string | undefined }) => boolean;
}

/**
 * MUST deliver the frames of one connection in the order they arrived, and MUST NOT deliver one before `onOpen` or after
 * `onGone`. MUST call `onGone` exactly once for each opened connection, with 1009 for a frame over the limit, also where the
 * peer sees another code.
 */
export interface TransportEvents {
  onOpen(connection: HubConnection): void;
  /** A text frame. A binary frame closes the socket with 1003 instead. */
  onFrame(connection: HubConnection, text: string): void;
  /** Any sign of life below frames, such as a pong. */
  onPong(connection: HubConnection): void;
  /** `code` is what closed it: ours if we closed first, also when the peer never answered, else the peer's, else 1006. */
  onGone(connection: HubConnection, code: number): void;
}

export interface HubConnection {
  /** Names it among all connections that this transport ever had. */
  readonly id: number;
  readonly remoteAddress: string;
  /** The upgrade's `x-forwarded-for`, as given; null without one. */
  readonly forwardedFor: string | null;
  /**
   * Sends a text frame after those sent before. MUST NOT throw; a socket that is gone answers `false`.
   */
  send(text: string): boolean;
  /** A ping of the socket layer. MUST NOT throw. */
  ping(): void;
  /** Its peer has said who it is, and may send as much as it likes from now on. */
  identified(): void;
  /** Bytes sent by us that the socket has not taken yet. */
  bufferedBytes(): number;
  /**
   * Reads nothing more from the socket until `resume`; what it has read by then is still delivered. A transport that cannot do
   * that leaves both out. MUST NOT throw; a socket that is gone does nothing.
   */
  pause?(): void;
  resume?(): void;
  /** Closes; nothing but `onGone` follows. MUST NOT take over 2 s, whatever the peer does. Twice is fine. */
  close(code: number, reason: string): void;
}
