/** The sidecar's WebSocket client: at most one connection to a hub. */
export interface HubLink {
  /**
   * Starts connecting. MUST NOT throw or call back synchronously.
   * MUST call `onGone` exactly once, even if the connection cannot be established, unless `destroy` was called before.
   */
  connect(target: { readonly url: string; readonly frameBytesMax: number }, events: LinkEvents): LinkConnection;
}

/** MUST deliver frames in order; MUST NOT deliver anything before `onOpen` or after `onGone` or `destroy`. */
export interface LinkEvents {
  onOpen(): void;
  onFrame(text: string): void;
  /** A sent frame no longer counts towards `bufferedBytes`. MUST NOT be called synchronously from `send`. */
  onTaken(): void;
  /** The connection is closed. `code`: the WebSocket close code; 1006 if there was no close frame or no connection. */
  onGone(code: number, reason: string): void;
}

/** A requested connection, open or not. */
export interface LinkConnection {
  /** Sends a text frame. Returns false if it can no longer be sent. MUST NOT throw. */
  send(text: string): boolean;
  /** Bytes of sent frames that the socket has not accepted yet. */
  bufferedBytes(): number;
  /**
   * Stops reading from the socket until `resume`; frames already read are still delivered. A link that cannot do this omits both
   * methods. MUST NOT throw, and MUST do nothing once the connection is closed.
   */
  pause?(): void;
  resume?(): void;
  /** Closes the connection at once. Nothing is delivered afterwards, not even `onGone`. Idempotent. */
  destroy(): void;
  /**
   * Like `destroy`, but first sends what still waits and a close frame with 1001, which notifies the hub that no process of this agent
   * follows soon. A link without close frames omits it.
   */
  leave?(): void;
}
