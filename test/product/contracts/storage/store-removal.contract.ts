/** What every unit of work removes, what it leaves in its place, and what it must keep. */
import type { Task } from '../../../../core/domain/task/task.ts';
import { tombstoneOf } from '../../../../core/domain/task/tombstone.ts';
import { agentHistoryId, type AgentEventName } from '../../../../core/domain/task/event.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import type { TokenRecord } from '../../../../core/ports/agent-store.ts';
import { ARCHIVED_BYTES, type RemovedAgents, type WholeTask } from '../../../../core/domain/task/removal.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  aKept,
  aKey,
  aStop,
  aTask,
  aTaskId,
  aToken,
  anAgent,
  anAgentId,
  anEvent,
  changes,
  inserting,
  updating,
} from '../fixtures.ts';
import { refusesUsedNames } from './named-case.ts';
import { commit, openedIn, remove, type StorageSubject } from './storage-room.ts';

const look = <T>(storage: Storage, work: (unit: StoreUnit) => Promise<T>): Promise<T> => storage.tasks.transact('look', work);

const OLD_MS = A_MOMENT_MS - 1_000;
const ended = (n: number, over: Partial<Task> = {}): Task =>
  aTask({ id: aTaskId(n), status: 'completed', generation: aGeneration(2), updatedAtMs: OLD_MS + n, ...over });

const left = async (storage: Storage, ...numbers: readonly number[]): Promise<readonly number[]> => {
  const found = await storage.tasks.peek(numbers.map(aTaskId));
  return numbers.filter((n) => found.some(({ id }) => id === aTaskId(n)));
};

const tombstonesOf = async (storage: Storage, ...numbers: readonly number[]) =>
  (await look(storage, (unit) => unit.load({ tasks: numbers.map(aTaskId), agents: [], keys: [] }))).tombstones;

export function storeRemovalCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`Store removal contract, ${name}`, runner, (test) => {
    test('R1: a named task whose name was used before fails the whole transaction, which may be repeated', (t) =>
      refusesUsedNames(t, subject));

    test('R9: a removed task leaves a tombstone with its outcomes, and nothing else', async (t) => {
      const storage = await openedIn(t, subject);
      const outcome = { generation: aGeneration(1), agentId: anAgentId(), report: 'complete', answer: 'complete' } as const;
      const task = ended(1, { outcomes: [outcome], priority: 'high' });
      const [, , kept] = await commit(
        storage,
        changes({
          ...inserting(task, aTask({ id: aTaskId(2) })),
          events: [anEvent(), anEvent({ seq: 2, event: 'completed' }), anEvent({ taskId: aTaskId(2) })],
          results: [{ taskId: task.id, json: '{}' }],
        }),
      );
      t.strictSame(await remove(storage), { tasks: 1, tombstones: 0, keys: 0, secrets: 0, next: null });
      t.equal(await storage.tasks.read(task.id), undefined);
      t.strictSame(await tombstonesOf(storage, 1, 2), [tombstoneOf(task, A_MOMENT_MS)]);
      t.strictSame((await storage.events.after(0, {}, 10)).events, [kept], 'the history of the other remains');
      t.equal((await storage.tasks.stats()).statuses.completed, 0);
      t.strictSame(await look(storage, (unit) => unit.bodies([task.id])), []);
    });

    test('ended tasks beyond the maximum are removed, oldest first, but no dead letters', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(
        storage,
        changes({
          ...inserting(
            ended(1, { status: 'dead_letter' }),
            ended(2),
            ended(3, { status: 'cancelled' }),
            ended(4),
            ended(5),
            aTask({ id: aTaskId(6) }),
          ),
          events: [anEvent({ taskId: aTaskId(6) })],
        }),
      );
      const before = { endedBeforeMs: 0, deadBeforeMs: 0 };
      const surplus = { max: 2, beforeMs: A_MOMENT_MS };
      t.equal((await remove(storage, { ...before, surplus: { max: 4, beforeMs: A_MOMENT_MS } })).tasks, 0, 'not above the maximum');
      t.equal((await remove(storage, { ...before, surplus: { ...surplus, beforeMs: OLD_MS } })).tasks, 0, 'none that has just ended');
      t.equal((await remove(storage, { ...before, surplus, limit: 1 })).tasks, 1, 'no more than the limit');
      t.strictSame(await left(storage, 1, 2, 3, 4, 5, 6), [1, 3, 4, 5, 6]);
      t.equal((await remove(storage, { ...before, surplus })).tasks, 1);
      t.strictSame(await left(storage, 1, 2, 3, 4, 5, 6), [1, 4, 5, 6]);
      t.equal((await remove(storage, { ...before, surplus })).tasks, 0);
      t.equal(
        (await remove(storage, { endedBeforeMs: OLD_MS + 4, deadBeforeMs: 0, surplus })).tasks,
        1,
        'tasks past their retention are removed anyway',
      );
      t.strictSame(await left(storage, 1, 4, 5, 6), [1, 5, 6]);
    });

    test('R4: a task is archived completely before it is removed; if the archive fails, it stays', async (t) => {
      const storage = await openedIn(t, subject);
      const kept = aKept();
      const { generation, agentId, kind, bytes, sha256, atMs } = kept;
      const task = ended(1, { kept: { results: [{ generation, agentId, kind, bytes, sha256, atMs }], refused: [] } });
      const events = await commit(
        storage,
        changes({
          ...inserting(task, aTask({ id: aTaskId(2) })),
          events: [anEvent(), anEvent({ seq: 2, event: 'completed', details: { note: 'a\u0000b' } }), anEvent({ taskId: aTaskId(2) })],
          results: [{ taskId: task.id, json: '{"sum": 1}' }],
          kept: [kept],
        }),
      );
      const fails = { archive: () => Promise.reject(new Error('the archive is full')) };
      await t.rejects(remove(storage, fails), { message: 'the archive is full' });
      t.strictSame(await left(storage, 1, 2), [1, 2], 'nothing is removed');
      const archived: WholeTask[] = [];
      const archive = (tasks: readonly WholeTask[]): Promise<void> => Promise.resolve(void archived.push(...tasks));
      t.equal((await remove(storage, { archive })).tasks, 1);
      t.strictSame(archived, [{ task, body: aBody(), result: '{"sum": 1}', events: events.slice(0, 2), kept: [kept] }]);
      t.strictSame(await left(storage, 1, 2), [2]);
    });

    test('R20: tasks with large results are archived in several batches', async (t) => {
      const storage = await openedIn(t, subject);
      const results = [1, 2, 3].map((n) => ({ taskId: aTaskId(n), json: JSON.stringify('x'.repeat(ARCHIVED_BYTES / 2)) }));
      const tasks = [1, 2, 3].map((n) => ended(n));
      await commit(
        storage,
        changes({ ...inserting(...tasks, aTask({ id: aTaskId(4) })), results, events: [anEvent({ taskId: aTaskId(4) })] }),
      );
      const pieces: (readonly string[])[] = [];
      const archive = (piece: readonly WholeTask[]): Promise<void> => Promise.resolve(void pieces.push(piece.map(({ task }) => task.id)));
      t.equal((await remove(storage, { archive })).tasks, 3);
      t.strictSame(pieces, [[aTaskId(1)], [aTaskId(2)], [aTaskId(3)]]);
    });

    test('R21: the newest event is retained, so that no number is reused and streams continue in place', async (t) => {
      const storage = await openedIn(t, subject);
      const [first] = await commit(storage, changes({ ...inserting(ended(1)), events: [anEvent()] }));
      t.match(await remove(storage), { tasks: 0 }, 'nothing is removed of the task with the newest event');
      const [next] = await commit(storage, changes({ ...inserting(aTask({ id: aTaskId(2) })), events: [anEvent({ taskId: aTaskId(2) })] }));
      t.ok((next?.id ?? 0) > (first?.id ?? Infinity));
      t.match(await remove(storage), { tasks: 1 });
      t.strictSame((await storage.events.after(first?.id ?? 0, {}, 10)).events, [next]);
      t.strictSame(await storage.events.marks(), { lastId: next?.id, removedId: first?.id });
    });

    test('tasks that are too young, not ended, needed or still being stopped are retained', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(
        storage,
        changes({
          ...inserting(
            ended(1, { updatedAtMs: A_MOMENT_MS + 1 }),
            aTask({ id: aTaskId(2), updatedAtMs: OLD_MS }),
            ended(3),
            aTask({ id: aTaskId(4), status: 'blocked', dependsOn: [aTaskId(3)] }),
            ended(5),
            aTask({ id: aTaskId(6), status: 'dead_letter', dependsOn: [aTaskId(5)], updatedAtMs: A_MOMENT_MS + 1 }),
            ended(7),
            ended(8, { status: 'cancelled', dependsOn: [aTaskId(9)] }),
            ended(9),
          ),
          stopsSet: [aStop({ taskId: aTaskId(7) })],
        }),
      );
      t.match(await remove(storage), { tasks: 2 });
      t.strictSame(await left(storage, 1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 2, 3, 4, 5, 6, 7]);
      await commit(storage, changes({ stopsCleared: [aStop({ taskId: aTaskId(7) })] }));
      await remove(storage);
      t.strictSame(await left(storage, 7), [], 'removed once its stop is confirmed');
    });

    test('dead letters have their own retention', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, inserting(ended(1), ended(2, { status: 'dead_letter' })));
      await remove(storage, { deadBeforeMs: OLD_MS });
      t.strictSame(await left(storage, 1, 2), [2]);
      await remove(storage, { endedBeforeMs: OLD_MS });
      t.strictSame(await left(storage, 2), []);
    });

    test('removal is limited per call, those that ended first going first', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, inserting(ended(3), ended(1), ended(2)));
      t.match(await remove(storage, { limit: 2 }), { tasks: 2 });
      t.strictSame(await left(storage, 1, 2, 3), [3]);
    });

    test('a task retried in the same transaction is retained', async (t) => {
      const storage = await openedIn(t, subject);
      const dead = ended(1, { status: 'dead_letter' });
      await commit(storage, inserting(dead));
      await storage.tasks.transact('retry', async (unit) => {
        await unit.save(updating({ ...dead, status: 'queued', updatedAtMs: A_MOMENT_MS }));
        const old = { nowMs: A_MOMENT_MS, endedBeforeMs: A_MOMENT_MS, deadBeforeMs: A_MOMENT_MS };
        t.match(await unit.remove({ ...old, tombstonesBeforeMs: 0, keysBeforeMs: 0, limit: 9 }), { tasks: 0 });
      });
      t.strictSame(await left(storage, 1), [1]);
    });

    test('R20: reads only as many old tasks as requested, and continues after them', async (t) => {
      const storage = await openedIn(t, subject);
      const needed = [1, 2, 3, 4].map((n) => ended(n));
      const waiting = aTask({ id: aTaskId(9), status: 'blocked', dependsOn: needed.map(({ id }) => id) });
      await commit(storage, changes({ ...inserting(...needed, ended(5), ended(6), waiting), events: [anEvent({ taskId: aTaskId(9) })] }));
      const placed = (n: number) => ({ endedAtMs: OLD_MS + n, id: aTaskId(n) });
      t.match(await remove(storage, { lookedMax: 3 }), { tasks: 0, next: placed(3) });
      t.match(await remove(storage, { lookedMax: 3, after: placed(3), limit: 1 }), { tasks: 1, next: placed(5) });
      t.strictSame(await left(storage, 1, 4, 5, 6), [1, 4, 6]);
      t.match(await remove(storage, { lookedMax: 3, after: placed(5) }), { tasks: 1, next: null });
      t.match(await remove(storage, { lookedMax: 3, after: null }), { tasks: 0, next: placed(3) });
    });

    test('R20: expired enrollment secrets are removed too', async (t) => {
      const storage = await openedIn(t, subject);
      await storage.agents.addEnrolSecret('over', A_MOMENT_MS - 1);
      await storage.agents.addEnrolSecret('good', A_MOMENT_MS);
      t.match(await remove(storage), { secrets: 1 });
      t.equal(await storage.agents.takeEnrolSecret('over', A_MOMENT_MS - 1), false);
      t.equal(await storage.agents.takeEnrolSecret('good', A_MOMENT_MS), true);
    });

    test('R20: agents that no token can act for are removed with their tokens, some at a time', async (t) => {
      const storage = await openedIn(t, subject);
      const { agents } = storage;
      const named = (name: string): AgentId => `${name}-agent` as AgentId;
      const [revoked, expired, stopping] = [named('a'), named('b'), named('c')];
      const [working, connected, late, good, renewed] = [named('d'), named('e'), named('f'), named('g'), named('h')];
      const token = (agentId: AgentId, over: Partial<TokenRecord> = {}): Promise<unknown> =>
        agents.addToken(aToken({ agentId, id: `tok-${agentId}`, hash: agentId.padEnd(64), ...over }));
      for (const id of [revoked, stopping, working, connected, late, renewed]) await token(id, { revokedAtMs: OLD_MS });
      await token(expired, { expiresAtMs: OLD_MS });
      await token(good);
      await token(late, { id: 'tok-late', hash: '1'.repeat(64), revokedAtMs: A_MOMENT_MS });
      await token(renewed, { id: 'tok-new', hash: '2'.repeat(64) });
      await commit(
        storage,
        changes({
          ...inserting(aTask({ id: aTaskId(1), status: 'assigned', generation: aGeneration(1), assignedTo: working })),
          agents: [anAgent({ id: connected })],
          stopsSet: [aStop({ agentId: stopping })],
        }),
      );
      const removed = (after: AgentId | null, lookedMax = 3): Promise<RemovedAgents> =>
        storage.tasks.transact('remove', (unit) => unit.removeAgents({ beforeMs: OLD_MS, after, lookedMax, eventsKept: 5 }));
      t.strictSame(await removed(null), { agents: [revoked, expired], next: stopping });
      t.strictSame(await removed(stopping), { agents: [], next: late });
      t.strictSame(await removed(late), { agents: [], next: null });
      t.strictSame(await removed(null, 100), { agents: [], next: null }, 'the rest is needed or not old enough');
      t.strictSame(
        (await agents.listAgents({ limit: 10 })).map(({ agent }) => agent.id),
        [stopping, working, connected, late, good, renewed],
      );
      t.notOk((await agents.listTokens({ limit: 20 })).some(({ agentId }) => agentId === revoked || agentId === expired));
    });

    test('R20: an agent is removed by name as soon as no token can act for it', async (t) => {
      const storage = await openedIn(t, subject);
      const { agents } = storage;
      const id = anAgentId();
      t.equal(await agents.removeAgent(id, A_MOMENT_MS), 'unknown');
      await agents.addToken(aToken());
      await commit(storage, changes({ agents: [anAgent()] }));
      t.equal(await agents.removeAgent(id, A_MOMENT_MS), 'needed', 'it is connected');
      await commit(storage, changes({ agents: [anAgent({ connected: false, sessionNumber: 7 })] }));
      t.equal(await agents.removeAgent(id, A_MOMENT_MS), 'needed', 'its token is valid');
      await agents.revokeTokens({ agentId: id }, A_MOMENT_MS);
      t.equal(await agents.removeAgent(id, A_MOMENT_MS), 'removed');
      t.equal(await agents.getAgent(id), undefined);
      t.strictSame((await look(storage, (unit) => unit.load({ agents: [id] }))).agents, [], 'no trace of it is left');
      await agents.addToken(aToken({ id: 'tok-2', hash: '2'.repeat(64) }));
      t.match((await agents.getAgent(id))?.agent, { sessionNumber: 0 }, 'the next token creates a new one');
      t.equal((await agents.listTokens({ limit: 10 })).length, 1);
    });

    test('the newest events of an agent are retained; those of a removed one are removed with it', async (t) => {
      const storage = await openedIn(t, subject);
      const { agents, tasks, events } = storage;
      const [busy, quiet] = ['a-agent' as AgentId, 'b-agent' as AgentId];
      const ofAgent = (agentId: AgentId, seq: number) =>
        anEvent({ taskId: agentHistoryId(agentId), seq, event: 'agent_connected', agentId, generation: null });
      await commit(storage, changes({ agents: [anAgent({ id: busy }), anAgent({ id: quiet, connected: false })] }));
      await commit(storage, changes({ events: [1, 2, 3, 4, 5].map((seq) => ofAgent(busy, seq)) }));
      await commit(storage, changes({ events: [1, 2].map((seq) => ofAgent(quiet, seq)) }));
      const trim = (eventsKept: number): Promise<RemovedAgents> =>
        tasks.transact('remove', (unit) => unit.removeAgents({ beforeMs: OLD_MS, after: null, lookedMax: 10, eventsKept }));
      const left = async (): Promise<readonly string[]> =>
        (await events.after(0, {}, 100)).events.map(({ agentId, seq }) => `${String(agentId)} ${seq}`);
      await trim(3);
      const newest = ['a-agent 3', 'a-agent 4', 'a-agent 5'];
      t.strictSame(await left(), ['a-agent 2', ...newest, 'b-agent 1', 'b-agent 2'], 'including whether it was connected before');
      t.equal((await events.marks()).removedId, 0, 'a reader that resumes is not notified of a gap: the state is in what is left');
      t.strictSame(
        (await tasks.history(agentHistoryId(busy), { limit: 2, bytesMax: 10_000 })).map(({ seq }) => seq),
        [4, 5],
        'they are read like the history of a task',
      );
      await agents.addToken(aToken({ agentId: quiet, id: 'tok-b', hash: 'b'.repeat(64), revokedAtMs: OLD_MS }));
      t.strictSame((await trim(3)).agents, [quiet]);
      t.strictSame(await left(), ['a-agent 2', ...newest, 'b-agent 2'], 'the newest event of the store is retained');
    });

    test('the retained events of an agent give its state', async (t) => {
      const storage = await openedIn(t, subject);
      const { tasks, events } = storage;
      const agentId = anAgentId();
      let seq = 0;
      const say = (...names: readonly AgentEventName[]): Promise<unknown> =>
        commit(
          storage,
          changes({ events: names.map((event) => anEvent({ taskId: agentHistoryId(agentId), seq: (seq += 1), event, agentId, generation: null })) }), // prettier-ignore
        );
      const trimmed = async (eventsKept: number): Promise<readonly string[]> => {
        await tasks.transact('remove', (unit) => unit.removeAgents({ beforeMs: OLD_MS, after: null, lookedMax: 10, eventsKept }));
        return (await events.after(0, {}, 100)).events.map((one) => `${one.seq} ${one.event}`);
      };
      await commit(storage, changes({ agents: [anAgent({ id: agentId })] }));
      await say('agent_connected', 'agent_paused', 'agent_draining');
      await say('agent_disconnected', 'agent_connected', 'agent_disconnected', 'agent_connected');
      const draining = '3 agent_draining';
      const away = ['6 agent_disconnected', '7 agent_connected'];
      t.strictSame(await trimmed(2), [draining, '5 agent_connected', ...away]);
      t.strictSame(await trimmed(2), [draining, '5 agent_connected', ...away], 'nothing more');
      await say('agent_disconnected', 'agent_connected');
      const again = ['7 agent_connected', '8 agent_disconnected', '9 agent_connected'];
      t.strictSame(await trimmed(2), [draining, ...again], 'the drain is old, but nothing has ended it');
      await say('agent_resumed', 'agent_paused', 'agent_resumed', 'agent_paused');
      const paused = ['12 agent_resumed', '13 agent_paused'];
      t.strictSame(await trimmed(2), ['9 agent_connected', '11 agent_paused', ...paused], 'it is still connected');
    });

    test('a task that is due is not removed: its dependents are still being unblocked', async (t) => {
      const storage = await openedIn(t, subject);
      const unblocking = { ...ended(1), dependentsAfter: aTaskId(7) };
      await commit(storage, changes({ inserted: [{ task: unblocking, dueAtMs: A_MOMENT_MS, body: aBody() }] }));
      await commit(storage, changes({ ...inserting(ended(2)), events: [anEvent({ taskId: aTaskId(9) })] }));
      t.match(await remove(storage, {}), { tasks: 1 });
      t.strictSame(await left(storage, 1, 2), [1]);
      await commit(storage, changes({ updated: [{ task: { ...unblocking, dependentsAfter: null }, dueAtMs: null }] }));
      t.match(await remove(storage, {}), { tasks: 1 });
    });

    test('nothing is removed by a transaction that fails', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, changes({ ...inserting(ended(1)), events: [anEvent(), anEvent({ taskId: aTaskId(2) })] }));
      const failing = storage.tasks.transact('failing', async (unit) => {
        await unit.remove({ nowMs: 1, endedBeforeMs: A_MOMENT_MS, deadBeforeMs: 0, tombstonesBeforeMs: 0, keysBeforeMs: 0, limit: 9 });
        throw new Error('no');
      });
      await t.rejects(failing, { message: 'no' });
      t.equal((await storage.tasks.read(aTaskId(1)))?.events.length, 1);
    });

    test('tombstones and keys are removed by age, except a tombstone that a task depends on', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(
        storage,
        changes({ ...inserting(ended(1), ended(2)), keys: [aKey(), aKey({ key: 'young', createdAtMs: A_MOMENT_MS })] }),
      );
      await remove(storage, { keysBeforeMs: 0 });
      const waiting = { task: aTask({ id: aTaskId(3), dependsOn: [aTaskId(2)] }), dueAtMs: null, body: aBody() };
      await commit(storage, changes({ inserted: [waiting] }));
      const later = { tombstonesBeforeMs: A_MOMENT_MS, keysBeforeMs: A_MOMENT_MS - 1 };
      t.match(await remove(storage, later), { tombstones: 1, keys: 0 });
      t.match(await tombstonesOf(storage, 1, 2), [{ id: aTaskId(2) }]);
      t.match(await remove(storage, { ...later, keysBeforeMs: A_MOMENT_MS }), { tombstones: 0, keys: 2 });
    });
  });
}
