/** The sidecar's side of the connection to the hub, on `ws`. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket, type ClientOptions, type RawData } from 'ws';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { HubLink, LinkConnection, LinkEvents } from '../../core/ports/hub-link.ts';
import type { Log } from '../../core/ports/log.ts';
import { CLOSE_CODES } from '../../core/protocol/close-codes.ts';
import type { HubTrust } from '../kit/trusted-hub.ts';
import { wsClientOptions } from '../kit/ws-client-options.ts';

const NO_CLOSE_FRAME = 1006;
/** The time limit from the lookup of the name to the open socket. */
const HANDSHAKE_MS = 10_000;
/** How long the hub may take to answer a close before the socket is destroyed. */
const CLOSE_MS = 1_000;
/** How many unsent bytes may wait for a hub that does not read them; above that, the link is given up. */
const QUEUE_BYTES_MAX = 16_777_216;

export interface WsLinkOptions {
  readonly log: Log;
  /** Default 10,000. */
  readonly handshakeMs?: number | undefined;
  /** The address of this machine to connect from; the system chooses without it. */
  readonly localAddress?: string | undefined;
  /** How a hub at a `wss://` address is recognized. */
  readonly trust?: HubTrust | undefined;
}

/** A `HubLink` for `ws://` and `wss://` addresses. Follows no redirects and does not offer compression. */
export const wsLink = ({ log, handshakeMs = HANDSHAKE_MS, localAddress, trust = {} }: WsLinkOptions): HubLink => ({
  connect({ url, frameBytesMax }, events) {
    try {
      // `closeTimeout` is newer than the types of ws.
      const options: ClientOptions & { readonly closeTimeout: number } = {
        ...wsClientOptions(new URL(url), trust),
        maxPayload: frameBytesMax,
        closeTimeout: CLOSE_MS,
        ...(localAddress === undefined ? {} : { localAddress }),
      };
      return follow(new WebSocket(url, options), handshakeMs, events, log);
    } catch (thrown) {
      // The address is invalid.
      return neverOpened(messageOf(thrown), events);
    }
  },
});

/** Error codes of OpenSSL for an answer that is plain HTTP. */
const NO_TLS: ReadonlySet<unknown> = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);
const NO_TLS_TEXT = 'it does not speak TLS there: use ws:// instead of wss://, or set hub.listen.tls';

/** What to do about the status of a refused WebSocket. A hub that is stopping or full answers 503. */
function hintFor(status: number): string {
  if (status === 403) return '. If this is the hub, add the name in the address to its hub.listen.names';
  if (status >= 500 || status === 429) return '';
  return '. The address of a hub ends with /ws. A proxy in front of it must pass on the headers Upgrade and Connection';
}

/** States: connecting, open, gone. Whatever ws emits after gone is dropped; its errors always have a listener. */
const follow = (socket: WebSocket, handshakeMs: number, events: LinkEvents, log: Log): LinkConnection => {
  let isGone = false;
  /** Why it ends, if we know better than the close frame. */
  let cause: { readonly code: number; readonly reason: string } | null = null;

  const endBecause = (code: number, reason: string): void => {
    cause ??= { code, reason };
  };
  const handshake = setTimeout(() => {
    endBecause(NO_CLOSE_FRAME, `the hub did not answer the handshake within ${handshakeMs} ms`);
    socket.terminate();
  }, handshakeMs);

  /** Frames that are sent in one turn of the event loop go out in one write, because a write costs more than the frames in it. */
  let raw: Socket | null = null;
  let isHeld = false;
  const holdWrites = (): void => {
    if (isHeld || raw === null) return;
    const held = raw;
    isHeld = true;
    held.cork();
    process.nextTick(() => {
      isHeld = false;
      held.uncork();
    });
  };

  socket.on('upgrade', (response) => (raw = response.socket));
  socket.on('open', () => {
    clearTimeout(handshake);
    if (!isGone) events.onOpen();
  });
  socket.on('message', (data: RawData, isBinary: boolean) => {
    if (isGone || cause !== null) return;
    if (!isBinary) return events.onFrame(data.toString());
    endBecause(1003, 'the hub sent a binary frame');
    socket.close(1003, 'text frames only');
  });
  socket.on('unexpected-response', (_request, { statusCode = 0 }: IncomingMessage) => {
    endBecause(NO_CLOSE_FRAME, `expected a WebSocket, found HTTP ${statusCode}${hintFor(statusCode)}`);
    socket.terminate();
  });
  socket.on('error', (error: Error & { readonly code?: unknown }) => {
    if (isGone) return;
    const reason = NO_TLS.has(error.code) ? NO_TLS_TEXT : error.message;
    endBecause(error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 1009 : NO_CLOSE_FRAME, reason);
    log.debug('The socket to the hub failed.', { error: error.message });
  });
  socket.on('close', (code: number, reason: Buffer) => {
    clearTimeout(handshake);
    if (isGone) return;
    isGone = true;
    events.onGone(cause?.code ?? code, cause?.reason ?? reason.toString());
  });

  const destroy = (): void => {
    isGone = true;
    clearTimeout(handshake);
    socket.terminate();
  };
  return {
    send(text) {
      if (isGone || cause !== null || socket.readyState !== WebSocket.OPEN) return false;
      if (socket.bufferedAmount > QUEUE_BYTES_MAX) {
        endBecause(NO_CLOSE_FRAME, `over ${QUEUE_BYTES_MAX} bytes waited for the hub to take them`);
        socket.terminate();
        return false;
      }
      holdWrites();
      socket.send(text, (error) => {
        // A failed write ends the socket, which reports that itself.
        if (!isGone && (error === undefined || error === null)) events.onTaken();
      });
      return true;
    },
    bufferedBytes: () => socket.bufferedAmount,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    destroy,
    leave() {
      if (isGone || socket.readyState !== WebSocket.OPEN) return destroy();
      isGone = true;
      socket.close(CLOSE_CODES.leaving, 'stopping');
    },
  };
};

/** A connection that could not even be started; reports that after `connect` has returned. */
const neverOpened = (reason: string, events: LinkEvents): LinkConnection => {
  const notifying = setImmediate(() => events.onGone(NO_CLOSE_FRAME, reason));
  return {
    send: () => false,
    bufferedBytes: () => 0,
    destroy: () => clearImmediate(notifying),
  };
};
