/** Assignment order: lanes, first in first out, capabilities, the oldest task every so often, and another agent after a failure. */
import t from 'tap';
import fc from 'fast-check';
import type { AgentId } from '../../../core/domain/ids.ts';
import { decidePairs, type FreeAgent } from '../../../core/domain/task/scheduling.ts';
import { PRIORITIES, requirementKey, requirementOf, type Task } from '../../../core/domain/task/task.ts';
import { aRequirement, aTask, aTaskId, A_MOMENT_MS } from '../../product/contracts/fixtures.ts';

const task = (n: number, over: Partial<Task> = {}): Task => aTask({ id: aTaskId(n), eligibleAtMs: A_MOMENT_MS + n, ...over });
const agent = (id: string, over: Partial<FreeAgent> = {}): FreeAgent => ({
  id: id as AgentId,
  capabilities: [],
  free: 1,
  assignedCount: 0,
  ...over,
});
const assignmentsOf = (tasks: readonly Task[], agents: readonly FreeAgent[]): string =>
  decidePairs(tasks, agents)
    .map((pair) => `${Number.parseInt(pair.task.id.slice(5), 16)}→${pair.agentId}`)
    .join(' ');

t.test('R17: lanes go from highest to lowest, first in first out within a lane', async (t) => {
  const tasks = [task(1, { priority: 'low' }), task(2), task(3, { priority: 'urgent' }), task(4), task(5, { priority: 'high' })];
  t.equal(assignmentsOf(tasks, [agent('a', { free: 5 })]), '3→a 5→a 2→a 4→a 1→a');
});

t.test('slots are filled round robin across agents', async (t) => {
  t.equal(assignmentsOf([task(1), task(2), task(3)], [agent('a', { free: 2 }), agent('b', { free: 2 })]), '1→a 2→b 3→a');
});

t.test('capabilities and assign_to are honoured', async (t) => {
  const tasks = [
    task(1, { requirement: aRequirement(['gpu']) }),
    task(2, { requirement: aRequirement([], 'b') }),
    task(3, { requirement: aRequirement(['code', 'gpu']) }),
    task(4),
  ];
  t.equal(assignmentsOf(tasks, [agent('a', { free: 9, capabilities: ['gpu'] }), agent('b', { free: 9 })]), '1→a 2→b 4→a');
});

t.test('R18: every sixteenth assignment of an agent takes the oldest task it may run, from any lane', async (t) => {
  const tasks = [task(1, { priority: 'low' }), ...Array.from({ length: 20 }, (_, n) => task(n + 2, { priority: 'urgent' }))];
  t.equal(assignmentsOf(tasks, [agent('a', { free: 1, assignedCount: 14 })]), '2→a');
  t.equal(assignmentsOf(tasks, [agent('a', { free: 1, assignedCount: 15 })]), '1→a', 'the sixteenth assignment');
});

t.test('a retry prefers another agent with a free slot, and falls back to the same one', async (t) => {
  const failed = task(1, { avoid: 'a' as AgentId });
  t.equal(assignmentsOf([failed], [agent('a'), agent('b')]), '1→b');
  t.equal(assignmentsOf([failed], [agent('a')]), '1→a');
  t.equal(assignmentsOf([failed, task(2)], [agent('a'), agent('b')]), '2→a 1→b');
  const picky = task(1, { avoid: 'a' as AgentId, requirement: aRequirement(['gpu']) });
  t.equal(assignmentsOf([picky], [agent('a', { capabilities: ['gpu'] }), agent('b')]), '1→a', 'the other agent cannot run it');
});

t.test('R19: no agent exceeds its slots, no task is assigned twice, and none waits next to a free able agent', async () => {
  const someTask = fc.record({
    priority: fc.constantFrom(...PRIORITIES),
    capabilities: fc.subarray(['a', 'b', 'c']),
    avoid: fc.constantFrom('x', 'y', null),
  });
  const someAgent = fc.record({
    capabilities: fc.subarray(['a', 'b', 'c']),
    free: fc.integer({ min: 1, max: 3 }),
    assignedCount: fc.nat(40),
  });
  fc.assert(
    fc.property(fc.array(someTask, { maxLength: 20 }), fc.array(someAgent, { maxLength: 4 }), (drafts, rooms) => {
      const tasks = drafts.map((draft, n) =>
        task(n, { priority: draft.priority, requirement: aRequirement(draft.capabilities), avoid: draft.avoid as AgentId | null }),
      );
      const agents = rooms.map((room, n) => agent(['x', 'y', 'z', 'w'][n] ?? 'v', room));
      const pairs = decidePairs(tasks, agents);
      if (new Set(pairs.map((pair) => pair.task.id)).size !== pairs.length) return false;
      return agents.every((one) => {
        const mine = pairs.filter((pair) => pair.agentId === one.id);
        if (mine.length > one.free || mine.some((pair) => !pair.task.requirement.capabilities.every((c) => one.capabilities.includes(c))))
          return false;
        const left = tasks.filter((waiting) => !pairs.some((pair) => pair.task.id === waiting.id));
        return (
          mine.length === one.free || !left.some((waiting) => waiting.requirement.capabilities.every((c) => one.capabilities.includes(c)))
        );
      });
    }),
    { numRuns: 500 },
  );
});

t.test('a requirement can be restored from its key', (t) => {
  const except = ['a1', 'b.2_c-d'] as AgentId[];
  const lists: readonly (readonly string[])[] = [[], ['gpu'], ['"', '][', '[null]["a1"]', 'ä'].toSorted()];
  for (const capabilities of lists)
    for (const assignTo of [null, 'a1' as AgentId])
      for (const requirement of [
        { capabilities, assignTo },
        { capabilities, assignTo, except },
      ])
        t.strictSame(requirementOf(requirementKey(requirement)), requirement, requirementKey(requirement));
  for (const key of ['', 'null]', '[null', '[null][', '[null]["a1"']) t.throws(() => requirementOf(key), SyntaxError, key);
  t.end();
});
