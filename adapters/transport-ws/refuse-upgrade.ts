/** The HTTP response to a refused upgrade. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';
import type { WsSettings } from './settings.ts';

/** What `ws` accepts, sent to a client that wants another version (RFC 6455, section 4.4). */
const VERSIONS = 'Sec-WebSocket-Version: 13, 8';

/** Refuses the upgrades that `ws` finds invalid, with its statuses. By itself, it would wait until the peer has read everything. */
export const refuseInvalid = (upgrader: WebSocketServer, settings: Pick<WsSettings, 'closeWithinMs'>): void => {
  upgrader.on('wsClientError', ({ message }, stream, { method }) =>
    refuseUpgrade(stream, { status: method === 'GET' ? 400 : 405, reason: message }, settings, [VERSIONS]),
  );
};

/**
 * Responds with the refusal and closes the connection, within `closeWithinMs` even if the peer reads nothing: an upgrade ends the time limits
 * of HTTP.
 */
export const refuseUpgrade = (
  socket: Duplex,
  refusal: { readonly status: number; readonly reason: string },
  { closeWithinMs }: Pick<WsSettings, 'closeWithinMs'>,
  headers: readonly string[] = [],
): void => {
  const text = `${refusal.reason}\n`;
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...(refusal.status === 503 ? ['Retry-After: 1'] : []),
    ...headers,
  ];
  const deadline = setTimeout(() => socket.destroy(), closeWithinMs);
  socket.once('close', () => clearTimeout(deadline));
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
};
