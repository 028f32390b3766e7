import t from 'tap';
import {
  EXPIRED_AT_ONCE_MAX,
  ENDED_CHARACTERS_MAX,
  ENDED_ENTRY_PATTERN,
  ENDED_MAX,
  recall,
  remember,
  type Ended,
  type EndedEntry,
} from '../../../core/domain/assignment/ended-assignments.ts';
import type { Generation, TaskId } from '../../../core/domain/ids.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;
const task = (number: number, digits = 32): TaskId => `task-${number.toString(16).padStart(digits, '0')}` as TaskId;
const ended = (number: number, generation: number, over: Partial<Ended> = {}): Ended => ({
  taskId: task(number),
  generation: generation as Generation,
  outcome: 'complete',
  filesKept: false,
  ...over,
});
const memoryOf = (entries: readonly Ended[], nowMs = NOW_MS): readonly EndedEntry[] =>
  entries.reduce<readonly EndedEntry[]>((memory, entry) => remember(memory, entry, nowMs).memory, []);

t.test('R10: remembered assignments are recalled unchanged', async (t) => {
  const outcomes = ['complete', 'failed', 'rejected', 'released', 'refused', 'killed', 'not_running', 'not_stoppable'] as const;
  for (const outcome of outcomes) {
    for (const filesKept of [true, false]) {
      const entry = ended(7, 3, { outcome, filesKept });
      const memory = memoryOf([entry]);
      const mayLive = outcome === 'not_stoppable' ? { mayLive: true } : {};
      t.same(recall(memory, entry.taskId), { ...entry, ...mayLive });
      t.same(recall(memoryOf([{ ...entry, mayLive: true }]), entry.taskId), { ...entry, mayLive: true });
      t.match(memoryOf([{ ...entry, mayLive: true }])[0], new RegExp(ENDED_ENTRY_PATTERN));
      t.match(memory[0], new RegExp(ENDED_ENTRY_PATTERN));
    }
  }
  t.equal(recall(memoryOf([ended(7, 3)]), task(8)), undefined);
  t.equal(recall(memoryOf([ended(7, 3)]), task(7, 16)), undefined, 'a shorter ID with the same suffix is another task');
});

t.test('only the highest generation of a task counts', async (t) => {
  t.match(recall(memoryOf([ended(1, 3), ended(1, 5)]), task(1)), { generation: 5 });
  t.match(recall(memoryOf([ended(1, 5), ended(1, 3)]), task(1)), { generation: 5 });
  t.equal(memoryOf([ended(1, 3), ended(1, 5)]).length, 1);
});

t.test('R8: the memory keeps, with the highest generation, that a run of the task may still be alive', async (t) => {
  const alive = ended(1, 3, { mayLive: true });
  t.match(recall(memoryOf([alive, ended(1, 5), ended(1, 7, { filesKept: true })]), task(1)), {
    generation: 7,
    filesKept: true,
    mayLive: true,
  });
  const later = memoryOf([ended(1, 5, { filesKept: true }), ended(2, 1), alive]);
  t.match(recall(later, task(1)), { generation: 5, outcome: 'complete', filesKept: true, mayLive: true });
  t.equal(later.length, 2);
});

t.test('after 7 days, and over 10,000 tasks, the oldest are forgotten first', async (t) => {
  const old = memoryOf([ended(1, 1), ended(2, 1)]);
  t.equal(remember(old, ended(3, 1), NOW_MS + 7 * DAY_MS).memory.length, 3);
  t.same(remember(old, ended(3, 1), NOW_MS + 7 * DAY_MS + 3_600_000).memory.length, 1);
  t.equal(remember(old, ended(3, 1), NOW_MS - 30 * DAY_MS).memory.length, 3, 'a clock set back forgets nothing');
  const early = memoryOf([ended(1, 1)], -200 * DAY_MS);
  t.equal(remember(early, ended(2, 1), -194 * DAY_MS).memory.length, 2, 'hours before 1970 are negative');
  t.equal(remember(early, ended(2, 1), -192 * DAY_MS).memory.length, 1);
  const many = Array.from({ length: ENDED_MAX }, (_, number): EndedEntry => `${task(number).slice(5)} 1 c 490896`);
  const { memory } = remember(many, ended(ENDED_MAX, 1), NOW_MS);
  t.equal(memory.length, ENDED_MAX);
  t.equal(recall(memory, task(0)), undefined);
  t.not(recall(memory, task(1)), undefined);
});

t.test('the memory stays within its share of the journal for IDs of any length', async (t) => {
  const long = Array.from({ length: ENDED_MAX - 1 }, (_, number): EndedEntry => `${task(number, 64).slice(5)} 1 c 490896`);
  const { memory } = remember(long, { ...ended(1, 1), taskId: task(ENDED_MAX, 64) }, NOW_MS);
  t.ok(JSON.stringify(memory).length <= ENDED_CHARACTERS_MAX + 2);
  t.not(recall(memory, task(ENDED_MAX, 64)), undefined);
});

t.test('R10: a clock that jumps forward does not make it forget everything at once', async (t) => {
  const memory = memoryOf(Array.from({ length: 100 }, (_, number) => ended(number, 1, { filesKept: true })));
  const year = NOW_MS + 365 * DAY_MS;
  const after = remember(memory, ended(1_000, 1), year);
  t.equal(after.forgotten.length, EXPIRED_AT_ONCE_MAX);
  t.equal(after.memory.length, 101 - EXPIRED_AT_ONCE_MAX);
  t.equal(remember(after.memory, ended(1_001, 1), NOW_MS).forgotten.length, 0, 'once the clock is right again the rest is intact');
  let later = after.memory;
  for (let number = 0; number < 100; number += 1) later = remember(later, ended(2_000 + number, 1), year).memory;
  t.equal(later.length, 101, 'old entries are forgotten in time');
});

t.test('retained files are reported when their assignment is forgotten', async (t) => {
  const kept = memoryOf([ended(1, 1, { filesKept: true }), ended(2, 1)]);
  t.match(remember(kept, ended(1, 2), NOW_MS).forgotten, [{ taskId: task(1), generation: 1 }]);
  t.match(remember(kept, ended(3, 1), NOW_MS + 8 * DAY_MS).forgotten, [{ taskId: task(1), generation: 1 }]);
  t.match(
    remember(memoryOf([ended(1, 9)]), ended(1, 2, { filesKept: true }), NOW_MS).forgotten,
    [{ generation: 2 }],
    'never remembered at all',
  );
  t.same(remember(kept, ended(3, 1), NOW_MS).forgotten, []);
});

t.test('an older list answers as before after later additions', async (t) => {
  const older = memoryOf([ended(1, 1), ended(2, 1)]);
  const newer = remember(older, ended(1, 5), NOW_MS).memory;
  t.equal(recall(newer, task(1))?.generation, 5);
  t.equal(recall(older, task(1))?.generation, 1, 'the save of the newer one failed');
  t.equal(recall(remember(older, ended(3, 1), NOW_MS).memory, task(1))?.generation, 1);
});

t.test('only the newest tasks are remembered, up to the given limit', async (t) => {
  let memory: readonly EndedEntry[] = [];
  for (let number = 0; number < 5; number += 1) memory = remember(memory, ended(number, 1), NOW_MS, 3).memory;
  t.equal(memory.length, 3);
  t.equal(recall(memory, task(1)), undefined);
  t.equal(recall(memory, task(4))?.generation, 1);
});
