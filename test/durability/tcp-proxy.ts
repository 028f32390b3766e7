/** A network between a sidecar and its hub that can cut connections, refuse them, or go silent without closing anything. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestEnd } from '../apps/app-world.ts';

/** How long a sidecar may take to detect a dead connection and open another, in milliseconds. */
const CONNECTED_WITHIN_MS = 20_000;

export interface TcpProxy {
  readonly port: number;
  /** Waits for a connection opened after this call. */
  nextConnection(): Promise<void>;
  /** Both ends of every connection see it broken; new ones are accepted. */
  cut(): void;
  /** Cuts all connections and refuses new ones. */
  refuse(): Promise<void>;
  /** Every connection, including each new one, stays open, but nothing passes: neither data nor a close. */
  fallSilent(): void;
  /** Open connections go silent; new ones are accepted. */
  freeze(): void;
  /** New connections are accepted again. Silent ones stay silent. */
  restore(): Promise<void>;
}

/** The sidecar's end and the hub's. */
type Pair = readonly [Socket, Socket];

export async function tcpProxy(t: TestEnd, hubPort: number): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  const silent = new Set<Pair>();
  let isSilent = false;
  const server = createServer((client) => {
    const hub = connect(hubPort, '127.0.0.1');
    const pair: Pair = [client, hub];
    pairs.add(pair);
    for (const socket of pair) {
      // A broken connection is what is tested here; the close follows.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        if (!silent.has(pair)) for (const each of pair) each.destroy();
        if (client.destroyed && hub.destroyed) pairs.delete(pair);
      });
    }
    if (isSilent) return silence(pair);
    client.pipe(hub);
    hub.pipe(client);
  });

  /** A socket that is not read reports nothing: whatever arrives, including a close, stays in the system's buffers. */
  const silence = (pair: Pair): void => {
    const [client, hub] = pair;
    silent.add(pair);
    client.unpipe(hub);
    hub.unpipe(client);
    for (const socket of pair) socket.pause();
  };
  const listen = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const cut = (): void => {
    for (const [client, hub] of pairs) for (const socket of [client, hub]) socket.resetAndDestroy();
  };
  const refuse = async (): Promise<void> => {
    const closed = server.listening ? once(server, 'close') : null;
    server.close();
    cut();
    await closed;
  };
  const freeze = (): void => {
    for (const pair of pairs) silence(pair);
  };

  const port = await listen(0);
  t.teardown(refuse);
  return {
    port,
    nextConnection: async () => {
      await once(server, 'connection', { signal: AbortSignal.timeout(CONNECTED_WITHIN_MS) });
    },
    cut,
    refuse,
    freeze,
    fallSilent() {
      isSilent = true;
      freeze();
    },
    async restore() {
      isSilent = false;
      if (!server.listening) await listen(port);
    },
  };
}
