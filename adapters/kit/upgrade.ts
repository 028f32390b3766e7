/** Decides which upgrades are accepted, the same for every transport. */
import type { ListenOptions } from '../../core/ports/hub-transport.ts';

/** Where sidecars connect. */
const SOCKET_PATH = '/ws';
/** A `Sec-WebSocket-Key`: 16 bytes in base64. */
export const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{22}==$/;

/** An upgrade request, and the state of the transport. */
export interface UpgradeRequest {
  /** The path, without the query. */
  readonly path: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** Whether the transport refuses new connections, after `refuseNew`. */
  readonly isRefusing: boolean;
  readonly socketsOpen: number;
}

/** The HTTP response to a refused upgrade; `reason` is its text. After a 503 the client may retry soon. */
export interface UpgradeRefusal {
  readonly status: 403 | 404 | 503;
  readonly reason: 'wrong path' | 'stopping' | 'foreign origin or host' | 'sockets full';
}

/** Why this upgrade is refused; null if it is accepted. */
export function decideUpgrade(
  request: UpgradeRequest,
  { socketsMax, isAllowedOrigin }: Pick<ListenOptions, 'socketsMax' | 'isAllowedOrigin'>,
): UpgradeRefusal | null {
  if (request.path !== SOCKET_PATH) return { status: 404, reason: 'wrong path' };
  if (request.isRefusing) return { status: 503, reason: 'stopping' };
  if (!isAllowedOrigin({ host: request.host, origin: request.origin })) return { status: 403, reason: 'foreign origin or host' };
  if (request.socketsOpen >= socketsMax) return { status: 503, reason: 'sockets full' };
  return null;
}
