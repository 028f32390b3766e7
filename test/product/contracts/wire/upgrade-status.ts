/** Asking for a socket by hand. */
import { request } from 'node:http';

/** Asks for an upgrade by node:http, and lets go of the socket if it gets one. */
export const upgradeStatus = (url: string, origin?: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      ...(origin === undefined ? {} : { origin }),
    };
    const asking = request(url.replace('ws:', 'http:'), { headers, agent: false });
    asking.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    asking.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asking.on('error', reject);
    asking.end();
  });
