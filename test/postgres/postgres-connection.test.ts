/** A connection to the server, and the end of the one that it replaces. */
import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { connectPostgres, END_BACKEND } from '../../adapters/storage-knex/postgres/connection.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';

const server = await postgresServer();
t.teardown(() => server.end());

/** Written by the server and read by it again, a time of India's IST is one of Israel's. */
const OPTIONS = '-c datestyle=SQL,DMY -c timezone=Asia/Kolkata';

t.test('the former connection of a hub is ended, however the server writes times', async (t) => {
  const url = new URL(server.url);
  url.searchParams.set('options', OPTIONS);
  const connected = async () => {
    const connection = await connectPostgres({ connectionString: url.href }, 5_000, systemClock());
    t.teardown(() => connection.close());
    return connection;
  };
  const [former, next] = [await connected(), await connected()];
  const { pid, startedAt } = former.backend;
  t.strictSame(await next.rows(END_BACKEND, [String(pid), String(Number(startedAt) + 1)]), [], 'another that got its number');
  t.equal((await next.rows(END_BACKEND, [String(pid), startedAt])).length, 1);
  await t.rejects(former.rows('SELECT 1'), 'the former one');
  t.equal((await next.rows('SELECT 1')).length, 1);
});
