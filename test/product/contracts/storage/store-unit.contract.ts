/** How every unit of work loads and saves. Each MUST of `StoreUnit` in core/ports/task-store.ts is a test here. */
import type { TaskId } from '../../../../core/domain/ids.ts';
import type { Task } from '../../../../core/domain/task/task.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  aKey,
  aRequirement,
  aStop,
  aTask,
  aTaskId,
  anAgent,
  anAgentId,
  anEvent,
  changes,
  inserting,
  updating,
} from '../fixtures.ts';
import { commit, failsWith, HOSTILE_TEXTS, openedIn, type StorageSubject } from './storage-room.ts';

const look = <T>(storage: Storage, work: (unit: StoreUnit) => Promise<T>): Promise<T> => storage.tasks.transact('look', work);

/** A task with a non-default value in every field. */
const FULL: Task = {
  id: aTaskId(255),
  priority: 'low',
  status: 'assigned',
  generation: aGeneration(Number.MAX_SAFE_INTEGER),
  generationFloor: aGeneration(12),
  requirement: aRequirement(['a', 'b'], 'a1'),
  assignedTo: anAgentId(),
  assignedAtMs: A_MOMENT_MS + 1,
  acceptedAtMs: A_MOMENT_MS + 2,
  deadlineAtMs: A_MOMENT_MS + 3,
  hushedAtMs: A_MOMENT_MS + 2,
  runDeadlineAtMs: A_MOMENT_MS + 4,
  wokenAtMs: A_MOMENT_MS + 5,
  resent: 1,
  progressCount: 7,
  round: 2,
  retryCount: 3,
  maxRetries: 100,
  handBacks: 4,
  parked: false,
  avoid: anAgentId('a2'),
  rejectedBy: [anAgentId('a4'), anAgentId('a5')],
  takenBack: { agentId: anAgentId('a3'), generation: aGeneration(5) },
  eligibleAtMs: A_MOMENT_MS + 6,
  expiresAtMs: A_MOMENT_MS + 7,
  completeByMs: A_MOMENT_MS + 8,
  runAtMs: A_MOMENT_MS + 9,
  ttlMs: 10,
  runMaxMs: 11,
  dependsOn: [aTaskId(1), aTaskId(2)],
  dependentsAfter: aTaskId(3),
  deadReason: 'not_retryable',
  lastError: 'it broke',
  usage: {
    attempts: [
      {
        generation: aGeneration(4),
        agentId: anAgentId('a3'),
        tokensUsed: Number.MAX_SAFE_INTEGER,
        costUsd: 0.1 + 0.2,
        models: [{ model: 'm\u0000 "1"', inputTokens: 1, cachedInputTokens: null, outputTokens: Number.MAX_SAFE_INTEGER, costUsd: 5e-324 }],
      },
    ],
    earlier: { tokensUsed: 1, costUsd: null },
  },
  session: { id: 'ses-1', agentId: anAgentId('a3'), instanceId: 'instance-1' },
  outcomes: [{ generation: aGeneration(4), agentId: anAgentId('a3'), report: 'failed', answer: 'retried' }],
  kept: {
    results: [
      { generation: aGeneration(3), agentId: anAgentId('a2'), kind: 'late', bytes: 7, sha256: 'e'.repeat(64), atMs: A_MOMENT_MS + 15 },
    ],
    refused: [{ agentId: null, told: 0, counted: 2 }],
  },
  submittedBy: 'tok-9',
  createdAtMs: A_MOMENT_MS + 12,
  updatedAtMs: A_MOMENT_MS + 13,
  eventSeq: 14,
};

export function storeUnitCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`StoreUnit contract, ${name}`, runner, (test) => {
    test('returns what was saved, numbers as numbers', async (t) => {
      const storage = await openedIn(t, subject);
      const agent = anAgent({ capabilities: ['a'], slots: 128, pausedUntilMs: A_MOMENT_MS, pausedCause: 'auth', pauses: 3, checks: { atMs: A_MOMENT_MS, failed: [{ check: 'logged in', message: 'not logged in' }], passed: [] }, strikes: [aTaskId(1)], resources: { cpu_percent: 0.5, nested: { list: [1, null] } } }); // prettier-ignore
      const key = aKey({ taskIds: [aTaskId(1), aTaskId(2)] });
      await commit(storage, { ...inserting(FULL), agents: [agent], keys: [key] });
      const loaded = await look(storage, (unit) => unit.load({ tasks: [FULL.id], agents: [agent.id], keys: [key] }));
      t.strictSame(loaded, { tasks: [FULL], tombstones: [], agents: [agent], keys: [key], holdings: [] });
      const changed: Task = {
        ...FULL,
        status: 'queued',
        assignedTo: null,
        usage: { attempts: [], earlier: { tokensUsed: null, costUsd: 5e-324 } },
        session: null,
        dependsOn: [],
        outcomes: [],
      };
      await commit(storage, updating(changed));
      t.strictSame((await storage.tasks.peek([FULL.id]))[0], changed);
    });

    test('omits unknown names and returns each known one once', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, { ...inserting(aTask()), agents: [anAgent()], keys: [aKey()] });
      const loaded = await look(storage, (unit) =>
        unit.load({
          tasks: [aTaskId(1), aTaskId(1), aTaskId(2), "x' OR 1=1 --" as TaskId],
          agents: [anAgentId('nobody'), anAgentId(), anAgentId()],
          keys: [aKey(), aKey({ owner: 'tok-2' }), aKey({ key: 'other' })],
        }),
      );
      t.strictSame(loaded, { tasks: [aTask()], tombstones: [], agents: [anAgent()], keys: [aKey()], holdings: [] });
      t.strictSame(await look(storage, (unit) => unit.load({})), {
        tasks: [],
        tombstones: [],
        agents: [],
        keys: [],
        holdings: [],
      });
    });

    test('stores hostile text byte for byte', async (t) => {
      const storage = await openedIn(t, subject);
      for (const [n, text] of HOSTILE_TEXTS.entries()) {
        const task = aTask({ id: aTaskId(n), lastError: text, requirement: aRequirement([text]) });
        const body = aBody({ description: text, metadata: text, repo: text, fileHints: [text, text] });
        const details = JSON.parse(JSON.stringify({ text, [`key ${text}`]: text })) as Readonly<Record<string, unknown>>;
        const key = aKey({ key: text, owner: `owner ${text}` });
        const agent = anAgent({ id: anAgentId(`a${n}`), name: text, capabilities: [text], resources: details });
        const events = [anEvent({ taskId: task.id, details })];
        await commit(storage, changes({ inserted: [{ task, dueAtMs: null, body }], events, keys: [key], agents: [agent], results: [{ taskId: task.id, json: text }] })); // prettier-ignore
        const found = await storage.tasks.read(task.id);
        const label = JSON.stringify(text.slice(0, 20));
        t.strictSame(
          { ...found, events: found?.events.map((event) => event.details) },
          { task, body, result: text, events: [details] },
          label,
        );
        const loaded = await look(storage, (unit) => unit.load({ tasks: [], agents: [agent.id], keys: [key] }));
        t.strictSame(loaded, { tasks: [], tombstones: [], agents: [agent], keys: [key], holdings: [] }, `${label} in agent and key`);
      }
    });

    test('stores names that are built-in object properties', async (t) => {
      const storage = await openedIn(t, subject);
      const text = '{"__proto__":{"admin":true},"constructor":1,"toString":null}';
      await commit(storage, { ...inserting(aTask()), events: [anEvent({ details: JSON.parse(text) as Record<string, unknown> })] });
      t.equal(JSON.stringify((await storage.tasks.read(aTaskId(1)))?.events[0]?.details), text);
    });

    test('tolerates repeats: nothing changes, and events keep their ids', async (t) => {
      const storage = await openedIn(t, subject);
      const body = aBody({ description: 'first' });
      const first = changes({ inserted: [{ task: aTask(), dueAtMs: 5, body }], events: [anEvent()], keys: [aKey()] });
      const [stored] = await commit(storage, first);
      await commit(storage, updating(aTask({ status: 'completed', eventSeq: 2 })));
      const other = { task: aTask({ priority: 'urgent' }), dueAtMs: 9, body: aBody({ description: 'second' }) };
      const again = await commit(storage, changes({ inserted: [other], events: [anEvent(), anEvent({ seq: 2 })], keys: [aKey({ digest: 'other' })] })); // prettier-ignore
      t.equal(again[0]?.id, stored?.id, 'the same place');
      t.ok((again[1]?.id ?? 0) > (stored?.id ?? 0), 'a new one after it');
      const found = await storage.tasks.read(aTaskId(1));
      t.equal(found?.task.status, 'completed');
      t.strictSame(found?.body, body);
      t.equal(found?.events.length, 2);
      t.equal(await storage.tasks.nextDueAtMs(), null);
      t.strictSame((await look(storage, (unit) => unit.load({ tasks: [], agents: [], keys: [aKey()] }))).keys, [aKey()]);
    });

    test('tolerates repeats of some events of a commit, with and without new ones', async (t) => {
      const storage = await openedIn(t, subject);
      const events = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => anEvent({ seq: from + n }));
      const stored = await commit(storage, changes({ ...inserting(aTask()), events: events(1, 4) }));
      t.strictSame(await commit(storage, changes({ ...inserting(aTask()), events: events(1, 2) })), stored.slice(0, 2), 'the first');
      t.strictSame(await commit(storage, changes({ ...inserting(aTask()), events: events(1, 4) })), stored, 'all');
      const next = await commit(storage, changes({ ...inserting(aTask()), events: [...events(2, 6), anEvent({ taskId: aTaskId(2) })] }));
      t.strictSame(next.slice(0, 3), stored.slice(1), 'the last, and two more');
      const all = (await storage.events.after(0, { taskId: aTaskId(1) }, 100)).events;
      t.strictSame(all, [...stored, ...next.slice(3, 5)]);
      const ids = [...all.map(({ id }) => id), next[5]?.id ?? 0].sort((a, b) => a - b);
      t.strictSame(ids, ids.map((_, n) => n + 1), 'no number is skipped'); // prettier-ignore
    });

    test('a key that was not loaded and belongs to other tasks fails the whole transaction, which may be repeated', async (t) => {
      const storage = await openedIn(t, subject);
      if (!(await look(storage, async (unit) => unit.isExclusive))) return;
      await commit(storage, { ...inserting(aTask()), keys: [aKey()] });
      const taken = { ...inserting(aTask({ id: aTaskId(2) })), keys: [aKey({ key: 'new', taskIds: [aTaskId(2)] }), aKey({ taskIds: [aTaskId(2)] })] }; // prettier-ignore
      await t.rejects(commit(storage, taken), { code: 'AC_STORE_RETRY' });
      await t.rejects(look(storage, (unit) => unit.save(taken)), { code: 'AC_STORE_RETRY' }, 'even if more follows'); // prettier-ignore
      const names = { tasks: [aTaskId(2)], keys: [aKey(), aKey({ key: 'new' })] };
      const loaded = await look(storage, (unit) => unit.load(names));
      t.strictSame({ tasks: loaded.tasks, keys: loaded.keys }, { tasks: [], keys: [aKey()] }, 'nothing has changed');
      await commit(storage, { ...inserting(aTask({ id: aTaskId(2) })), keys: [aKey({ key: 'new', taskIds: [aTaskId(2)] })] });
      t.equal((await look(storage, (unit) => unit.load(names))).keys.length, 2);
    });

    test('numbers events in the given order, also across commits', async (t) => {
      const storage = await openedIn(t, subject);
      const events = [3, 1, 2].flatMap((n) =>
        [1, 2].map((seq) => anEvent({ taskId: aTaskId(n), seq, agentId: anAgentId(), generation: aGeneration(n), session: 4 })),
      );
      const stored = [
        ...(await commit(storage, changes({ events }))),
        ...(await commit(storage, changes({ events: [anEvent({ taskId: aTaskId(9) })] }))),
      ];
      t.strictSame(stored.map(({ id: _, ...event }) => event), [...events, anEvent({ taskId: aTaskId(9) })]); // prettier-ignore
      t.strictSame(stored.map(({ id }) => id), stored.map(({ id }) => id).toSorted((a, b) => a - b)); // prettier-ignore
      t.equal(new Set(stored.map(({ id }) => id)).size, 7);
      t.strictSame((await storage.events.after(0, {}, 100)).events, stored);
    });

    test('sees its own changes', async (t) => {
      const storage = await openedIn(t, subject);
      await look(storage, async (unit) => {
        await unit.save({ ...inserting(aTask()), agents: [anAgent()], stopsSet: [aStop()], keys: [aKey()] });
        await unit.save(updating(aTask({ retryCount: 1 })));
        const loaded = await unit.load({ tasks: [aTaskId(1)], agents: [anAgentId()], keys: [aKey()] });
        t.strictSame(loaded, { tasks: [aTask({ retryCount: 1 })], tombstones: [], agents: [anAgent()], keys: [aKey()], holdings: [] });
        t.equal((await unit.claimable({ requirementKeys: ['[null]'], nowMs: A_MOMENT_MS, limitPerLane: 1 })).length, 1);
        t.strictSame((await unit.load({ holders: [anAgentId()] })).holdings[0]?.stops, [aStop()]);
        await unit.save(changes({ stopsCleared: [aStop()] }));
        t.strictSame((await unit.load({ holders: [anAgentId()] })).holdings[0]?.stops, []);
        t.equal((await unit.bodies([aTaskId(1)])).length, 1);
      });
    });

    test('inserts and updates in one save, the last change of a task wins', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, {
        ...inserting(aTask()),
        updated: [1, 2].map((retryCount) => ({ task: aTask({ retryCount }), dueAtMs: retryCount })),
      });
      t.equal((await storage.tasks.peek([aTaskId(1)]))[0]?.retryCount, 2);
      t.equal(await storage.tasks.nextDueAtMs(), 2);
    });

    test('fails as a whole when a changed task was never inserted', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, inserting(aTask()));
      await failsWith(t, commit(storage, updating(aTask({ retryCount: 1 }), aTask({ id: aTaskId(2) }))), 'AC_INTERNAL', 'said');
      t.equal((await storage.tasks.peek([aTaskId(1)]))[0]?.retryCount, 0, 'nothing of it is stored');
    });

    test('a large commit is stored completely or not at all', async (t) => {
      const storage = await openedIn(t, subject);
      const tasks = Array.from({ length: 1_201 }, (_, n) => aTask({ id: aTaskId(n + 1), dependsOn: [aTaskId(n + 5_000)] }));
      const all = { ...inserting(...tasks), events: tasks.map((task) => anEvent({ taskId: task.id })) };
      await failsWith(
        t,
        commit(storage, { ...all, updated: updating(aTask({ id: aTaskId(9_999) })).updated }),
        'AC_INTERNAL',
        'fails at its end',
      );
      t.equal((await storage.tasks.stats()).statuses.queued, 0, 'none');
      const stored = await commit(storage, all);
      t.equal(stored.length, 1_201);
      t.equal((await storage.tasks.stats()).statuses.queued, 1_201, 'all');
      const loaded = await look(storage, (unit) => unit.load({ tasks: tasks.map(({ id }) => id), agents: [], keys: [] }));
      t.equal(loaded.tasks.length, 1_201);
    });
  });
}
