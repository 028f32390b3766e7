/** Data from the database is checked where it enters: a row that no hub could have written is named, and stops nothing else. */
import path from 'node:path';
import t from 'tap';
import type { WholeTask } from '../../../core/domain/task/removal.ts';
import { requirementKey } from '../../../core/domain/task/task.ts';
import type { LoadNames } from '../../../core/ports/task-store.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import {
  A_MOMENT_MS,
  aBody,
  aKey,
  anAgent,
  anAgentId,
  anEvent,
  aStop,
  aTask,
  aTaskId,
  changes,
  inserting,
} from '../../product/contracts/fixtures.ts';
import { commit, failsWith, remove } from '../../product/contracts/storage/storage-room.ts';
import { closedAfter, emptyFolder, outside, sqliteStorage } from '../storage-places/sqlite-storage-place.ts';

const GOOD = aTaskId(1);
const BAD = aTaskId(2);

/** How to damage the row of `BAD`, and what the error says about it. */
const DAMAGES: readonly (readonly [what: string, sql: string, says: string])[] = [
  ['not JSON', `UPDATE tasks SET state = '{' WHERE id = '${BAD}'`, 'not JSON'],
  ['not an object', `UPDATE tasks SET state = '7' WHERE id = '${BAD}'`, 'must be an object, found 7'],
  ['a generation below zero', `UPDATE tasks SET state = json_set(state, '$.generation', -1) WHERE id = '${BAD}'`, 'generation'],
  ['a generation that is not exact', `UPDATE tasks SET state = json_set(state, '$.generation', 1e17) WHERE id = '${BAD}'`, 'generation'],
  ['a status that does not exist', `UPDATE tasks SET state = json_set(state, '$.status', 'lost') WHERE id = '${BAD}'`, 'status'],
  ['a time that is text', `UPDATE tasks SET state = json_set(state, '$.createdAtMs', 'now') WHERE id = '${BAD}'`, 'createdAtMs'],
];

for (const [what, sql, says] of DAMAGES) {
  t.test(`a task with a damaged stored state (${what}) is named in the error of a direct read, and left out of searches`, async (t) => {
    const file = path.join(await emptyFolder(t), 'agentcom.db');
    const before = closedAfter(t, sqliteStorage(file));
    await before.open();
    await commit(before, inserting(aTask({ id: GOOD }), aTask({ id: BAD })));
    await before.close();
    await outside(file, sql, `UPDATE tasks SET due_at = ${A_MOMENT_MS}`);

    const log = memoryLog();
    const { tasks, ...storage } = closedAfter(t, sqliteStorage(file, { log }));
    await storage.open();
    const found = await tasks.transact('b1', async (unit) => ({
      due: await unit.due(A_MOMENT_MS, 10),
      claimable: await unit.claimable({ requirementKeys: ['[null]'], nowMs: A_MOMENT_MS, limitPerLane: 10 }),
    }));
    t.strictSame(
      [found.due, found.claimable].map((some) => some.map(({ id }) => id)),
      [[GOOD], [GOOD]],
      'the other one is still found',
    );
    t.strictSame(
      (await tasks.list({ limit: 10 })).map(({ task }) => task.id),
      [GOOD],
    );
    const named = await failsWith(
      t,
      tasks.transact('b2', (unit) => unit.load({ tasks: [BAD], agents: [], keys: [] })),
      'AC_STORE_DAMAGED',
      'loaded by ID',
    );
    t.match(named?.message, BAD);
    t.match(named?.message, says);
    await failsWith(t, tasks.read(BAD), 'AC_STORE_DAMAGED', 'read outside a transaction');
    const logged = log.lines.filter(({ message }) => message === 'a stored row cannot be read and is skipped');
    t.equal(logged.length, 1, 'logged only once');
  });
}

for (const [bad, count] of [
  [1, 3],
  [2, 700],
  [700, 700],
] as const) {
  t.test(`R16: the damaged row ${bad} of ${count} waiting ones hides none of the others`, async (t) => {
    const file = path.join(await emptyFolder(t), 'agentcom.db');
    const before = closedAfter(t, sqliteStorage(file));
    await before.open();
    const ids = Array.from({ length: count }, (_, at) => aTaskId(at + 1));
    await commit(before, inserting(...ids.map((id) => aTask({ id, requirement: { capabilities: ['gpu'], assignTo: null } }))));
    await before.close();
    await outside(file, `UPDATE tasks SET state = '{' WHERE id = '${ids[bad - 1] ?? ''}'`);
    const { tasks, ...storage } = closedAfter(t, sqliteStorage(file));
    await storage.open();
    const given = new Set<string>();
    for (let batch = 0; given.size < count - 1; batch += 1) {
      const found = await tasks.transact(`give out ${batch}`, async (unit) => {
        const { requirements } = await unit.waitingRequirements({ nowMs: A_MOMENT_MS, limit: 10 });
        const first = await unit.claimable({ requirementKeys: requirements.map(requirementKey), nowMs: A_MOMENT_MS, limitPerLane: 64 });
        if (first.length > 0) await unit.save(changes({ updated: first.map((task) => ({ task: { ...task, status: 'cancelled' as const, updatedAtMs: A_MOMENT_MS }, dueAtMs: null })) }), true); // prettier-ignore
        return first;
      });
      t.ok(found.length <= 64);
      if (found.length === 0) break;
      for (const { id } of found) given.add(id);
    }
    t.strictSame([...given].sort(), ids.filter((_, at) => at !== bad - 1).sort(), 'each of the others is assigned'); // prettier-ignore
  });
}

for (const [what, sql] of [
  ['not JSON', `UPDATE task_bodies SET body = 'nope' WHERE task_id = '${BAD}'`],
  ['not an object', `UPDATE task_bodies SET body = 'null' WHERE task_id = '${BAD}'`],
  ['missing', `DELETE FROM task_bodies WHERE task_id = '${BAD}'`],
] as const) {
  t.test(`a task with a damaged body (${what}) is named in the error of a direct read, and stops no other assignment`, async (t) => {
    const file = path.join(await emptyFolder(t), 'agentcom.db');
    const before = closedAfter(t, sqliteStorage(file));
    await before.open();
    await commit(before, inserting(aTask({ id: GOOD }), aTask({ id: BAD })));
    await before.close();
    await outside(file, sql);
    const { tasks, ...storage } = closedAfter(t, sqliteStorage(file));
    await storage.open();
    const bodies = await tasks.transact('b1', (unit) => unit.bodies([BAD, GOOD]));
    t.strictSame(bodies.map(({ taskId }) => taskId), [GOOD]); // prettier-ignore
    const listed = await tasks.list({ limit: 10 });
    t.strictSame(listed.map(({ task }) => task.id), [GOOD]); // prettier-ignore
    t.match((await failsWith(t, tasks.read(BAD), 'AC_STORE_DAMAGED', 'read'))?.message, `task ${BAD}: its body`);
  });
}

const ANY_EVENT = {};
const END = { status: 'cancelled', eligibleAtMs: null } as const;

for (const [what, sql] of [
  ['details that are not JSON', `UPDATE task_events SET details = '{' WHERE task_id = '${BAD}'`],
  ['earlier events that are none', `UPDATE task_events SET earlier = '[7]' WHERE task_id = '${BAD}'`],
] as const) {
  t.test(`an event with ${what} is named where its task is read, and stops neither the stream of events nor the removal`, async (t) => {
    const file = path.join(await emptyFolder(t), 'agentcom.db');
    const before = closedAfter(t, sqliteStorage(file));
    await before.open();
    const ended = [GOOD, BAD].map((id) => ({ task: aTask({ id, ...END }), dueAtMs: null, body: aBody() }));
    await commit(
      before,
      changes({ inserted: ended, events: [BAD, GOOD, aTaskId(3)].map((taskId) => anEvent({ taskId, event: 'submitted' })) }),
    );
    await before.close();
    await outside(file, sql);
    const log = memoryLog();
    const stored = closedAfter(t, sqliteStorage(file, { log }));
    await stored.open();
    const { tasks, events } = stored;
    t.strictSame(
      (await events.after(0, ANY_EVENT, 10)).events.map(({ taskId }) => taskId),
      [GOOD, aTaskId(3)],
    );
    t.match((await failsWith(t, tasks.history(BAD, { limit: 10, bytesMax: 1e6 }), 'AC_STORE_DAMAGED', 'by ID'))?.message, 'event 1: its');
    const archived: string[] = [];
    const archive = (piece: readonly WholeTask[]): Promise<void> =>
      Promise.resolve(void archived.push(...piece.map(({ task }) => task.id)));
    t.match(await remove(stored, { archive }), { tasks: 1 });
    t.strictSame(archived, [GOOD]);
    t.match(await tasks.transact('b2', (unit) => unit.load({ tasks: [GOOD, BAD] })), { tasks: [{ id: BAD }], tombstones: [{ id: GOOD }] });
    t.equal(log.lines.filter(({ message }) => message === 'a stored row cannot be read and is skipped').length, 1, 'logged once');
  });
}

t.test('a pending stop that cannot be read is left out, and the other stops and tasks of its agent are not', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const before = closedAfter(t, sqliteStorage(file));
  await before.open();
  const stopsSet = [GOOD, BAD].map((taskId) => aStop({ taskId }));
  await commit(before, changes({ agents: [anAgent()], stopsSet }));
  await before.close();
  await outside(file, `UPDATE pending_stops SET state = '{' WHERE task_id = '${BAD}'`);
  const log = memoryLog();
  const { tasks, ...storage } = closedAfter(t, sqliteStorage(file, { log }));
  await storage.open();
  const { holdings } = await tasks.transact('b1', (unit) => unit.load({ holders: [anAgentId()] }));
  t.match(holdings, [{ stops: [{ taskId: GOOD }] }]);
  t.equal(holdings[0]?.stops.length, 1);
  t.equal(log.lines.filter(({ message }) => message === 'a stored row cannot be read and is skipped').length, 1);
});

t.test('a damaged idempotency key or tombstone is named in the error of whoever needs it', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const before = closedAfter(t, sqliteStorage(file));
  await before.open();
  await commit(before, changes({ keys: [aKey({ key: 'k1' }), aKey({ key: 'k2' })] }));
  await before.close();
  await outside(
    file,
    `UPDATE idempotency_keys SET task_ids = '[' WHERE key = 'k1'`,
    `INSERT INTO tombstones (task_id, removed_at, state) VALUES ('${BAD}', 1, '{')`,
  );
  const { tasks, ...storage } = closedAfter(t, sqliteStorage(file));
  await storage.open();
  const load = (names: LoadNames) => tasks.transact(JSON.stringify(names), (unit) => unit.load(names));
  const { owner } = aKey();
  t.match((await failsWith(t, load({ keys: [{ owner, key: 'k1' }] }), 'AC_STORE_DAMAGED', 'a key'))?.message, `["${owner}","k1"]`);
  t.match(await load({ keys: [{ owner, key: 'k2' }] }), { keys: [{ key: 'k2' }] });
  t.match(
    (await failsWith(t, load({ tasks: [BAD] }), 'AC_STORE_DAMAGED', 'a tombstone'))?.message,
    `tombstone ${BAD}: its state is not JSON`,
  );
});

t.test('an agent with a damaged stored state is left out of lists, and named in the error of a direct read', async (t) => {
  const file = path.join(await emptyFolder(t), 'agentcom.db');
  const before = closedAfter(t, sqliteStorage(file));
  await before.open();
  await commit(before, changes({ agents: [anAgent(), anAgent({ id: anAgentId('a2') })] }));
  await before.close();
  await outside(file, `UPDATE agents SET state = json_set(state, '$.slots', -5) WHERE id = 'a2'`);
  const { agents, ...storage } = closedAfter(t, sqliteStorage(file));
  await storage.open();
  t.strictSame(
    (await agents.listAgents({ limit: 10 })).map(({ agent }) => agent.id),
    ['a1'],
  );
  await failsWith(t, agents.getAgent(anAgentId('a2')), 'AC_STORE_DAMAGED', 'loaded by ID');
});
