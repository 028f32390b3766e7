/** The sidecar's end of the wire: one connection to a hub at a time. */
export interface HubLink {
  /**
   * Begins to connect. MUST NOT throw and MUST NOT call back from inside this call.
   * MUST call `onGone` exactly once, also when the connection could not be made, unless destroyed before.
   */
  connect(target: { readonly url: string; readonly frameBytesMax: number }, events: LinkEvents): LinkConnection;
}

/** MUST deliver frames in the order sent; MUST NOT deliver anything before `onOpen` or after `onGone` or `destroy`. */
export interface LinkEvents {
  onOpen(): void;
  onFrame(text: string): void;
  /** A frame that was sent does not count in `bufferedBytes` any more. MUST NOT be called from inside `send`. */
  onTaken(): void;
  /** `code` is the WebSocket close code, 1006 when there was no close frame or no connection. */
  onGone(code: number, reason: string): void;
}

export interface LinkConnection {
  /** MUST NOT throw; answers `false` when the frame cannot go out any more. */
  send(text: string): boolean;
  bufferedBytes(): number;
  /** Ends it at once; nothing of it is delivered any more, not even `onGone`. Twice is fine. */
  destroy(): void;
}
