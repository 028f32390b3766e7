/** Requests a WebSocket upgrade by hand. */
import { requestTo } from './wire-address.ts';

/** Requests an upgrade with node:http, and releases the socket if it gets one. `ca`: for a `wss:` address. */
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
