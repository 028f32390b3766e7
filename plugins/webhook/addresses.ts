/** Which addresses are of this machine or of a network behind it, and not of the internet. */
import { lookup as lookUp } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const PRIVATE_V4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4'],
];
/** Also those that stand for an IPv4 address, of whatever network: ::a.b.c.d, mapped, translated, 6to4. A name of the internet has none. */
const PRIVATE_V6 = [
  ...['::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'],
  ...['fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
];

/** True for what is no address at all, too. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return true;
  return family === 4 ? listV4.check(address, 'ipv4') : listV6.check(address, 'ipv6');
}

/** One for each family: a list of both compares an IPv4 address with the IPv6 ranges too. */
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

/** Why a name was not connected to. */
export class PrivateAddressError extends Error {}

/**
 * Looks a name up and refuses it if any of its addresses is private. What is connected to is what was looked at: a name
 * that answers differently the second time gains nothing.
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
