/** The check after each commit finds nothing in a clean one, and finds what is planted for each invariant that it checks. */
import t from 'tap';
import { memoryDatabase, type MemoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import type { StoredEvent, TaskEvent } from '../../../core/domain/task/event.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  anAgent,
  anAgentId,
  anAssignedTask,
  anEvent,
  aStop,
  aTask,
  aTaskId,
  changes,
} from '../../product/contracts/fixtures.ts';
import { checkStep, checkWhole, type Found } from './check-step.ts';

const ME = anAgentId();
const SWEEP_MS = 30_000;

/** A store whose newest commit assigned task 1 to a1, which has one slot. */
interface Planted {
  readonly database: MemoryDatabase;
  changes: Changes;
  newest: readonly StoredEvent[];
}

const STORY: readonly Partial<TaskEvent>[] = [
  { event: 'submitted' },
  { event: 'eligible' },
  { event: 'assigned', agentId: ME, generation: aGeneration(1), session: 1 },
];

function aCommit(): Planted {
  const database = memoryDatabase('planted');
  database.agents.set(ME, anAgent({ assignedCount: 1 }));
  const planted: Planted = { database, changes: changes(), newest: [] };
  put(planted, anAssignedTask(ME, { acceptedAtMs: null, runDeadlineAtMs: null, eventSeq: 3 }), STORY);
  planted.newest = database.events.slice(-1);
  return planted;
}

/** Puts a task and its history into the store, as part of the commit. */
function put(planted: Planted, task: Task, history: readonly Partial<TaskEvent>[]): void {
  const { database } = planted;
  const kept = { task, dueAtMs: null, body: aBody() };
  database.tasks.set(task.id, kept);
  database.current.set(task.id, kept);
  const stored = history.map((event, place): StoredEvent => ({
    ...anEvent({ taskId: task.id, seq: place + 1, ...event }),
    id: database.events.length + place + 1,
  }));
  database.events.push(...stored);
  database.eventsOf.set(task.id, stored);
  planted.changes = changes({ ...planted.changes, updated: [...planted.changes.updated, { task, dueAtMs: null }] });
}

const rewrite = (planted: Planted, over: Partial<Task>): void => {
  const kept = planted.database.tasks.get(aTaskId(1));
  if (kept === undefined) throw new Error('task 1 is not there');
  const next = { ...kept, task: { ...kept.task, ...over } };
  planted.database.tasks.set(next.task.id, next);
  planted.database.current.set(next.task.id, next);
};

const check = ({ database, changes: saved, newest }: Planted): readonly Found[] =>
  checkStep({ database, changes: saved, events: newest, nowMs: A_MOMENT_MS, sweepMs: SWEEP_MS, couldGo: null, sessions: new Map() });

const waiting = (over: Partial<Task>): Task => aTask({ id: aTaskId(2), eventSeq: 2, eligibleAtMs: A_MOMENT_MS - 5, ...over });

const PLANTS: readonly (readonly [rule: string, what: string, plant: (planted: Planted) => void])[] = [
  ['I1', 'a retry without an event', (planted) => rewrite(planted, { retryCount: 1 })],
  ['I3', 'a live task without a deadline', (planted) => rewrite(planted, { deadlineAtMs: null })],
  ['I4', 'a stop and an assignment in one slot', (planted) => void planted.database.stops.set('x', aStop({ taskId: aTaskId(9) }))],
  ['I9', 'a dependency that is not stored', (planted) => rewrite(planted, { dependsOn: [aTaskId(8)] })],
  [
    'I10',
    'a key for a task that is not stored',
    (planted) =>
      (planted.changes = changes({
        ...planted.changes,
        keys: [{ owner: 'x', key: 'k', digest: 'd', taskIds: [aTaskId(7)], createdAtMs: 1 }],
      })),
  ],
  ['I13', 'an older task of the lane that still waits', (planted) => put(planted, waiting({}), STORY.slice(0, 2))],
  [
    'I13',
    'a task of a higher lane that still waits',
    (planted) => put(planted, waiting({ priority: 'urgent', eligibleAtMs: A_MOMENT_MS }), STORY.slice(0, 2)),
  ],
  ['I13', 'a task that has expired', (planted) => rewrite(planted, { expiresAtMs: A_MOMENT_MS })],
  ['I13', 'an agent that may not run it', (planted) => rewrite(planted, { requirement: { capabilities: ['gpu'], assignTo: null } })],
  ['I14', 'a number of events that is not theirs', (planted) => rewrite(planted, { eventSeq: 7 })],
  ['I15', 'a stop of the current assignment', (planted) => void planted.database.stops.set('x', aStop())],
];

t.test('nothing is found in a clean commit', (t) => {
  t.strictSame(check(aCommit()), []);
  t.end();
});

for (const [rule, what, plant] of PLANTS) {
  t.test(`${rule}: ${what}`, (t) => {
    const planted = aCommit();
    plant(planted);
    const found = check(planted).map((each) => each.rule);
    t.ok(found.includes(rule), `found ${found.join(', ') || 'nothing'}`);
    t.end();
  });
}

t.test('I13: each 16th assignment must take the oldest, of any lane', (t) => {
  const planted = aCommit();
  planted.database.agents.set(ME, anAgent({ assignedCount: 16 }));
  put(planted, waiting({ priority: 'low' }), STORY.slice(0, 2));
  t.match(check(planted), [{ rule: 'I13' }]);
  planted.database.agents.set(ME, anAgent({ assignedCount: 17 }));
  t.strictSame(check(planted), [], 'and no other');
  t.end();
});

t.test('I13: an expired task has no precedence', (t) => {
  const planted = aCommit();
  put(planted, waiting({ completeByMs: A_MOMENT_MS }), STORY.slice(0, 2));
  t.strictSame(check(planted), []);
  t.end();
});

t.test('I6: a report of a session that is over', (t) => {
  const planted = aCommit();
  const step = {
    database: planted.database,
    changes: planted.changes,
    events: planted.newest,
    nowMs: A_MOMENT_MS,
    sweepMs: SWEEP_MS,
    couldGo: null,
  };
  t.match(checkStep({ ...step, sessions: new Map([[ME, 2]]) }), [{ rule: 'I6' }]);
  t.end();
});

t.test('I11, I12: the whole store shows what took too long', (t) => {
  const planted = aCommit();
  const laterMs = A_MOMENT_MS + 400_000;
  const rules = (): readonly string[] => checkWhole(planted.database, laterMs, SWEEP_MS, A_MOMENT_MS).map((each) => each.rule);
  t.ok(rules().includes('I11'), 'a lease that expired long ago');
  put(planted, waiting({}), STORY.slice(0, 2));
  planted.database.agents.set(anAgentId('a2'), anAgent({ id: anAgentId('a2') }));
  t.ok(rules().includes('I12'), 'a task next to a free agent');
  t.end();
});
