/** Answers about all agents: as of the last commit in a small fleet, and at most one second old in a large one. */
import t from 'tap';
import { allAgents } from '../../../adapters/http/endpoints/all-agents.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import type { AgentRow } from '../../../core/ports/agent-store.ts';
import { anAgent, anAgentId } from '../../product/contracts/fixtures.ts';

function fleetOf(count: number) {
  const clock = virtualClock();
  const listeners = new Set<() => void>();
  const rows = Array.from({ length: count }, (_, n): AgentRow => ({
    agent: anAgent({ id: anAgentId(`a${n}`) }),
    live: [],
    pendingStops: 0,
  }));
  const seen = { rows: 0 };
  const everyAgent = allAgents({
    clock: { ...clock, wallMs: () => clock.nowMs() },
    limits: HUB_LIMITS,
    agents: {
      listAgents({ after, limit }: { readonly after?: string | undefined; readonly limit: number }) {
        const from = after === undefined ? 0 : rows.findIndex(({ agent }) => agent.id === after) + 1;
        const page = rows.slice(from, from + limit);
        seen.rows += page.length;
        return Promise.resolve(page);
      },
    } as never,
    onCommit: (listener: () => void) => {
      listeners.add(listener);
      return () => undefined;
    },
  });
  const commit = (): void => listeners.forEach((listener) => listener());
  return { clock, seen, everyAgent, commit };
}

t.test('R20: the rows of a large fleet are read at most once a second, even after each commit', async (t) => {
  const { clock, seen, everyAgent, commit } = fleetOf(20_000);
  for (let n = 0; n < 20; n += 1) {
    t.equal((await everyAgent()).length, 20_000);
    commit();
    clock.advance(10);
  }
  t.equal(seen.rows, 20_000);
  clock.advance(1_000);
  await everyAgent();
  t.equal(seen.rows, 40_000, 'read again a second later');
});

t.test('a small fleet is read again after each commit', async (t) => {
  const { seen, everyAgent, commit } = fleetOf(10);
  await everyAgent();
  await everyAgent();
  t.equal(seen.rows, 10);
  commit();
  await everyAgent();
  t.equal(seen.rows, 20);
});
