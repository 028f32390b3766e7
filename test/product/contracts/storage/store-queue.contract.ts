/** What every unit of work can look up: what waits, what is due, which tasks depend on others, and which agents hold what. */
import { isDeepStrictEqual } from 'node:util';
import { seededRandom } from '../../twins/ids-seeded/seeded-random.ts';
import { compareClaimable, isClaimable } from '../../../../core/domain/task/claimable.ts';
import { requirementKey, waitingRequirement, type RequirementGroup, type Task } from '../../../../core/domain/task/task.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { StoreUnit } from '../../../../core/ports/task-store.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import {
  A_MOMENT_MS,
  aBody,
  aRequirement,
  aStop,
  aTask,
  aTaskId,
  anAgent,
  anAgentId,
  anAssignedTask,
  changes,
  inserting,
  updating,
} from '../fixtures.ts';
import { findsWhatIsClaimable, readsGroupsOn, rejectedWaitApart } from './claimable-case.ts';
import { commit, openedIn, type StorageSubject } from './storage-room.ts';

const look = <T>(storage: Storage, work: (unit: StoreUnit) => Promise<T>): Promise<T> => storage.tasks.transact('look', work);
const idsOf = (tasks: readonly Task[]): readonly string[] => tasks.map(({ id }) => id);
const ids = (...numbers: readonly number[]): readonly string[] => numbers.map(aTaskId);
const waiting = (n: number, over: Partial<Task> = {}): Task => aTask({ id: aTaskId(n), ...over });

const ANYBODY = aRequirement();
const GPU = aRequirement(['gpu']);
const claim = (storage: Storage, limitPerLane: number, ...requirements: readonly (typeof ANYBODY)[]): Promise<readonly Task[]> =>
  look(storage, (unit) => unit.claimable({ requirementKeys: requirements.map(requirementKey), nowMs: A_MOMENT_MS, limitPerLane }));

const waits = async (storage: Storage, nowMs: number): Promise<Task['requirement'][]> => {
  const { requirements, isAll } = await look(storage, (unit) => unit.waitingRequirements({ nowMs, limit: 100 }));
  if (!isAll) throw new Error('not all of them');
  return [...requirements];
};

export function storeQueueCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`Store queue contract, ${name}`, runner, (test) => {
    test('within a lane the order is (eligible, id)', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(
        storage,
        inserting(
          waiting(5, { eligibleAtMs: A_MOMENT_MS - 1 }),
          waiting(4, { eligibleAtMs: A_MOMENT_MS - 3 }),
          waiting(1, { eligibleAtMs: A_MOMENT_MS }),
          waiting(2, { eligibleAtMs: A_MOMENT_MS - 3 }),
          waiting(3, { eligibleAtMs: null, createdAtMs: A_MOMENT_MS - 2 }),
        ),
      );
      t.strictSame(idsOf(await claim(storage, 10, ANYBODY)), ids(2, 4, 3, 5, 1));
      t.strictSame(idsOf(await claim(storage, 2, ANYBODY)), ids(2, 4), 'the first of them');
      await commit(storage, updating(waiting(2, { eligibleAtMs: A_MOMENT_MS - 1 })));
      t.strictSame(idsOf(await claim(storage, 10, ANYBODY)), ids(4, 3, 2, 5, 1), 'a retry takes its place in the order');
    });

    test('the limit applies to each requirement and lane', async (t) => {
      const storage = await openedIn(t, subject);
      const lanes = ['urgent', 'high', 'normal', 'low'] as const;
      const tasks = [ANYBODY, GPU].flatMap((requirement, r) =>
        lanes.flatMap((priority, lane) => [0, 1, 2].map((n) => waiting(100 * r + 10 * lane + n, { priority, requirement }))),
      );
      await commit(storage, inserting(...tasks));
      const claimed = await claim(storage, 2, ANYBODY, GPU, GPU, aRequirement(['no agent looks for it']));
      t.strictSame(idsOf(claimed).toSorted(), idsOf(tasks.filter((_, place) => place % 3 < 2)).toSorted());
      t.strictSame(await claim(storage, 2), []);
    });

    test('only queued, unparked and eligible tasks are claimable', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(
        storage,
        inserting(
          waiting(1),
          waiting(2, { parked: true }),
          waiting(3, { eligibleAtMs: A_MOMENT_MS + 1 }),
          waiting(4, { status: 'scheduled' }),
          waiting(5, { status: 'blocked' }),
          anAssignedTask(anAgentId(), { id: aTaskId(6) }),
          waiting(7, { status: 'completed' }),
          waiting(8, { status: 'dead_letter', requirement: GPU }),
          waiting(9, { parked: true, requirement: aRequirement(['x']) }),
          waiting(10, { eligibleAtMs: A_MOMENT_MS + 1, requirement: aRequirement(['y']) }),
        ),
      );
      t.strictSame(idsOf(await claim(storage, 10, ANYBODY, GPU)), ids(1));
      t.strictSame(await waits(storage, A_MOMENT_MS), [ANYBODY]);
      await commit(storage, updating(waiting(1, { status: 'cancelled' }), waiting(2)));
      t.strictSame(idsOf(await claim(storage, 10, ANYBODY)), ids(2), 'the unparked task');
    });

    test('R12: finds the claimable tasks among tasks of every kind, in the order of assignment', (t) => findsWhatIsClaimable(t, subject));

    test('a thousand gpu tasks do not hide a plain one', async (t) => {
      const storage = await openedIn(t, subject);
      const gpus = Array.from({ length: 1_000 }, (_, n) => waiting(n, { requirement: GPU, eligibleAtMs: A_MOMENT_MS - 5_000 + n }));
      await commit(storage, inserting(...gpus, waiting(5_000, { priority: 'low' })));
      t.strictSame(idsOf(await claim(storage, 16, ANYBODY)), ids(5_000));
      const all = await claim(storage, 16, GPU, ANYBODY);
      t.equal(all.length, 17);
      t.ok(idsOf(all).includes(aTaskId(5_000)));
      t.strictSame(await waits(storage, A_MOMENT_MS), [GPU, ANYBODY]);
    });

    test('returns each waiting requirement once, regardless of lane', async (t) => {
      const storage = await openedIn(t, subject);
      t.strictSame(await waits(storage, A_MOMENT_MS), []);
      const requirements = [
        ANYBODY,
        GPU,
        aRequirement(['a', 'b']),
        aRequirement([], 'a1'),
        aRequirement(['gpu'], 'a1'),
        aRequirement(['"', "'"]),
      ];
      const lanes = ['low', 'normal', 'urgent'] as const;
      await commit(storage, inserting(...requirements.flatMap((requirement, r) => lanes.map((priority, lane) => waiting(10 * r + lane, { requirement, priority }))))); // prettier-ignore
      const found = await waits(storage, A_MOMENT_MS);
      t.strictSame(found.map(requirementKey).toSorted(), requirements.map(requirementKey).toSorted());
    });

    test('R16 R20: of a group, further requirements are read from where the last read ended', (t) => readsGroupsOn(t, subject));

    test('R20: of thousands of requirements it reads only as many as requested, or only those of a group', async (t) => {
      const storage = await openedIn(t, subject);
      const odd = Array.from({ length: 1_500 }, (_, n) => waiting(n, { requirement: aRequirement([`odd-${n}`]) }));
      const groupsOf = async (limit: number, ...groups: readonly RequirementGroup[]) => {
        const { requirements, isAll } = await look(storage, (unit) => unit.waitingRequirements({ nowMs: A_MOMENT_MS, limit, groups }));
        return { keys: requirements.map(requirementKey), isAll };
      };
      const some = (limit: number) => look(storage, (unit) => unit.waitingRequirements({ nowMs: A_MOMENT_MS, limit }));
      await commit(storage, inserting(...odd.slice(0, 20)));
      t.match(await some(1_024), { isAll: true, requirements: { length: 20 } });
      const others = [
        ANYBODY,
        GPU,
        aRequirement(['gpu', 'linux']),
        aRequirement(['gpu"', 'x']),
        aRequirement(['gpus']),
        aRequirement([], 'a1'),
        aRequirement(['gpu'], 'a1'),
        aRequirement(['gpu'], 'a10'),
        aRequirement(['late']),
      ];
      const eligibleAtMs = A_MOMENT_MS + 5;
      await commit(
        storage,
        inserting(
          ...odd.slice(20),
          ...others.map((requirement, n) => waiting(5_000 + n, { requirement, ...(n === 8 ? { eligibleAtMs } : {}) })),
        ),
      );
      for (const round of [1, 2]) {
        const { requirements, isAll } = await some(1_024);
        t.notOk(isAll, `round ${round}`);
        t.ok(requirements.length >= 900 && requirements.length <= 1_100, `about as many as requested: ${requirements.length}`);
        const keys = (...at: readonly number[]) => at.map((n) => requirementKey(others[n] ?? ANYBODY)).toSorted();
        t.strictSame(await groupsOf(100, { capability: 'gpu' }), { keys: keys(1, 2), isAll: true });
        t.strictSame(await groupsOf(100, { agentId: anAgentId('a1') }), { keys: keys(5, 6), isAll: true });
        t.strictSame(await groupsOf(100, { capability: null }), { keys: keys(0), isAll: true });
        t.strictSame(await groupsOf(100, { capability: 'late' }, { capability: 'none' }, { capability: 'gpu"' }), {
          keys: keys(3),
          isAll: true,
        });
        const all = await groupsOf(100, { capability: null }, { capability: 'gpu' }, { agentId: anAgentId('a1') }, { capability: 'odd-7' });
        t.strictSame(all.keys.toSorted(), [...keys(0, 1, 2, 5, 6), requirementKey(aRequirement(['odd-7']))].toSorted());
        t.notOk((await groupsOf(1, { capability: 'gpu' })).isAll);
        t.equal((await claim(storage, 5, GPU, ANYBODY)).length, 2);
        await commit(storage, inserting(waiting(6_000 + round, { requirement: aRequirement([`more-${round}`]) })));
      }
      await commit(storage, updating(...odd.map((task) => ({ ...task, status: 'cancelled' as const }))));
      t.match(await look(storage, (unit) => unit.waitingRequirements({ nowMs: A_MOMENT_MS + 20_000, limit: 1_024 })), {
        isAll: true,
        requirements: { length: 11 },
      });
    });

    test('R12: rejected tasks wait separately, grouped by the agents that rejected them, in any order', (t) =>
      rejectedWaitApart(t, subject));

    test('R12: waiting tasks are found as by a full search, after any sequence of changes', async (t) => {
      const storage = await openedIn(t, subject);
      const random = seededRandom(`what waits, ${name}`);
      const below = (count: number): number => random() % count;
      const requirements = [ANYBODY, GPU, aRequirement(['a', 'b']), aRequirement([], 'a1')];
      const requests = requirements.flatMap((requirement) => [requirement, { ...requirement, except: [anAgentId('a1')] }]);
      const all = new Map<string, Task>();
      let made = 0;
      const put = (tasks: readonly Task[]): readonly Task[] => {
        for (const task of tasks) all.set(task.id, task);
        return tasks;
      };
      const anew = (count: number): readonly Task[] =>
        put(
          Array.from({ length: count }, () =>
            waiting((made += 1), {
              requirement: requirements[below(6) < 3 ? 0 : below(requirements.length)] ?? ANYBODY,
              priority: below(4) === 0 ? 'urgent' : 'normal',
              // Some enter the queue before others that have waited for long, like tasks that are requeued.
              eligibleAtMs: A_MOMENT_MS + made + (below(5) === 0 ? below(2_000) - 1_000 : 0),
            }),
          ),
        );
      const changed = (task: Task): Task => {
        const [agent, later] = [anAgentId('a1'), { eligibleAtMs: A_MOMENT_MS + below(2 * made + 2_000) }];
        const ways: readonly Partial<Task>[] = [
          { status: 'assigned', assignedTo: agent, parked: false },
          { status: 'assigned', assignedTo: agent, parked: false },
          { status: 'assigned', assignedTo: agent, parked: false },
          { status: 'queued', assignedTo: null, parked: false, ...later },
          { status: 'queued', assignedTo: null, parked: false, rejectedBy: [agent] },
          { status: 'queued', assignedTo: null, parked: false, rejectedBy: [] },
          { status: 'queued', assignedTo: null, parked: true },
          { status: 'cancelled', assignedTo: null, parked: false },
        ];
        return { ...task, ...ways[below(ways.length)] };
      };
      const inLanes = (tasks: readonly Task[]): Readonly<Record<string, readonly Task[]>> => {
        const lanes: Record<string, Task[]> = {};
        for (const task of tasks) (lanes[`${requirementKey(waitingRequirement(task))} ${task.priority}`] ??= []).push(task);
        return lanes;
      };
      const firsts = (nowMs: number, limit: number): readonly Task[] => {
        const claimable = [...all.values()].filter((task) => isClaimable(task, nowMs));
        return Object.values(inLanes(claimable.sort(compareClaimable))).flatMap((tasks) => tasks.slice(0, limit));
      };
      for (let round = 0; round < 80; round += 1) {
        // It grows, also by much at once, and is then assigned faster than more arrives.
        const drains = round % 40 > 20;
        const inserted = anew(drains ? below(120) : round % 40 === 20 ? 6_000 : below(60));
        await commit(storage, inserting(...inserted));
        const [nowMs, limit] = [A_MOMENT_MS + below(made + 1_000), 1 + below(drains ? 240 : round % 10 === 0 ? 200 : 20)];
        const wanted = firsts(nowMs, limit);
        const found = await look(storage, (unit) =>
          unit.claimable({ requirementKeys: requests.map(requirementKey), nowMs, limitPerLane: limit }),
        );
        const [foundBy, wantedBy] = [inLanes(found), inLanes(wanted)];
        // Printing hundreds of equal tasks takes longer than everything else here.
        if (!isDeepStrictEqual(foundBy, wantedBy)) return void t.strictSame(foundBy, wantedBy, `round ${round}: the first ${limit}`);
        const keys = new Set(wanted.map((task) => requirementKey(waitingRequirement(task))));
        const waiting = await waits(storage, nowMs);
        t.strictSame(waiting.map(requirementKey).toSorted(), [...keys].toSorted(), `round ${round}: the requirements`);
        const bodies = await look(storage, (unit) => unit.bodies(wanted.slice(0, 20).map(({ id }) => id)));
        t.strictSame(bodies.map(({ taskId }) => taskId).toSorted(), idsOf(wanted).slice(0, 20).toSorted(), `round ${round}: bodies`);
        // Mostly those first in line, some from anywhere.
        const touched = new Map(
          [...wanted.slice(0, drains ? wanted.length : below(40)), ...[...all.values()].filter(() => below(200) === 0)].map((task) => [
            task.id,
            task,
          ]),
        );
        const updated = put([...touched.values()].map(changed));
        if (round % 17 === 16)
          await t.rejects(storage.tasks.transact(`fails-${round}`, async (unit) => {
            await unit.save(updating(...updated.map((task) => ({ ...task, status: 'cancelled' as const }))));
            throw new Error('meant');
          }), { message: 'meant' }); // prettier-ignore
        await commit(storage, updating(...updated));
      }
    });

    test('finds due tasks, earliest first', async (t) => {
      const storage = await openedIn(t, subject);
      const due = (n: number, dueAtMs: number | null) => ({ task: waiting(n), dueAtMs, body: aBody() });
      await commit(storage, changes({ inserted: [due(1, 30), due(2, 10), due(3, null), due(4, 20), due(5, 10), due(6, 31)] }));
      const at = (nowMs: number, limit: number) => look(storage, async (unit) => idsOf(await unit.due(nowMs, limit)));
      t.strictSame(await at(30, 10), ids(2, 5, 4, 1), 'at or before, by time and id');
      t.strictSame(await at(30, 2), ids(2, 5));
      t.strictSame(await at(9, 10), []);
      await commit(storage, changes({ updated: [{ task: waiting(2), dueAtMs: 40 }, { task: waiting(3, { status: 'completed' }), dueAtMs: 5 }] })); // prettier-ignore
      t.strictSame(await at(30, 10), ids(3, 5, 4, 1), 'as last saved, even for an ended task');
    });

    test('finds the blocked tasks that depend on given tasks', async (t) => {
      const storage = await openedIn(t, subject);
      const blocked = (n: number, ...on: readonly number[]) => waiting(n, { status: 'blocked', dependsOn: on.map(aTaskId) });
      await commit(storage, inserting(blocked(10, 1), blocked(11, 1, 2), blocked(12, 3), waiting(13, { dependsOn: [aTaskId(1)] })));
      const of = (...on: readonly number[]) =>
        look(storage, async (unit) => {
          const { tasks, left } = await unit.dependentsOf(on.map((n) => ({ id: aTaskId(n), after: '' })), 10); // prettier-ignore
          t.strictSame(left, []);
          return idsOf(tasks).toSorted();
        });
      t.strictSame(await of(1), ids(10, 11));
      t.strictSame(await of(1, 2), ids(10, 11), 'each once');
      t.strictSame(await of(2), ids(11));
      t.strictSame(await of(9), []);
      t.strictSame(await of(), []);
      await commit(storage, updating(waiting(11, { dependsOn: [aTaskId(1), aTaskId(2)] })));
      t.strictSame(await of(1, 2), ids(10), 'not once it is queued');
    });

    test('R20: finds dependents in slices, each once, and reports where the next slice begins', async (t) => {
      const storage = await openedIn(t, subject);
      const blocked = (n: number, ...on: readonly number[]) => waiting(n, { status: 'blocked', dependsOn: on.map(aTaskId) });
      await commit(storage, inserting(blocked(14, 1), blocked(10, 1), blocked(12, 1, 2), blocked(13, 2), blocked(11, 3)));
      const slice = (limit: number, ...of: readonly (readonly [number, number | ''])[]) =>
        look(storage, async (unit) => {
          const requests = of.map(([n, after]) => ({ id: aTaskId(n), after: after === '' ? after : aTaskId(after) }));
          const { tasks, left } = await unit.dependentsOf(requests, limit);
          return { tasks: idsOf(tasks), left };
        });
      const left = (n: number, after: number | '') => ({ id: aTaskId(n), after: after === '' ? after : aTaskId(after) });
      t.strictSame(await slice(2, [1, ''], [2, '']), { tasks: ids(10, 12), left: [left(1, 12), left(2, '')] });
      t.strictSame(await slice(2, [1, 12], [2, '']), { tasks: ids(14, 12), left: [left(2, 12)] });
      t.strictSame(await slice(2, [2, 12]), { tasks: ids(13), left: [] });
      t.strictSame(await slice(3, [1, '']), { tasks: ids(10, 12, 14), left: [] }, 'exactly as many as requested');
      t.strictSame((await slice(5, [1, ''], [2, ''])).left, []);
      t.strictSame((await slice(5, [1, ''], [2, ''])).tasks.toSorted(), ids(10, 12, 13, 14), 'each once');
    });

    test('returns the bodies of given tasks', async (t) => {
      const storage = await openedIn(t, subject);
      const bodies = [1, 2].map((n) => ({ taskId: aTaskId(n), body: aBody({ description: `body ${n}` }) }));
      await commit(
        storage,
        changes({ inserted: bodies.map(({ taskId, body }) => ({ task: aTask({ id: taskId }), dueAtMs: null, body })) }),
      );
      t.strictSame(await look(storage, (unit) => unit.bodies([aTaskId(1), aTaskId(3), aTaskId(1)])), [bodies[0]]);
      t.strictSame(await look(storage, (unit) => unit.bodies([])), []);
    });

    test('returns the assignments and stops of each agent', async (t) => {
      const storage = await openedIn(t, subject);
      const [a1, a2] = [anAgentId('a1'), anAgentId('a2')];
      const mine = anAssignedTask(a1, { id: aTaskId(1) });
      const stops = [
        aStop({ agentId: a1, taskId: aTaskId(8), sentAtMs: 5 }),
        aStop({ agentId: a1, taskId: aTaskId(8), generation: 3, reason: 'reclaimed' }),
      ];
      await commit(storage, {
        ...inserting(mine, anAssignedTask(a2, { id: aTaskId(2) }), anAssignedTask(a1, { id: aTaskId(3), status: 'completed' })),
        stopsSet: stops,
      });
      const of = (...agents: readonly string[]) =>
        look(storage, async (unit) => (await unit.load({ holders: agents.map(anAgentId) })).holdings);
      t.strictSame(await of('a1', 'nobody', 'a1'), [
        { agentId: a1, live: [mine], stops },
        { agentId: anAgentId('nobody'), live: [], stops: [] },
      ]);
      const sent = aStop({ agentId: a1, taskId: aTaskId(8), sentAtMs: 6 });
      await commit(storage, changes({ stopsSet: [sent], stopsCleared: [{ agentId: a1, taskId: aTaskId(8), generation: 3 }, aStop({ agentId: a2 })] })); // prettier-ignore
      t.strictSame((await of('a1'))[0]?.stops, [sent], 'set again, and cleared');
      const again = aStop({ agentId: a1, taskId: aTaskId(8), sentAtMs: 7 });
      await commit(storage, changes({ stopsSet: [again], stopsCleared: [sent] }));
      t.strictSame((await of('a1'))[0]?.stops, [again], 'one that is cleared and set is set');
      await commit(storage, updating(aTask({ id: aTaskId(1) })));
      t.strictSame((await of('a1'))[0]?.live, []);
      t.strictSame(await of(), []);
    });

    test('counts the assignments and stops of each agent', async (t) => {
      const storage = await openedIn(t, subject);
      const [a1, a2] = [anAgentId('a1'), anAgentId('a2')];
      await commit(storage, {
        ...inserting(
          anAssignedTask(a1, { id: aTaskId(1) }),
          anAssignedTask(a1, { id: aTaskId(2) }),
          anAssignedTask(a1, { id: aTaskId(3), status: 'completed' }),
          anAssignedTask(a2, { id: aTaskId(4) }),
          aTask({ id: aTaskId(5) }),
        ),
        stopsSet: [aStop({ agentId: a1, taskId: aTaskId(8) }), aStop({ agentId: a1, taskId: aTaskId(8), generation: 3 })],
      });
      const of = (...agents: readonly string[]) => look(storage, (unit) => unit.heldCounts(agents.map(anAgentId)));
      t.strictSame(
        new Map((await of('a1', 'a2', 'nobody', 'a1')).map(({ agentId, held }) => [agentId as string, held])),
        new Map([
          ['a1', 4],
          ['a2', 1],
          ['nobody', 0],
        ]),
      );
      t.equal((await of('a1', 'a1')).length, 1, 'each once');
      t.strictSame(await of(), []);
    });

    test('returns the agents that are connected or have an unconfirmed stop', async (t) => {
      const storage = await openedIn(t, subject);
      const away = (id: string) => anAgent({ id: anAgentId(id), connected: false, disconnectedAtMs: A_MOMENT_MS });
      await commit(storage, {
        ...inserting(anAssignedTask(anAgentId('holds'))),
        agents: [anAgent({ id: anAgentId('here') }), away('gone'), away('holds'), away('stops')],
        stopsSet: [aStop({ agentId: anAgentId('stops') })],
      });
      const active = () => look(storage, (unit) => unit.activeAgents([]));
      t.strictSame(await active(), [
        { id: 'here', hasStops: false },
        { id: 'stops', hasStops: true },
      ]);
      await commit(storage, { ...updating(aTask()), agents: [away('here')], stopsCleared: [aStop({ agentId: anAgentId('stops') })] });
      t.strictSame(await active(), []);
    });
  });
}
