/** The client's address: the socket's peer, or the one that a trusted proxy names. */

/** `::ffff:1.2.3.4` is the IPv4 address that a dual-stack socket shows. */
const MAPPED_V4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/;
/** `[::1]:80`, `[::1]` and `1.2.3.4:80`: some proxies add the port. */
const BRACKETED = /^\[([^\]]*)\](?::\d+)?$/;
const V4_WITH_PORT = /^([\d.]+):\d+$/;
/** Almost every address: it is in its plainest form already. */
const PLAIN_V4 = /^[\d.]+$/;
/** The longest spelling of an IPv6 address. */
const ADDRESS_CHARACTERS_MAX = 45;

/** One spelling for one address: lower case, no brackets, port or zone, mapped IPv4 as IPv4. */
export function plainAddress(address: string): string {
  if (PLAIN_V4.test(address)) return address;
  const given = address.trim().toLowerCase();
  const bare = (BRACKETED.exec(given)?.[1] ?? V4_WITH_PORT.exec(given)?.[1] ?? given).replace(/%.*$/, '');
  return MAPPED_V4.exec(bare)?.[1] ?? bare;
}

/**
 * The nearest address that is not a trusted proxy: `x-forwarded-for` is read from its end, and no further than the first
 * untrusted address, which could have made up everything before it.
 */
export function clientAddress(peer: string, forwardedFor: string | null, trustedProxies: readonly string[]): string {
  if (trustedProxies.length === 0) return plainAddress(peer);
  const trusted = new Set(trustedProxies.map(plainAddress));
  const hops = forwardedFor === null ? [] : forwardedFor.split(',').map(plainAddress);
  let address = plainAddress(peer);
  while (trusted.has(address)) {
    const next = hops.pop();
    if (next === undefined || next === '' || next.length > ADDRESS_CHARACTERS_MAX) return address;
    address = next;
  }
  return address;
}

const V6_GROUPS = 8;
/** A household or a server usually has a whole /64, so only its first four groups count. */
const V6_NETWORK_GROUPS = 4;

/** The key by which failures are counted: an IPv4 address, or the /64 of an IPv6 one. */
export function addressGroup(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, V6_GROUPS - before.length - after.length);
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${groups
    .slice(0, V6_NETWORK_GROUPS)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
