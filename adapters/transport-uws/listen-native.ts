/**
 * Listening with uWebSockets.js. It reports only success or failure, and it sets SO_REUSEPORT, so that two hubs of the same user on one
 * port would each get half of the connections. (With exclusive use, the next hub could not listen for the minute in which old
 * connections are in TIME_WAIT.) So a Node server listens first, which does not share the port and reports errors, and is closed again.
 * Only a hub that starts in that moment goes undetected.
 */
import { lookup } from 'node:dns/promises';
import { createServer, isIP, type AddressInfo } from 'node:net';
import { listenFailure } from '../kit/listen-failure.ts';
import type { UwsApp, UwsListenSocket } from './uws-package.ts';

/** A listening port. */
export interface ListeningPort {
  readonly socket: UwsListenSocket;
  /** Listens on it with another app, too. Throws if that fails. */
  listenToo(app: UwsApp): UwsListenSocket;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `LIBUS_LISTEN_DEFAULT` of the package, which does not export it. */
const LISTEN_DEFAULT = 0;

/** Listens on the address. Rejects with `AC_PORT_BUSY` or `AC_LISTEN`. */
export const listenNative = async (app: UwsApp, { host, port }: ListenAddress): Promise<ListeningPort> => {
  try {
    // Resolves a name as Node does; uWebSockets.js would use the first address of any family.
    const address = isIP(host) === 0 ? (await lookup(host)).address : host;
    const free = await freePort({ host: address, port });
    return { socket: listenOnce(app, address, free), listenToo: (another) => listenOnce(another, address, free) };
  } catch (thrown) {
    app.close();
    throw listenFailure(thrown, { host, port });
  }
};

/**
 * Checks that the port is free; resolves to it, or to a free one for 0. (If uWebSockets.js chose the free port itself, it would block
 * the next `listen` on that port.) Rejects with the error of a Node server if the address cannot be used.
 */
const freePort = (address: ListenAddress): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    // For an invalid port number, Node throws instead of emitting an error; that rejects, too.
    probe.listen(address, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });

const listenOnce = (app: UwsApp, host: string, port: number): UwsListenSocket => {
  let listening: UwsListenSocket | false = false;
  // Calls back synchronously.
  app.listen(host, port, LISTEN_DEFAULT, (socket) => (listening = socket));
  if (listening === false) throw new Error('uWebSockets.js failed to listen on an address that can be listened on');
  return listening;
};
