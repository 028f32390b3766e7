/** The sidecar's end of the wire: at most one connection to a hub. */
export interface HubLink {
  /**
   * Starts connecting. MUST NOT throw or call back synchronously.
   * MUST call `onGone` exactly once, even if the connection cannot be made, unless destroyed before.
   */
  connect(target: { readonly url: string; readonly frameBytesMax: number }, events: LinkEvents): LinkConnection;
}

/** MUST deliver frames in order; MUST NOT deliver anything before `onOpen` or after `onGone` or `destroy`. */
export interface LinkEvents {
  onOpen(): void;
  onFrame(text: string): void;
  /** A sent frame no longer counts towards `bufferedBytes`. MUST NOT be called from inside `send`. */
  onTaken(): void;
  /** `code` is the WebSocket close code; 1006 if there was no close frame or no connection. */
  onGone(code: number, reason: string): void;
}

export interface LinkConnection {
  /** MUST NOT throw; returns `false` if the frame can no longer be sent. */
  send(text: string): boolean;
  bufferedBytes(): number;
  /** Closes the connection at once; nothing is delivered afterwards, not even `onGone`. Idempotent. */
  destroy(): void;
}
