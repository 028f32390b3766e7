/** Idle agents that can run none of the waiting tasks cost a dispatch nothing. */
import t from 'tap';
import fc from 'fast-check';
import { FreeAgents } from '../../../../core/application/hub/batch/free-agents.ts';
import type { Agent } from '../../../../core/domain/agent/agent.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { canRun, Requirements } from '../../../../core/domain/task/scheduling.ts';
import type { Requirement } from '../../../../core/domain/task/task.ts';
import { aRequirement, anAgent } from '../../../product/contracts/fixtures.ts';

const IDLE = 500;
const LIMIT = 256;
const SOME_IDS = ['a', 'b', 'c', 'd', 'e', 'f'] as AgentId[];
const SOME_CAPABILITIES = ['code', 'gpu', 'mac'];

/** With `IDLE` other agents that have these capabilities: who gets the task, and how many of the idle agents were read. */
function dispatched(idle: readonly string[], requirement: Requirement): { readonly free: readonly AgentId[]; readonly looks: number } {
  const looked = new Set<AgentId>();
  const watched = (agent: Agent): Agent =>
    new Proxy(agent, { get: (of, name, receiver): unknown => (looked.add(of.id), Reflect.get(of, name, receiver)) });
  const agents = new FreeAgents();
  for (let n = 0; n < IDLE; n += 1) agents.set(watched(anAgent({ id: `idle-${n}` as AgentId, capabilities: [...idle] })), 0);
  agents.set(anAgent({ id: 'worker' as AgentId, capabilities: ['code', 'gpu'] }), 3);
  looked.clear();
  return { free: agents.first(new Requirements([requirement]), LIMIT, () => true), looks: looked.size };
}

t.test('a dispatch reads no agent that cannot run any waiting task', async (t) => {
  t.strictSame(dispatched(['nothing'], aRequirement(['code'])), { free: ['worker'], looks: 0 });
  t.strictSame(dispatched(['code'], aRequirement(['code', 'gpu'])), { free: ['worker'], looks: 0 }, 'nor one that lacks a capability');
  t.strictSame(
    dispatched(['code'], aRequirement(['code'], 'worker')),
    { free: ['worker'], looks: 0 },
    'nor others if the task names its agent',
  );
  t.equal(dispatched(['code'], aRequirement(['code'])).looks, LIMIT, 'and no more than it needs');
});

t.test('whatever changes: agents able to run a task come least loaded first, then longest at that load', async () => {
  const someCapabilities = fc.subarray(SOME_CAPABILITIES);
  const someRequirement = fc.record({
    capabilities: someCapabilities,
    assignTo: fc.option(fc.constantFrom(...SOME_IDS), { freq: 4 }),
    except: fc.subarray(SOME_IDS, { maxLength: 3 }),
  });
  const someChange = fc.record({
    id: fc.constantFrom(...SOME_IDS),
    capabilities: someCapabilities,
    taken: fc.option(fc.nat(2), { freq: 4 }),
  });
  fc.assert(
    fc.property(fc.array(someChange, { maxLength: 40 }), fc.array(someRequirement, { maxLength: 4 }), fc.nat(6), (all, wanted, limit) => {
      const agents = new FreeAgents();
      let known: { readonly agent: Agent; readonly taken: number }[] = [];
      for (const { id, capabilities, taken } of all) {
        const before = known.find(({ agent }) => agent.id === id);
        const agent = anAgent({ id, capabilities });
        const isSame = before?.taken === taken && `${before?.agent.capabilities}` === `${capabilities}`;
        if (!isSame) known = known.filter((one) => one !== before);
        if (taken === null) agents.delete(id);
        else {
          agents.set(agent, taken);
          if (!isSame) known.push({ agent, taken });
        }
      }
      const expected = known
        .filter(({ agent }) => wanted.some((requirement) => canRun(requirement, agent)))
        .sort((one, other) => one.taken - other.taken)
        .map(({ agent }) => agent.id);
      return `${agents.first(new Requirements(wanted), limit, () => true)}` === `${expected.slice(0, limit)}`;
    }),
    { numRuns: 2_000 },
  );
});
