/** A pooler in transaction mode, as PgBouncer has it, with one session of the server: each connection gets it for one transaction. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';

/** "The login succeeded", and "ready, in no transaction". */
const LOGGED_IN = Buffer.from([82, 0, 0, 0, 8, 0, 0, 0, 0]);
const READY = Buffer.from([90, 0, 0, 0, 5, 73]);
const IN_NO_TRANSACTION = 73;

/** The complete messages at the start of `bytes`, and what is left. */
function messagesIn(bytes: Buffer): { readonly messages: readonly Buffer[]; readonly left: Buffer } {
  const messages: Buffer[] = [];
  let at = 0;
  while (bytes.length >= at + 5 && bytes.length >= at + 1 + bytes.readInt32BE(at + 1)) {
    const end = at + 1 + bytes.readInt32BE(at + 1);
    messages.push(bytes.subarray(at, end));
    at = end;
  }
  return { messages, left: bytes.subarray(at) };
}

const typeOf = (message: Buffer): string => String.fromCharCode(message[0] ?? 0);

/** Its URL. The first connection logs in at the server. */
export async function transactionPooler(t: Test, serverUrl: string): Promise<string> {
  const target = new URL(serverUrl);
  const server = connect(Number(target.port), target.hostname);
  const sockets = new Set<Socket>([server]);
  const clients: { readonly socket: Socket; readonly sent: Buffer[]; readonly isFirst: boolean }[] = [];
  let owner: (typeof clients)[number] | null = null;
  let isFirstLoggedIn = false;
  /** Requests of the owner that the server has not answered completely. */
  let open = 0;
  const lend = (): void => {
    owner ??= clients.find(({ sent }) => sent.length > 0) ?? null;
    for (const message of owner?.sent.splice(0) ?? []) {
      if (['Q', 'S'].includes(typeOf(message))) open += 1;
      server.write(message);
    }
  };
  let fromServer: Buffer = Buffer.alloc(0);
  server.on('data', (chunk: Buffer) => {
    const { messages, left } = messagesIn(Buffer.concat([fromServer, chunk]));
    fromServer = left;
    for (const message of messages) {
      owner?.socket.write(message);
      if (typeOf(message) !== 'Z') continue;
      if (isFirstLoggedIn) open -= 1;
      isFirstLoggedIn = true;
      if (open === 0 && message[5] === IN_NO_TRANSACTION) owner = null;
    }
    lend();
  });
  const pooler = createServer((socket) => {
    sockets.add(socket);
    const client = { socket, sent: [] as Buffer[], isFirst: clients.length === 0 };
    clients.push(client);
    socket.once('data', (startup: Buffer) => {
      if (client.isFirst) {
        owner = client;
        server.write(startup);
      } else socket.write(Buffer.concat([LOGGED_IN, READY]));
      let received: Buffer = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        const { messages, left } = messagesIn(Buffer.concat([received, chunk]));
        received = left;
        client.sent.push(...messages.filter((message) => typeOf(message) !== 'X'));
        lend();
      });
    });
    socket.on('end', () => socket.end());
    // How the hub closes the connection does not matter here.
    socket.on('error', () => socket.destroy());
  });
  pooler.listen(0, '127.0.0.1');
  await once(pooler, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    pooler.close();
  });
  target.host = `127.0.0.1:${(pooler.address() as AddressInfo).port}`;
  return target.href;
}
