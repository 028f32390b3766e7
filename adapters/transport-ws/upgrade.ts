/** Who may become a socket, and the answer to who may not. */
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ListenOptions } from '../../core/ports/hub-transport.ts';

export const SOCKET_PATH = '/ws';

export interface UpgradeRefusal {
  readonly status: 403 | 404 | 503;
  readonly reason: 'wrong path' | 'stopping' | 'foreign origin or host' | 'sockets full';
}

/** Why this upgrade is refused; null when it may go on. */
export const refusalOf = (
  request: IncomingMessage,
  state: { readonly isRefusing: boolean; readonly socketsOpen: number },
  options: Pick<ListenOptions, 'socketsMax' | 'isAllowedOrigin'>,
): UpgradeRefusal | null => {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path !== SOCKET_PATH) return { status: 404, reason: 'wrong path' };
  if (state.isRefusing) return { status: 503, reason: 'stopping' };
  const { host, origin } = request.headers;
  if (!options.isAllowedOrigin({ host, origin })) return { status: 403, reason: 'foreign origin or host' };
  if (state.socketsOpen >= options.socketsMax) return { status: 503, reason: 'sockets full' };
  return null;
};

/** Answers the upgrade with the refusal and lets the connection go. */
export const refuseUpgrade = (socket: Duplex, refusal: UpgradeRefusal): void => {
  const text = `${refusal.reason}\n`;
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...(refusal.status === 503 ? ['Retry-After: 1'] : []),
  ];
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
};
