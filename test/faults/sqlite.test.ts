/** A real second process that holds the write lock, and a long reader. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { aBody, aTask, aTaskId, changes, inserting } from '../product/contracts/fixtures.ts';
import { commit } from '../product/contracts/storage/storage-room.ts';
import { closedAfter, emptyFolder, otherProgram, sqliteStorage } from '../adapters/storage-places/sqlite-storage-place.ts';
import { hubRig } from '../core/hub/hub-rig.ts';
import { builtTree } from '../rig/built-tree.ts';

t.setTimeout(120_000);

/** What the log may keep after it was truncated (`journal_size_limit`); the reader makes it grow beyond. */
const WAL_BYTES_KEPT = 67_108_864;

/** A process that takes the write lock, reports it, and releases it when its input ends. */
async function lockHolder(t: Test, file: string): Promise<{ release(): Promise<void> }> {
  const program = builtTree().compiled('test/faults/rig/write-lock-process.ts');
  const child = spawn(process.execPath, [program, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [message] = (await once(child.stdout, 'data')) as [Buffer];
  t.equal(message.toString(), 'held');
  return {
    async release() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

t.test('R2: while another process holds the write lock nothing is acknowledged, and the batch is retried', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const clock = virtualClock();
  const storage = closedAfter(t, sqliteStorage(file, { busyMs: 2_000, time: clock }));
  const rig = await hubRig({ storage, clock });
  t.teardown(() => rig.stop());
  const holder = await lockHolder(t, file);
  let isAnswered = false;
  const submitted = rig.submit().then((id) => {
    isAnswered = true;
    return id;
  });
  t.equal((await storage.tasks.stats()).statuses.queued, 0, 'reads continue meanwhile');
  t.notOk(isAnswered, 'nothing is acknowledged');
  await holder.release();
  t.equal((await storage.tasks.read(await submitted))?.task.status, 'queued', 'then it is stored, once');
  t.equal((await storage.tasks.stats()).statuses.queued, 1);
});

t.test('R20: a long reader lets the write-ahead log grow; once it ends, the log is reused and truncated', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const storage = closedAfter(t, sqliteStorage(file));
  await storage.open();
  await commit(storage, inserting(aTask()));
  const program = await otherProgram(file);
  t.teardown(() => program.close());
  await program.all('BEGIN');
  await program.all('SELECT count(*) FROM tasks');
  const body = aBody({ description: 'x'.repeat(250_000) });
  const walBytes = async (): Promise<number> => (await stat(`${file}-wal`)).size;
  let number = 0;
  const large = () => changes({ inserted: Array.from({ length: 40 }, () => ({ task: aTask({ id: aTaskId((number += 1) + 10) }), dueAtMs: null, body })) }); // prettier-ignore
  for (let batches = 0; batches < 20 && (await walBytes()) <= 1.2 * WAL_BYTES_KEPT; batches += 1) await commit(storage, large());
  t.ok((await walBytes()) > WAL_BYTES_KEPT, 'none of it could be checkpointed meanwhile');
  await program.all('ROLLBACK');
  for (let commits = 0; commits < 4; commits += 1) {
    await commit(storage, inserting(aTask({ id: aTaskId(9_000 + commits) })));
    await storage.tasks.stats(); // SQLite commits it.
  }
  t.ok((await walBytes()) <= WAL_BYTES_KEPT, `${await walBytes()} bytes`);
  t.equal((await storage.tasks.stats()).statuses.queued, 1 + number + 4, 'and everything is stored');
});
