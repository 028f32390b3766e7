/** Which connections may become sockets of a hub, whatever transport asks. */
import type { ListenOptions } from '../../core/ports/hub-transport.ts';

/** Where sidecars connect. */
export const SOCKET_PATH = '/ws';

/** What the request for a socket says, and how the transport stands. */
export interface UpgradeAsked {
  /** The path, without the query. */
  readonly path: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** Whether the transport was told to refuse what is new. */
  readonly isRefusing: boolean;
  readonly socketsOpen: number;
}

/** The HTTP answer to an upgrade that is refused; `reason` is its text. A 503 may be tried again soon. */
export interface UpgradeRefusal {
  readonly status: 403 | 404 | 503;
  readonly reason: 'wrong path' | 'stopping' | 'foreign origin or host' | 'sockets full';
}

/** Why this upgrade is refused; null when it may go on. */
export function decideUpgrade(
  asked: UpgradeAsked,
  { socketsMax, isAllowedOrigin }: Pick<ListenOptions, 'socketsMax' | 'isAllowedOrigin'>,
): UpgradeRefusal | null {
  if (asked.path !== SOCKET_PATH) return { status: 404, reason: 'wrong path' };
  if (asked.isRefusing) return { status: 503, reason: 'stopping' };
  if (!isAllowedOrigin({ host: asked.host, origin: asked.origin })) return { status: 403, reason: 'foreign origin or host' };
  if (asked.socketsOpen >= socketsMax) return { status: 503, reason: 'sockets full' };
  return null;
}
