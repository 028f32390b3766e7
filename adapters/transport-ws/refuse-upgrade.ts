/** The HTTP response to a refused upgrade. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** Responds with the refusal and closes the connection. */
export const refuseUpgrade = (socket: Duplex, refusal: { readonly status: number; readonly reason: string }): void => {
  const text = `${refusal.reason}\n`;
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...(refusal.status === 503 ? ['Retry-After: 1'] : []),
  ];
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
};
