/** A minimal server, for the limits: frames are echoed, requests are answered without any work. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { loadUws } from '../../../adapters/transport-uws/uws-package.ts';

const ANSWER = JSON.stringify({ task_id: `task-${'0'.repeat(32)}`, status: 'queued', priority: 'normal', created_at: 0 });

export interface Echo {
  readonly port: number;
  close(): void;
}

export const echo = (transport: string): Promise<Echo> => (transport === 'uws' ? uwsEcho() : wsEcho());

/** `ws` on node's own HTTP server. */
async function wsEcho(): Promise<Echo> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      response.writeHead(201, { 'content-type': 'application/json', 'content-length': ANSWER.length }).end(ANSWER);
    });
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data, { binary: false })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      sockets.close();
      server.close().closeAllConnections();
    },
  };
}

async function uwsEcho(): Promise<Echo> {
  const native = await loadUws();
  const app = native.App();
  app.ws('/*', { message: (socket, data, isBinary) => void socket.send(data, isBinary) });
  app.post('/*', (response) => {
    response.onAborted(() => undefined);
    response.onData((_, isLast) => {
      if (isLast) response.writeStatus('201 Created').writeHeader('content-type', 'application/json').end(ANSWER);
    });
  });
  return new Promise((resolve, reject) => {
    app.listen('127.0.0.1', 0, 0, (socket) => {
      if (socket === false) return reject(new Error('uWebSockets.js could not listen'));
      resolve({ port: native.us_socket_local_port(socket), close: () => native.us_listen_socket_close(socket) });
    });
  });
}
