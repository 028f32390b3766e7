/** A network between a hub and its Postgres that can intervene at the very moment of a COMMIT. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';

/** The COMMIT in flight. */
export interface CommitOnItsWay {
  /** Forwards it to the server, and resolves once the server has answered. The answer is not forwarded. */
  deliver(): Promise<void>;
  /** Forwards it to the server, if the connection still accepts data. */
  send(): void;
  /** The client sees its connection broken; the server does not. */
  cutClient(): void;
  /** The server sees the connection broken. */
  cutServer(): void;
}

export interface CommitProxy {
  /** The server's address, through this proxy. */
  readonly url: string;
  /** Catches the next COMMIT; the others pass. */
  catchCommit(): Promise<CommitOnItsWay>;
  /** Everything sent from now on, on any connection, is dropped, and nothing is closed. */
  fallSilent(): void;
}

/** A commit as the pg package sends it: a simple query, or the statement that saves a whole batch. */
const COMMITS = ['COMMIT\0', '\0saveBatch\0'];

export async function commitProxy(t: Test, serverUrl: string): Promise<CommitProxy> {
  const sockets = new Set<Socket>();
  const target = new URL(serverUrl);
  let caught: ((commit: CommitOnItsWay) => void) | null = null;
  let isSilent = false;
  const proxy = createServer((client) => {
    const server = connect(Number(target.port), target.hostname);
    let withhold: (() => void) | null = null;
    for (const socket of [client, server]) {
      sockets.add(socket);
      // A broken connection is what is tested here.
      socket.on('error', () => socket.destroy());
    }
    client.on('data', (chunk: Buffer) => {
      if (isSilent) return;
      if (caught === null || !COMMITS.some((text) => chunk.includes(text))) return void server.write(chunk);
      const tell = caught;
      caught = null;
      tell({
        async deliver() {
          const answered = new Promise<void>((resolve) => (withhold = resolve));
          server.write(chunk);
          await answered;
        },
        send: () => void server.write(chunk),
        cutClient: () => client.resetAndDestroy(),
        cutServer: () => server.resetAndDestroy(),
      });
    });
    server.on('data', (chunk: Buffer) => {
      if (withhold !== null) return withhold();
      if (!isSilent) client.write(chunk);
    });
    server.on('end', () => client.end());
    client.on('end', () => server.end());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const url = new URL(serverUrl);
  url.host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  return {
    url: url.href,
    catchCommit: () => new Promise((resolve) => (caught = resolve)),
    fallSilent: () => (isSilent = true),
  };
}
