/** Which names a request may have in Host and Origin. This protects a hub on loopback from web pages. */
import { isIP } from 'node:net';

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

/** How many accepted values of Host are remembered, so that the next request with one of them is not parsed again. */
const REMEMBERED_MAX = 64;

export interface NamedHeaders {
  readonly host: string | undefined;
  readonly origin: string | undefined;
}

/**
 * Host must be a loopback name, the listen host, a configured name, or an IP address (which a foreign name that is rebound to this hub is not).
 * Origin, if a browser sends one, must be one of the names; being an IP address is not enough there.
 */
export function allowedOrigins(listenHost: string, names: readonly string[]): (headers: NamedHeaders) => boolean {
  const known = new Set([...LOOPBACK, listenHost, ...names].map((name) => name.toLowerCase()));
  const accepted = new Set<string>();
  const acceptsHost = (host: string): boolean => {
    if (accepted.has(host)) return true;
    const hostName = hostNameOf(`http://${host}`);
    if (hostName === null || !(known.has(hostName) || isIP(hostName) !== 0)) return false;
    if (accepted.size === REMEMBERED_MAX) accepted.clear();
    accepted.add(host);
    return true;
  };
  return ({ host, origin }) => {
    if (host === undefined || !acceptsHost(host)) return false;
    if (origin === undefined) return true;
    const originName = hostNameOf(origin);
    return originName !== null && known.has(originName);
  };
}

/** The host name of an address, without port and brackets; null if it is not an address. */
function hostNameOf(address: string): string | null {
  if (!URL.canParse(address)) return null;
  return new URL(address).hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1');
}
