/** A store's rule for which tasks are claimable, and in which order, compared with the domain's rule. */
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import { compareClaimable, isClaimable } from '../../../../core/domain/task/claimable.ts';
import {
  PRIORITIES,
  requirementKey,
  STATUSES,
  waitingRequirement,
  type Requirement,
  type RequirementGroup,
  type Task,
} from '../../../../core/domain/task/task.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { ContractCase } from '../contract-case.ts';
import { A_MOMENT_MS, anAgentId, aRequirement, aTask, aTaskId, inserting, updating } from '../fixtures.ts';
import { commit, openedIn, type StorageSubject } from './storage-room.ts';

const ANYBODY = aRequirement();
/** More than there are kinds of tasks. */
const ALL = 1_000;

/** Asks for tasks of every kind: as inserted, as changed, and again through a storage that has changed nothing. */
export async function findsWhatIsClaimable(t: ContractCase, subject: StorageSubject): Promise<void> {
  const place = await subject.place(t);
  const storage = await place.storage(systemClock());
  await storage.open();
  const tasks = tasksOfEveryKind();
  const check = async (store: Storage, all: readonly Task[], when: string): Promise<void> => {
    const wanted = all.filter((task) => isClaimable(task, A_MOMENT_MS)).sort(compareClaimable);
    const ofAnybody = wanted.filter(({ requirement }) => requirement === ANYBODY);
    t.strictSame(idsOf(await claim(store, ALL, [ANYBODY])), idsOf(ofAnybody), `${when}: all`);
    const firsts = PRIORITIES.flatMap((priority) => ofAnybody.filter((task) => task.priority === priority).slice(0, 3));
    t.strictSame(idsOf(await claim(store, 3, [ANYBODY])), idsOf(firsts), `${when}: the first three of each lane`);
    const own = [...new Set(all.map(({ requirement }) => requirement))].filter((requirement) => requirement !== ANYBODY);
    const ofOwn = wanted.filter(({ requirement }) => requirement !== ANYBODY);
    t.strictSame(idsOf(await claim(store, 1, own)).toSorted(), idsOf(ofOwn).toSorted(), `${when}: the ones with their own requirement`);
    const { requirements } = await store.tasks.transact('waiting', (unit) => unit.waitingRequirements({ nowMs: A_MOMENT_MS, limit: ALL }));
    const keys = new Set(wanted.map((task) => requirementKey(waitingRequirement(task))));
    t.strictSame(requirements.map(requirementKey).toSorted(), [...keys].toSorted(), `${when}: the waiting requirements`);
  };
  await check(storage, [], 'before any exists');
  await commit(storage, inserting(...tasks));
  await check(storage, tasks, 'as inserted');
  const changed = tasks.map((task, n) => {
    const { status, parked, assignedTo, eligibleAtMs } = tasks[(n + 7) % tasks.length] as Task;
    return { ...task, status, parked, assignedTo, eligibleAtMs };
  });
  await commit(storage, updating(...changed));
  await check(storage, changed, 'as changed');
  await storage.close();
  const again = await place.storage(systemClock());
  await again.open();
  await check(again, changed, 'by a storage that has written nothing');
}

/** Tasks are rejected, and then retried. */
export async function rejectedWaitApart(t: ContractCase, subject: StorageSubject): Promise<void> {
  const storage = await openedIn(t, subject);
  const [a1, a2] = [anAgentId('a1'), anAgentId('a2')];
  await commit(storage, inserting(...[1, 2, 3].map((n) => waiting(n)), ...[4, 5].map((n) => waiting(n, { requirement: GPU }))));
  t.strictSame(idsOf(await claim(storage, 10, [ANYBODY])), ids(1, 2, 3));
  await commit(storage, updating(waiting(1, { rejectedBy: [a2, a1] }), waiting(2, { rejectedBy: [a1, a2] }), waiting(4, { requirement: GPU, rejectedBy: [a1] }))); // prettier-ignore
  const [byBoth, byOne] = [
    { ...ANYBODY, except: [a1, a2] },
    { ...GPU, except: [a1] },
  ];
  t.strictSame(idsOf(await claim(storage, 1, [ANYBODY])), ids(3), 'they do not count towards its limit');
  t.strictSame(idsOf(await claim(storage, 10, [byBoth])), ids(1, 2));
  t.strictSame(idsOf(await claim(storage, 10, [byOne])), ids(4));
  const byKey = (found: readonly Requirement[]): readonly string[] => found.map(requirementKey).toSorted();
  const waits = async (groups?: readonly RequirementGroup[]): Promise<readonly Requirement[]> => {
    const filter = { nowMs: A_MOMENT_MS, limit: 10, groups };
    return (await storage.tasks.transact('waiting', (unit) => unit.waitingRequirements(filter))).requirements;
  };
  t.strictSame(byKey(await waits()), byKey([ANYBODY, GPU, byBoth, byOne]));
  for (const [capability, wanted] of [
    [null, [ANYBODY, byBoth]],
    ['gpu', [GPU, byOne]],
  ] as const) {
    t.strictSame(byKey(await waits([{ capability }])), byKey(wanted), `the group ${String(capability)}`);
  }
  await commit(storage, updating(waiting(1), waiting(4, { requirement: GPU })));
  t.strictSame(idsOf(await claim(storage, 10, [ANYBODY])), ids(1, 3), 'after a retry they wait with the others');
  t.strictSame(byKey(await waits()), byKey([ANYBODY, GPU, byBoth]));
}

const GPU = aRequirement(['gpu']);
const waiting = (n: number, over: Partial<Task> = {}): Task => aTask({ id: aTaskId(n), ...over });
const ids = (...numbers: readonly number[]): readonly string[] => numbers.map(aTaskId);
const idsOf = (tasks: readonly Task[]): readonly string[] => tasks.map(({ id }) => id);

const claim = (storage: Storage, limitPerLane: number, requirements: readonly Requirement[]): Promise<readonly Task[]> =>
  storage.tasks.transact('claim', (unit) =>
    unit.claimable({ requirementKeys: requirements.map(requirementKey), nowMs: A_MOMENT_MS, limitPerLane }),
  );

/** Tasks that differ in everything that decides when they may be assigned: each kind twice, once with its own requirement. */
function tasksOfEveryKind(): readonly Task[] {
  const times = [A_MOMENT_MS - 1, A_MOMENT_MS, A_MOMENT_MS + 1];
  const ready = [...times.map((eligibleAtMs) => ({ eligibleAtMs })), ...times.map((createdAtMs) => ({ eligibleAtMs: null, createdAtMs }))];
  const tasks: Task[] = [];
  for (const status of STATUSES)
    for (const parked of [false, true])
      for (const time of ready)
        for (const priority of PRIORITIES)
          for (const requirement of [ANYBODY, aRequirement([`only-${tasks.length}`])]) {
            const assignedTo = status === 'assigned' ? anAgentId() : null;
            // Later ones have lower ids.
            tasks.push(aTask({ id: aTaskId(2_000 - tasks.length), status, parked, priority, requirement, assignedTo, ...time }));
          }
  return tasks;
}

/** More requirements of one group than a read finds: each read begins where the one before ended. */
export async function readsGroupsOn(t: ContractCase, subject: StorageSubject): Promise<void> {
  const storage = await openedIn(t, subject);
  const odd = Array.from({ length: 300 }, (_, n) => aRequirement(['gpu', `odd-${n}`]));
  const own = Array.from({ length: 30 }, (_, n) => aRequirement([`odd-${n}`], 'a1'));
  const inGroups = [...odd, ...own, aRequirement(['gpu']), ANYBODY, aRequirement(['gpu', 'zz'])];
  const eligibleAtMs = A_MOMENT_MS + 5;
  const isDue = (n: number): boolean => n % 3 !== 1;
  const tasks = [...inGroups, aRequirement(['gpus'])].map((requirement, n) =>
    aTask({ id: aTaskId(n), requirement, ...(isDue(n) ? {} : { eligibleAtMs }) }),
  );
  await commit(storage, inserting(...tasks));
  const groups: readonly RequirementGroup[] = [
    { capability: null },
    { capability: 'gpu' },
    { agentId: anAgentId('a1') },
    { capability: 'none' },
  ];
  const found: string[] = [];
  let after: readonly (string | null)[] = groups.map(() => null);
  let reads = 0;
  for (let isAll = false; !isAll && reads < 10; reads += 1) {
    const filter = { nowMs: A_MOMENT_MS, limit: 100, groups: groups.map((group, n) => ({ ...group, after: after[n] ?? undefined })) };
    const answer = await storage.tasks.transact(`read ${reads}`, (unit) => unit.waitingRequirements(filter));
    found.push(...answer.requirements.map(requirementKey));
    after = groups.map((_, n) => answer.readTo?.[n] ?? after[n] ?? null);
    isAll = answer.isAll;
  }
  t.strictSame(found.toSorted(), inGroups.filter((_, n) => isDue(n)).map(requirementKey).toSorted()); // prettier-ignore
  t.ok(reads >= 3 && reads <= 6, `${reads} reads`);
  t.equal(after[3], null, 'a group without any');
}
