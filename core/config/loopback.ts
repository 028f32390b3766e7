/** Loopback host names and addresses. */

const LOOPBACK_V4 = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;

/** Whether `host` (a name or an address, IPv6 with or without brackets) is loopback: it cannot be reached from other machines. */
export function isLoopback(host: string): boolean {
  const bare = host.toLowerCase().replace(/^\[|\]$/g, '');
  return bare === 'localhost' || bare === '::1' || LOOPBACK_V4.test(bare);
}

export interface SocketAddress {
  readonly scheme: 'ws' | 'wss';
  /** As written; an IPv6 address without its brackets. */
  readonly host: string;
}

const SOCKET_ADDRESS =
  /^(wss?):\/\/(?:[^\s/?#@\\]*@)?(\[[0-9a-f:.]+\]|[^\s/?#@:[\]\\]+)(?::(\d{1,5}))?(?:\/[^\s?#\\]*)?\/ws(?:\?[^\s#\\]*)?$/i;
const PORT_MAX = 65_535;

/** Reads `ws://host:port/ws`, with any path before `/ws`; null if it is not the address of a hub's WebSocket. */
export function readSocketAddress(text: string): SocketAddress | null {
  const match = SOCKET_ADDRESS.exec(text);
  const [, scheme, host, port] = match ?? [];
  if (scheme === undefined || host === undefined) return null;
  if (port !== undefined && (Number(port) < 1 || Number(port) > PORT_MAX)) return null;
  return { scheme: scheme.toLowerCase() === 'wss' ? 'wss' : 'ws', host: host.replace(/^\[|\]$/g, '') };
}
