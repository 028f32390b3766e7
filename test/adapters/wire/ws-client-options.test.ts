/** How our WebSocket clients mask their frames. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { wsClientOptions } from '../../../adapters/kit/ws-client-options.ts';

/** The first frame as it comes over the wire, from a client with the options for `address`. */
async function firstFrame(
  text: string,
  address: string,
): Promise<{ readonly mask: Buffer; readonly payload: Buffer; readonly read: string }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  try {
    await once(server, 'listening');
    const { port } = server.address() as { readonly port: number };
    const client = new WebSocket(`ws://127.0.0.1:${port}`, wsClientOptions(new URL(address), {}));
    const [connection, request] = (await once(server, 'connection')) as [WebSocket, { readonly socket: Socket }];
    const message = once(connection, 'message');
    // Copied before the server unmasks it in place.
    const frame = new Promise<Buffer>((resolve) => {
      request.socket.prependOnceListener('data', (bytes: Buffer) => resolve(Buffer.from(bytes)));
    });
    if (client.readyState !== WebSocket.OPEN) await once(client, 'open');
    client.send(text);
    const bytes = await frame;
    const [read] = (await message) as [Buffer];
    client.terminate();
    return { mask: bytes.subarray(2, 6), payload: bytes.subarray(6), read: read.toString() };
  } finally {
    server.close();
  }
}

t.test('on loopback the mask of a frame is zero, so that neither side has to apply it', async (t) => {
  const { mask, payload, read } = await firstFrame('{"type":"ping"}', 'ws://localhost/ws');
  t.strictSame([...mask], [0, 0, 0, 0]);
  t.equal(payload.toString(), '{"type":"ping"}');
  t.equal(read, '{"type":"ping"}');
});

t.test('where a proxy may read frames, they are masked', async (t) => {
  const { mask, payload, read } = await firstFrame('{"type":"ping"}', 'ws://hub.example/ws');
  t.notSame([...mask], [0, 0, 0, 0]);
  t.not(payload.toString(), '{"type":"ping"}');
  t.equal(read, '{"type":"ping"}');
});

t.test('which addresses need no mask', async (t) => {
  const isMasked = (url: string): boolean => wsClientOptions(new URL(url), {}).generateMask === undefined;
  for (const url of ['wss://hub.example/ws', 'wss://10.0.0.1/ws', 'ws://127.0.0.1:8787/ws', 'ws://[::1]/ws', 'ws://localhost/ws'])
    t.notOk(isMasked(url), url);
  for (const url of ['ws://hub.example/ws', 'ws://10.0.0.1/ws', 'ws://127.0.0.1.example/ws', 'ws://[fd00::1]/ws']) t.ok(isMasked(url), url);
});
