/** Session notes: what is kept on the disk of a machine between the runs of a task. */
import { mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { WakeRequest } from '../../../plugins/plugin.ts';
import { sessionNotes } from '../../../plugins/run-kit/agent/session-notes.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';

const requestOf = (taskId: string, runId: string, session?: string): WakeRequest => ({ taskId, runId, session }) as unknown as WakeRequest;
const SESSION = { id: 's-1', totals: { tokens: 5 } };

void t.test('a run gets the session of an earlier run if the hub names it, and its own with the usage before it', async (t) => {
  const log = memoryLog();
  const notes = sessionNotes(join(t.testdir(), 'notes'), log);
  const first = requestOf('t-1', 'r-1');
  t.equal(await notes.load(first), null);
  await notes.save(first, SESSION, { tokens: 7 });
  t.strictSame(await notes.load(first), SESSION);
  t.strictSame(await notes.load(requestOf('t-1', 'r-2', 's-1')), { id: 's-1', totals: { tokens: 7 } });
  t.equal(await notes.load(requestOf('t-1', 'r-2', 's-2')), null);
  await notes.remove(first);
  await notes.remove(first);
  t.equal(await notes.load(first), null);
  t.strictSame(log.lines, [], 'a missing note is not logged');
});

void t.test('a file that disappears while old notes are pruned does not prevent saving a note', async (t) => {
  const folder = join(t.testdir(), 'notes');
  await mkdir(folder);
  const names = Array.from({ length: 1_002 }, (_, n) => `old-${String(n).padStart(4, '0')}.json`);
  await Promise.all(names.map((name) => writeFile(join(folder, name), '{}')));
  for (const name of names.slice(0, 2)) await utimes(join(folder, name), 1, 1);
  // `readdir` lists it and `stat` does not find it, like the file of another run that is removed in between.
  await symlink('nowhere', join(folder, 'gone.json'));
  const log = memoryLog();
  const notes = sessionNotes(folder, log);
  const request = requestOf('t-1', 'r-1');
  await notes.save(request, SESSION, { tokens: 7 });
  t.strictSame(await notes.load(request), SESSION);
  t.strictSame(log.lines, []);
  const left = await readdir(folder);
  t.equal(left.length, 1_001, 'a thousand notes, and the link');
  t.notOk(left.includes('old-0000.json') || left.includes('old-0001.json'), 'the oldest are gone');
});

void t.test('a failing disk is logged and fails no run', async (t) => {
  const folder = join(t.testdir(), 'notes');
  await writeFile(folder, 'not a folder');
  const log = memoryLog();
  const notes = sessionNotes(folder, log);
  const request = requestOf('t-1', 'r-1');
  await notes.save(request, SESSION, {});
  t.equal(await notes.load(request), null);
  t.match(
    log.lines.map(({ message }) => message),
    ['session note: save failed', 'session note: prune failed', 'session note: load failed'],
  );
});
