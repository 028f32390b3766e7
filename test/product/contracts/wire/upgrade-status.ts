/** Asking for a socket by hand. */
import { requestTo } from './wire-address.ts';

/** Asks for an upgrade by node:http, and lets go of the socket if it gets one. `ca`: of a `wss:` address. */
export const upgradeStatus = (url: string, origin?: string, ca?: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      ...(origin === undefined ? {} : { origin }),
    };
    const { port, pathname } = new URL(url);
    const asking = requestTo({ port: Number(port), ca }, { path: pathname, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asking.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    asking.on('error', reject);
    asking.end();
  });
