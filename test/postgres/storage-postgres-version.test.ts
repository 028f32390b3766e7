/** A server that is too old is recognised by its version, whatever else it does not know. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { failsWith } from '../product/contracts/storage/storage-room.ts';
import { closedBefore, emptySchema, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';

const server = await postgresServer();
t.teardown(() => server.end());

/** As 10 and 12 answered: their versions, and settings that they do not know. Of the same length, so that frames stay complete. */
const THEN = [
  { version: '100020', knowsJit: false },
  { version: '120022', knowsJit: true },
];

/** The server's address, through a proxy that makes it look like that version. */
async function aged(t: Test, { version, knowsJit }: (typeof THEN)[number]): Promise<string> {
  const [row] = await server.ask(`SELECT current_setting('server_version_num') AS now`);
  const now = String(row?.['now']);
  t.equal(now.length, version.length, 'versions have the same length');
  const sockets = new Set<Socket>();
  const changed = (chunk: Buffer, from: string, to: string): Buffer => Buffer.from(chunk.toString('latin1').replaceAll(from, to), 'latin1');
  const proxy = createServer((client) => {
    const target = new URL(server.url);
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // How the hub closes the connection does not matter here.
      socket.on('error', () => socket.destroy());
    }
    client.on('data', (chunk: Buffer) => upstream.write(knowsJit ? chunk : changed(chunk, 'jit = off', 'jet = off')));
    upstream.on('data', (chunk: Buffer) => client.write(changed(chunk, now, version)));
    client.on('end', () => upstream.end());
    upstream.on('end', () => client.end());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const url = new URL(server.url);
  url.host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  return url.href;
}

for (const then of THEN) {
  t.test(`version ${then.version} is refused by its number, with what to do`, async (t) => {
    const storage = postgresStorage({ url: await aged(t, then), schema: emptySchema(t, server) });
    closedBefore(t, storage);
    const refused = await failsWith(t, storage.open(), 'AC_STORAGE_OPEN', 'refused');
    t.match(
      refused?.message,
      /the server is Postgres \S+.*, expected 13 or later\. Upgrade it \(pg_upgrade\), or name another in storage\.url\.$/,
    );
  });
}
