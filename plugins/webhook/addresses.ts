/** Tells private addresses (of this machine or a network behind it) from public ones. */
import { lookup as lookUp } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const PRIVATE_V4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4'],
];
/** Includes all forms that embed an IPv4 address (compatible, mapped, translated, 6to4), which no public name resolves to. */
const PRIVATE_V6 = [
  ...['::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'],
  ...['fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
];

/** Also true for anything that is not an address. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return true;
  return family === 4 ? listV4.check(address, 'ipv4') : listV6.check(address, 'ipv6');
}

/** One per family: a combined list would compare an IPv4 address with the IPv6 ranges too. */
function blockList(ranges: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = '', prefix = ''] = range.split('/');
    list.addSubnet(network, Number(prefix), family);
  }
  return list;
}

const listV4 = blockList(PRIVATE_V4, 'ipv4');
const listV6 = blockList(PRIVATE_V6, 'ipv6');

/** Thrown when a name resolves to a private address. */
export class PrivateAddressError extends Error {}

/**
 * Resolves a name and rejects it if any of its addresses is private. The connection uses the addresses checked here, so
 * a name that resolves differently the second time gains nothing.
 */
export const publicLookup: LookupFunction = (hostname, options, done) => {
  lookUp(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) {
      done(error, []);
      return;
    }
    const refused = addresses.find(({ address }) => isPrivateAddress(address));
    if (refused !== undefined) {
      done(new PrivateAddressError(`"${hostname}" is the private address ${refused.address}`), []);
      return;
    }
    const [first] = addresses;
    if (options.all === true || first === undefined) done(null, addresses);
    else done(null, first.address, first.family);
  });
};
