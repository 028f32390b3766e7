/** A signature is for one task, also after a restart, and in bounded memory. */
import { appendFile, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { nonceMemory } from '../../../apps/signing/nonce-memory.ts';
import type { TaskId } from '../../../core/domain/ids.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const task = (n: number): TaskId => `task-${n.toString(16).padStart(16, '0')}` as TaskId;
const use = (nonce: string, n: number, issuedAtMs = NOW_MS, expiresAtMs = NOW_MS + 3_600_000) => ({
  nonce,
  taskId: task(n),
  issuedAtMs,
  expiresAtMs,
});

t.test('a nonce is valid again for the same task only, also after a restart', async (t) => {
  const file = join(t.testdir(), 'nonces.log');
  const first = nonceMemory(file);
  await first.open();
  t.equal(await first.remember(use('n1', 1), NOW_MS), 'remembered');
  t.equal(await first.remember(use('n1', 1), NOW_MS), 'remembered', 'a retry, or another generation');
  t.equal(await first.remember(use('n1', 2), NOW_MS), 'other_task');
  t.equal((await stat(file)).mode & 0o777, 0o600);
  await first.close();
  await appendFile(file, 'n2 task-00000000000');
  const second = nonceMemory(file);
  await second.open();
  t.equal(await second.remember(use('n1', 2), NOW_MS), 'other_task');
  t.equal(await second.remember(use('n2', 2), NOW_MS), 'remembered', 'a partial line was never acknowledged');
  await second.close();
  const third = nonceMemory(file);
  await third.open();
  t.equal(await third.remember(use('n2', 3), NOW_MS), 'other_task');
  await third.close();
});

t.test('a use is in the file as soon as it is remembered', async (t) => {
  const file = join(t.testdir(), 'nonces.log');
  const memory = nonceMemory(file);
  await memory.open();
  await memory.remember(use('n1', 1), NOW_MS);
  t.match(await readFile(file, 'utf8'), /^n1 task-0000000000000001 \d+ \d+\n$/);
  await memory.close();
});

t.test('a damaged file is reported, not treated as empty', async (t) => {
  const file = join(t.testdir(), 'nonces.log');
  await writeFile(file, 'n1 task-0000000000000001 1 2\nrubbish\n');
  await t.rejects(nonceMemory(file).open(), { code: 'AC_JOURNAL_CORRUPT', message: /line 2 is damaged/ });
});

t.test('beyond its bound, possibly forgotten nonces are refused, and newer signatures are accepted', async (t) => {
  const file = join(t.testdir(), 'nonces.log');
  let memory = nonceMemory(file, 2);
  await memory.open();
  for (let n = 1; n <= 3; n += 1) t.equal(await memory.remember(use(`n${n}`, n, NOW_MS + n * 1_000), NOW_MS), 'remembered');
  for (const restarted of [false, true]) {
    if (restarted) {
      await memory.close();
      memory = nonceMemory(file, 2);
      await memory.open();
    }
    t.equal(await memory.remember(use('n1', 9, NOW_MS + 1_000), NOW_MS), 'forgotten', 'the dropped nonce');
    t.equal(await memory.remember(use('old', 9, NOW_MS + 500), NOW_MS), 'forgotten', 'an older signature');
    t.equal(await memory.remember(use('n3', 9, NOW_MS + 3_000), NOW_MS), 'other_task');
  }
  t.equal(await memory.remember(use('n4', 4, NOW_MS + 4_000), NOW_MS), 'remembered');
  await memory.close();
});

t.test('expired nonces make room, and no valid one is forgotten', async (t) => {
  const memory = nonceMemory(null, 2);
  await memory.open();
  await memory.remember(use('n1', 1, NOW_MS, NOW_MS + 1_000), NOW_MS);
  await memory.remember(use('n2', 2, NOW_MS, NOW_MS + 1_000), NOW_MS);
  t.equal(await memory.remember(use('n3', 3, NOW_MS), NOW_MS + 3_600_000), 'remembered');
  t.equal(await memory.remember(use('n4', 4, NOW_MS), NOW_MS + 3_600_000), 'remembered');
});

t.test('when the clock jumps forward and back, no signature that has expired meanwhile runs another task', async (t) => {
  const file = join(t.testdir(), 'nonces.log');
  const laterMs = NOW_MS + 86_400_000;
  const uses = 2_000;
  let memory = nonceMemory(file);
  await memory.open();
  for (let n = 1; n < uses; n += 1) await memory.remember(use(`n${n}`, n), NOW_MS);
  t.equal(await memory.remember(use('new', uses, laterMs, laterMs + 3_600_000), laterMs), 'remembered');
  t.equal((await readFile(file, 'utf8')).split('\n').length - 1, 2, 'the file is begun again without expired nonces');
  for (const restarted of [false, true]) {
    if (restarted) {
      await memory.close();
      memory = nonceMemory(file);
      await memory.open();
    }
    t.equal(await memory.remember(use('n1', 9), NOW_MS + 5_000), 'forgotten', 'its signature is valid again');
    t.equal(await memory.remember(use('new', 9, laterMs, laterMs + 3_600_000), laterMs), 'other_task');
    t.equal(await memory.remember(use(`long-${restarted}`, 9, NOW_MS, laterMs + 3_600_000), laterMs), 'remembered', 'older, but valid');
  }
  await memory.close();
});
