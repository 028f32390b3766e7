/**
 * Listening with uWebSockets.js. It says only whether it could, and it shares a port with whoever else of this user shares
 * it: two hubs would each get half of the connections. (Asked not to share, it also forbids the address to the next hub for
 * the minute that the system remembers old connections.) So Node is asked for the address first, which shares with nobody
 * and says what is wrong, and leaves it again; only a hub that starts within that moment is not seen.
 */
import { lookup } from 'node:dns/promises';
import { createServer, isIP, type AddressInfo } from 'node:net';
import { listenFailure } from '../kit/listen-failure.ts';
import type { UwsApp, UwsListenSocket } from './uws-package.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What the package calls `LIBUS_LISTEN_DEFAULT`, without exporting it. */
const LISTEN_DEFAULT = 0;

/** Listens on that address, or fails with `AC_PORT_BUSY` or `AC_LISTEN`. */
export const listenNative = async (app: UwsApp, { host, port }: ListenAddress): Promise<UwsListenSocket> => {
  try {
    // A name becomes the address that Node would take; uWebSockets.js takes the first of any family.
    const at = isIP(host) === 0 ? (await lookup(host)).address : host;
    return listenOnce(app, at, await freePort({ host: at, port }));
  } catch (thrown) {
    app.close();
    throw listenFailure(thrown, { host, port });
  }
};

/**
 * The port, or a free one for 0 (of those that the system picks for it, uWebSockets.js would block the next listening on the
 * same). Fails as Node's own servers do when the address cannot be had.
 */
const freePort = (address: ListenAddress): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    // Node throws, and does not emit, on a port that cannot be one: that rejects, too.
    probe.listen(address, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });

const listenOnce = (app: UwsApp, host: string, port: number): UwsListenSocket => {
  let got: UwsListenSocket | false = false;
  // It calls back before it returns.
  app.listen(host, port, LISTEN_DEFAULT, (socket) => (got = socket));
  if (got === false) throw new Error('uWebSockets.js could not, though the address is free');
  return got;
};
