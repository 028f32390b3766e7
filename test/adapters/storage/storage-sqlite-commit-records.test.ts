/** The records of the commit log: a damaged one is not read, and a log that belongs to another database is refused. */
import { readFile, writeFile } from 'node:fs/promises';
import t from 'tap';
import { commitLogOf, RECORDS_BYTES } from '../../../adapters/storage-knex/sqlite/commit-log/commit-log-file.ts';
import { recordsIn, type LoggedBatch } from '../../../adapters/storage-knex/sqlite/commit-log/commit-records.ts';
import { aTaskId } from '../../product/contracts/fixtures.ts';
import { failsWith } from '../../product/contracts/storage/storage-room.ts';
import { RECORDS_START, hasExactly, killed, loggedStore, opened, recordOf, saveBatch } from '../storage-places/logged-store.ts';
import { outside } from '../storage-places/sqlite-storage-place.ts';

t.test('R1: of a record that is not complete, nothing is read', async (t) => {
  const { file, acknowledged } = await loggedStore(t, 3);
  const copy = await killed(t, file);
  const log = await readFile(commitLogOf(copy));
  const bytesOfLog = log.subarray(RECORDS_START, RECORDS_START + RECORDS_BYTES);
  const batches = recordsIn(bytesOfLog).records;
  const lengths = batches.map((batch) => recordOf(batch).length);
  const start = lengths.slice(0, 2).reduce((a, b) => a + b);
  const end = start + (lengths[2] ?? 0);
  t.strictSame([batches.length, bytesOfLog.subarray(start, end).equals(recordOf(batches[2] as LoggedBatch))], [3, true]);
  const firstTwo = JSON.stringify(batches.slice(0, 2));
  const wrong: string[] = [];
  const tried = (at: number, what: string, change: (bytes: Buffer) => void): void => {
    const bytes = Buffer.from(bytesOfLog.subarray(0, end + 4_096));
    change(bytes);
    if (JSON.stringify(recordsIn(bytes).records) !== firstTwo) wrong.push(`${what} at ${at}`);
  };
  for (let at = start; at < end; at += 1) {
    tried(at, 'zeros', (bytes) => bytes.fill(0, at));
    tried(at, 'ones', (bytes) => bytes.fill(0xff, at));
    tried(at, 'an older record', (bytes) => recordOf(batches[0] as LoggedBatch).copy(bytes, at));
    for (const bits of [0x01, 0x80]) tried(at, `bits ${bits}`, (bytes) => void (bytes[at] = (bytes[at] ?? 0) ^ bits));
    if (recordsIn(bytesOfLog.subarray(0, at)).records.length !== 2) wrong.push(`the end at ${at}`);
  }
  t.strictSame(wrong, []);
  acknowledged.delete(3);
  const positions = [0, 3, 4, 9, 12, 24, Math.floor((end - start) / 2), end - start - 1].map((at) => start + at);
  for (const [nth, at] of positions.entries()) {
    const torn = await killed(t, copy);
    const bytes = Buffer.from(log);
    if (nth % 2 === 0) bytes.fill(0, RECORDS_START + at);
    else bytes.writeUInt8(bytes.readUInt8(RECORDS_START + at) ^ 0x10, RECORDS_START + at);
    await writeFile(commitLogOf(torn), bytes);
    const { storage } = await opened(t, torn);
    await hasExactly(t, storage, acknowledged, `torn at ${at - start}`);
    t.equal(await storage.tasks.committed('batch 3'), false);
    await storage.close();
  }
});

t.test('what a task contains is not taken for a record', async (t) => {
  // A complete record that is a text: each of its bytes is a character.
  let record = Buffer.alloc(0);
  for (let n = 0; record.length === 0 || record.some((byte) => byte >= 0x80); n += 1)
    record = Buffer.from(recordOf({ number: 2, isCertain: true, values: [`x${n}`] }));
  const text = record.toString('utf8');
  t.equal(recordsIn(Buffer.from(text)).records.length, 1, 'the text is a record');
  const { file, storage, acknowledged } = await loggedStore(t, 0);
  await saveBatch(storage, acknowledged, 1, text);
  const copy = await killed(t, file);
  const log = await readFile(commitLogOf(copy));
  const bytesOfLog = log.subarray(RECORDS_START, RECORDS_START + RECORDS_BYTES);
  t.equal(recordsIn(bytesOfLog).records.length, 1);
  const mark = record.subarray(0, 4);
  t.strictSame([log.indexOf(mark), log.lastIndexOf(mark)], [RECORDS_START, RECORDS_START], 'no other mark is in the log');
  const { storage: next } = await opened(t, copy);
  await hasExactly(t, next, acknowledged, 'opened');
  t.equal((await next.tasks.read(aTaskId(1)))?.body.description, text);
});

t.test('a log that does not belong to the database is refused, and nothing is changed', async (t) => {
  const { file, acknowledged } = await loggedStore(t, 2);
  const copy = await killed(t, file);
  const log = await readFile(commitLogOf(copy));
  const batches = recordsIn(log.subarray(RECORDS_START, RECORDS_START + RECORDS_BYTES)).records;
  const [format = '', storeId = '', columns = ''] = log.toString('utf8', 0, RECORDS_START).split('\n');
  const withHeader = (...lines: readonly string[]): Buffer => {
    const bytes = Buffer.from(log).fill(0, 0, RECORDS_START);
    bytes.write([...lines, ''].join('\n'));
    return bytes;
  };
  t.ok(withHeader(format, storeId, columns).equals(log), 'the header is these lines');
  const skipping = Buffer.from(log).fill(0, RECORDS_START);
  recordOf(batches[1] as LoggedBatch).copy(skipping, RECORDS_START);
  const damaged = Buffer.from(log);
  damaged.writeUInt8(0xff, RECORDS_START + 40);
  const wrong: readonly (readonly [what: string, bytes: Buffer, found: RegExp])[] = [
    ['of another store', withHeader(format, 'another', columns), /is of store another, expected/],
    ['that skips a number', skipping, /it has not all batches after number \d+/],
    ['with a damaged batch before the last one', damaged, /it has not all batches after number \d+/],
    ['with an unknown column', withHeader(format, storeId, `${columns},unknown`), /was written by a newer version/],
    ['with a damaged header', withHeader(`x${format}`, storeId, columns), /is damaged or of another version/],
    ['that is empty', Buffer.alloc(0), /is damaged or of another version/],
  ];
  const state = (): Promise<unknown> =>
    Promise.all(
      ['tasks', 'task_events', 'idempotency_keys', 'batches', 'commit_log', 'store', "sqlite_sequence WHERE name = 'task_events'"].map(
        (rows) => outside(copy, `SELECT * FROM ${rows}`),
      ),
    );
  const before = await state();
  for (const [what, bytes, found] of wrong) {
    await writeFile(commitLogOf(copy), bytes);
    const refused = await failsWith(t, opened(t, copy), 'AC_STORAGE_OPEN', what);
    t.match(refused?.message, found, what);
    t.match(refused?.message, commitLogOf(copy), `${what}: it is named`);
    t.strictSame(await state(), before, `${what}: the database is as before`);
    t.ok((await readFile(commitLogOf(copy))).equals(bytes), `${what}: and so is the log`);
  }
  await writeFile(commitLogOf(copy), log);
  await hasExactly(t, (await opened(t, copy)).storage, acknowledged, 'with its own log');
});
