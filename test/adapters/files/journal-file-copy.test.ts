/** A data directory that was copied, moved, restored from a backup, or removed while it was in use. */
import { cp, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import type { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { placeOf } from '../../../adapters/journal-file/folder-place.ts';
import { reportName } from './journal-file-place.ts';
import type { JournalOpened } from '../../../core/ports/journal.ts';

const STATE = { version: 1, slots: ['a run'], outbox: [], ended: [] };

async function folders(t: Test): Promise<{ readonly first: string; readonly second: string }> {
  const above = await mkdtemp(join(tmpdir(), 'agentcom-copy-'));
  t.teardown(() => rm(above, { recursive: true, force: true }));
  return { first: join(above, 'first'), second: join(above, 'second') };
}

interface Start {
  readonly machine?: string;
  readonly saves?: boolean;
}

/** What one start finds. */
async function started(dataDir: string, { machine, saves = false }: Start = {}): Promise<JournalOpened & { readonly warned: boolean }> {
  const log = memoryLog();
  const place = (folder: string) => ({ ...placeOf(folder), ...(machine === undefined ? {} : { machine }) });
  const journal = fileJournal({ dataDir, clock: virtualClock(), log, place });
  const opened = await journal.open();
  if (saves) await journal.save(STATE);
  await journal.close();
  return { ...opened, warned: log.lines.some(({ message }) => message.includes('is a copy')) };
}

t.test('R10: a copied data directory is a new instance, and a copy until its first save, even while the original runs', async (t) => {
  const { first, second } = await folders(t);
  const original = await started(first, { saves: true });
  await cp(first, second, { recursive: true });
  const copy = await started(second);
  t.match(copy, { isCopy: true, warned: true, state: STATE });
  t.not(copy.instanceId, original.instanceId);
  const again = await started(second, { saves: true });
  t.match(again, { isCopy: true }, 'still a copy after a crash before its first save');
  const settled = await started(second);
  t.equal(settled.isCopy, undefined);
  t.equal(settled.instanceId, again.instanceId);
  const same = await started(first);
  t.match(same, { instanceId: original.instanceId, isCopy: undefined, warned: false });
});

t.test('R4: a moved or restored data directory is the same instance with all its runs', async (t) => {
  const { first, second } = await folders(t);
  const original = await started(first, { saves: true });
  await rename(first, second);
  t.match(await started(second), { instanceId: original.instanceId, isCopy: undefined, state: STATE });
  await cp(second, first, { recursive: true });
  await rm(second, { recursive: true });
  await rename(first, second);
  t.match(await started(second), { instanceId: original.instanceId, isCopy: undefined, state: STATE });
});

t.test('a data directory on another machine is a new instance', async (t) => {
  const { first } = await folders(t);
  const original = await started(first, { machine: 'a'.repeat(32), saves: true });
  const cloned = await started(first, { machine: 'b'.repeat(32), saves: true });
  t.equal(cloned.isCopy, true);
  t.not(cloned.instanceId, original.instanceId);
  t.match(await started(first, { machine: 'b'.repeat(32) }), { instanceId: cloned.instanceId, isCopy: undefined });
});

t.test('R22: a sidecar whose data directory was removed writes nothing into it again, whether or not another one uses it', async (t) => {
  for (const isLeft of [false, true]) {
    const { first } = await folders(t);
    const log = memoryLog();
    const clock = virtualClock();
    const journal = fileJournal({ dataDir: first, clock, log });
    const lost: AgentcomError[] = [];
    await journal.open((error) => lost.push(error));
    await journal.save(STATE);
    await rm(first, { recursive: true });
    await t.rejects(journal.save(STATE), { code: 'AC_JOURNAL_LOCKED', message: /its lock is gone/ });
    const other = fileJournal({ dataDir: first, clock: virtualClock(), log: memoryLog() });
    await other.open();
    await other.save({ ...STATE, slots: [] });
    if (isLeft) await other.close();
    const before = await readdir(first, { recursive: true });
    const message = isLeft ? /its lock is gone/ : new RegExp(`its lock now names process ${process.pid} `);
    await t.rejects(journal.save(STATE), { code: 'AC_JOURNAL_LOCKED', message });
    await t.rejects(journal.writeReport(reportName(1), 'text'), { code: 'AC_JOURNAL_LOCKED' });
    await t.rejects(journal.room(), { code: 'AC_JOURNAL_LOCKED' });
    t.same(lost, [], 'it may come back');
    clock.advance(10_000);
    await t.rejects(journal.room(), { code: 'AC_JOURNAL_LOCKED' });
    clock.advance(10_000);
    const expected = isLeft ? { code: 'AC_DATA_DIR', message: /was removed/ } : { code: 'AC_JOURNAL_LOCKED', message };
    t.match(lost, [expected], 'its holder is notified once');
    t.equal(lost.length, 1);
    await journal.close();
    t.same(await readdir(first, { recursive: true }), before);
    t.match(log.lines, [{ level: 'error', message: /no longer holds it/ }], 'logged once');
    await other.close();
    t.match(await started(first), { state: { slots: [] } });
  }
});

t.test('a data directory that disappears for a while is used again', async (t) => {
  const { first, second } = await folders(t);
  const clock = virtualClock();
  const journal = fileJournal({ dataDir: first, clock, log: memoryLog() });
  await journal.open(() => t.fail('it is not lost'));
  await rename(first, second);
  await t.rejects(journal.save(STATE), { code: 'AC_JOURNAL_LOCKED' });
  clock.advance(9_999);
  await rename(second, first);
  await journal.save(STATE);
  clock.advance(10_000);
  await journal.room();
  await journal.close();
  t.match(await started(first), { state: STATE });
});
