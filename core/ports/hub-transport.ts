/** The hub's server: one TCP port for the WebSockets of sidecars (path `/ws`) and the HTTP API. */
import type { HttpHandler } from './http.ts';

/** The port of a hub: WebSockets for sidecars, and HTTP. */
export interface HubTransport {
  readonly name: string;
  readonly capabilities: {
    /** The close code that the peer receives after a frame over the limit. */
    readonly tooLargeCode: 1009 | 1006;
    /** Whether it listens on a TCP port, to which any program can connect. */
    readonly tcp: boolean;
    /**
     * Whether it closes a WebSocket on an unmasked frame, which the protocol does not allow clients to send. Otherwise it reads such a
     * frame as garbage.
     */
    readonly checksMask: boolean;
    /**
     * Whether it sees only whole frames, so that an unidentified peer can make it hold one of up to `frameBytesMax` that never ends. The
     * hub then accepts fewer unidentified connections.
     */
    readonly wholeFrames?: boolean;
    /** Whether it serves HTTPS and WSS with the certificate that it is created with. */
    readonly tls?: boolean;
    /** Whether it can refuse TLS 1.2. */
    readonly tls13Only?: boolean;
  };

  /**
   * Starts listening. Resolves to the port.
   * MUST reject with `AC_PORT_BUSY` if another process uses the port and with `AC_LISTEN` for any other reason, naming the address.
   * MUST reject a second call without a `close` in between with `AC_INTERNAL`.
   */
  listen(options: ListenOptions, events: TransportEvents): Promise<{ readonly port: number }>;

  /** Responds with 503 to new upgrades and requests from now on. Open WebSockets and running requests continue. */
  refuseNew(): void;

  /**
   * Closes every WebSocket with `code` and stops listening. Resolves when the port is free and every `onGone` was called.
   * MUST be safe to call twice, concurrently, and before `listen`. MUST NOT wait more than 5 s for peers that do not answer.
   */
  close(code: number, reason: string): Promise<void>;
}

/** A certificate with its chain, and its private key, in PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/** The certificate of a port that serves TLS. Its files may be replaced while the port is open. */
export interface PortCertificate {
  /** Absolute; for a server that reads the files itself. */
  readonly certFile: string;
  readonly keyFile: string;
  /** An older version MUST be refused. */
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** The pair that is served, or will be. */
  current(): CertificatePair;
  /**
   * Calls `listener` with each new valid pair that is found in the files, until the returned function is called. The listener returns
   * whether new connections get that pair from now on.
   */
  onRenewed(listener: (pair: CertificatePair) => boolean): () => void;
}

/** What a transport listens on, and the limits that it enforces. */
export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** A larger frame closes its WebSocket. */
  readonly frameBytesMax: number;
  /**
   * Bytes that a peer may send before `identified` is called. More closes its WebSocket with 1009, even in the middle of a frame. A
   * transport that sees only whole frames MAY count only whole frames.
   */
  readonly unidentifiedBytesMax: number;
  /** WebSockets open at once. Further upgrades get 503. */
  readonly socketsMax: number;
  /**
   * Unsent bytes of one WebSocket above which it is closed with 1013 instead of sending its next frame: a frame of any size may be sent
   * if little waits. What the transport sends by itself, such as pongs, counts too; the transport MAY limit that further, and destroy
   * the connection.
   */
  readonly socketQueueBytesMax: number;
  readonly http: HttpHandler;
  /** Whether these headers are allowed for an upgrade. If not, it gets 403. */
  readonly isAllowedOrigin: (headers: { readonly host: string | undefined; readonly origin: string | undefined }) => boolean;
  /**
   * Receives each upgrade that the transport accepts, and answers it at once or later. The transport MUST call the returned function if
   * the peer disconnects first, and SHOULD disconnect a peer that sends anything before the answer. Without it, upgrades open at once; a
   * transport without TCP MAY ignore it.
   */
  readonly admit?: (upgrade: PendingUpgrade) => () => void;
  /** How many upgrades `admit` leaves unanswered at most: they do not count towards other limits of connections. Default 0. */
  readonly pendingUpgradesMax?: number;
}

/** An upgrade that is not answered yet. Its methods MUST NOT throw, and do nothing once it is answered or its peer is gone. */
export interface PendingUpgrade extends Pick<HubConnection, 'remoteAddress' | 'forwardedFor'> {
  /**
   * Accepts it: `onOpen` is called at once or, after `admit` has returned, in this turn of the event loop. If the transport can no longer
   * accept it, the peer gets 503 instead.
   */
  open(): void;
  /** Responds with 503. */
  refuse(reason: string): void;
}

/**
 * Called by the transport. It MUST deliver the frames of one connection in the order of their arrival, and MUST NOT deliver any before
 * `onOpen` or after `onGone`. It MUST call `onGone` exactly once for each opened connection: with 1009 after a frame over the limit, even
 * if the peer receives another code (`tooLargeCode`).
 */
export interface TransportEvents {
  onOpen(connection: HubConnection): void;
  /** A text frame. A binary frame closes the WebSocket with 1003 instead. */
  onFrame(connection: HubConnection, text: string): void;
  /** A control frame arrived, such as a pong: the connection is alive. */
  onPong(connection: HubConnection): void;
  /**
   * The connection is closed. `code`: ours if we closed it first, even if the peer never answered; otherwise the peer's; 1006 if there
   * was none.
   */
  onGone(connection: HubConnection, code: number): void;
}

/** The hub's end of one WebSocket. */
export interface HubConnection {
  /** Unique among all connections that this transport ever had. */
  readonly id: number;
  readonly remoteAddress: string;
  /** The `x-forwarded-for` header of the upgrade, as received; null if there is none. */
  readonly forwardedFor: string | null;
  /** Queues a text frame, after those sent before. Returns false if the connection is closed or closing. MUST NOT throw. */
  send(text: string): boolean;
  /** Sends a WebSocket ping. MUST NOT throw. */
  ping(): void;
  /** The peer has identified itself: `unidentifiedBytesMax` no longer applies. */
  identified(): void;
  /** Bytes that we sent and the operating system has not accepted yet. */
  bufferedBytes(): number;
  /**
   * Stops reading from the socket until `resume`; frames already read are still delivered. A transport that cannot do this omits both
   * methods. MUST NOT throw, and MUST do nothing once the connection is closed.
   */
  pause?(): void;
  resume?(): void;
  /** Closes the connection; nothing but `onGone` follows. MUST NOT take more than 2 s, whatever the peer does. Idempotent. */
  close(code: number, reason: string): void;
}
