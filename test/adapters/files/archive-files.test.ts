/** The archive of removed tasks on a real disk. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { archiveFiles } from '../../../adapters/archive-files/archive-files.ts';
import type { WholeTask } from '../../../core/domain/task/removal.ts';
import { A_MOMENT_MS, aBody, aKept, aTask, aTaskId, anEvent } from '../../product/contracts/fixtures.ts';

const DAY_MS = 86_400_000;
const FIRST = 'tasks-2027-01-15.ndjson';

const folder = (t: { readonly teardown: (work: () => void) => unknown }): string => {
  const dir = mkdtempSync(join(tmpdir(), 'agentcom-archive-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return join(dir, 'archive');
};

const whole = (n: number, over: Partial<WholeTask> = {}): WholeTask => ({
  task: aTask({ id: aTaskId(n), status: 'completed', submittedBy: 'tok-1' }),
  body: aBody({ description: `task ${n}` }),
  result: null,
  events: [],
  kept: [],
  ...over,
});

const linesIn = (dir: string, file: string): readonly Record<string, unknown>[] =>
  readFileSync(join(dir, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const idsIn = (dir: string, file: string): readonly unknown[] => linesIn(dir, file).map(({ id }) => id);

t.test('R4: a task is archived as one complete line, in a daily file that only its owner can read', async (t) => {
  const dir = folder(t);
  const archive = archiveFiles({ dir });
  const kept = aKept({ result: '{"late":true}', details: '{"of":1}' });
  const events = [
    { ...anEvent(), id: 7 },
    { ...anEvent({ seq: 2, event: 'completed', details: { note: 'line 1\nline 2' } }), id: 9 },
  ];
  await archive.append([whole(1, { result: '{"sum": 1.0}', events, kept: [kept] }), whole(2)], A_MOMENT_MS);
  t.strictSame(readdirSync(dir), [FIRST]);
  const [first] = linesIn(dir, FIRST);
  t.match(first, {
    ...{ archived_at: A_MOMENT_MS, id: aTaskId(1), description: 'task 1', status: 'completed', submitted_by: 'tok-1', result: { sum: 1 } },
    history: [{ id: 7 }, { id: 9, event: 'completed', details: { note: 'line 1\nline 2' } }],
    kept_results: [{ kind: 'refused', result: { late: true }, details: { of: 1 } }],
  });
  t.ok(readFileSync(join(dir, FIRST), 'utf8').includes('"result":{"sum": 1.0}'), 'the result is archived exactly as stored');
  if (process.platform !== 'win32') t.equal(statSync(join(dir, FIRST)).mode & 0o777, 0o600);
  await archiveFiles({ dir }).append([whole(3)], A_MOMENT_MS);
  t.strictSame(idsIn(dir, FIRST), [aTaskId(1), aTaskId(2), aTaskId(3)], 'another process appends to the same file');
});

t.test('R20: each day gets its own file, and further files once one is too large', async (t) => {
  const dir = folder(t);
  const archive = archiveFiles({ dir, fileBytesMax: 1_000 });
  for (let n = 1; n <= 3; n += 1) await archive.append([whole(n, { result: JSON.stringify('x'.repeat(600)) })], A_MOMENT_MS);
  await archive.append([whole(4)], A_MOMENT_MS + DAY_MS);
  const next = archiveFiles({ dir, fileBytesMax: 1_000 });
  await next.append([whole(5)], A_MOMENT_MS);
  t.strictSame(readdirSync(dir).sort(), [
    'tasks-2027-01-15-2.ndjson',
    'tasks-2027-01-15-3.ndjson',
    'tasks-2027-01-15-4.ndjson',
    'tasks-2027-01-15.ndjson',
    'tasks-2027-01-16.ndjson',
  ]);
  t.strictSame(idsIn(dir, 'tasks-2027-01-15-4.ndjson'), [aTaskId(5)]);
});

t.test('R1: a line truncated by a crash damages no other line', async (t) => {
  const dir = folder(t);
  await archiveFiles({ dir }).append([whole(1), whole(2)], A_MOMENT_MS);
  truncateSync(join(dir, FIRST), statSync(join(dir, FIRST)).size - 10);
  await archiveFiles({ dir }).append([whole(2), whole(3)], A_MOMENT_MS);
  const lines = readFileSync(join(dir, FIRST), 'utf8').trimEnd().split('\n');
  t.throws(() => JSON.parse(lines[1] ?? '{}'), 'the truncated line');
  t.strictSame(
    [0, 2, 3].map((n) => (JSON.parse(lines[n] ?? '{}') as { readonly id?: unknown }).id),
    [1, 2, 3].map(aTaskId),
  );
});

t.test('a failed write is an error that names the folder', async (t) => {
  const dir = folder(t);
  writeFileSync(dir, 'a file');
  await t.rejects(archiveFiles({ dir }).append([whole(1)], A_MOMENT_MS), { code: 'AC_ARCHIVE', message: new RegExp(dir) });
  if (process.getuid?.() === 0) return;
  rmSync(dir);
  await archiveFiles({ dir }).append([whole(1)], A_MOMENT_MS);
  chmodSync(join(dir, FIRST), 0o400);
  await t.rejects(archiveFiles({ dir }).append([whole(2)], A_MOMENT_MS), { code: 'AC_ARCHIVE' });
});
