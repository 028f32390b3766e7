/** The HTTP response to a refused upgrade. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WsSettings } from './settings.ts';

/**
 * Responds with the refusal and closes the connection, within `closeWithinMs` even if the peer reads nothing: an upgrade ends the time limits
 * of HTTP.
 */
export const refuseUpgrade = (
  socket: Duplex,
  refusal: { readonly status: number; readonly reason: string },
  { closeWithinMs }: Pick<WsSettings, 'closeWithinMs'>,
): void => {
  const text = `${refusal.reason}\n`;
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...(refusal.status === 503 ? ['Retry-After: 1'] : []),
  ];
  const deadline = setTimeout(() => socket.destroy(), closeWithinMs);
  socket.once('close', () => clearTimeout(deadline));
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
};
