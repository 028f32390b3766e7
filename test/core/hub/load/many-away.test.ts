/** A hub died with thousands of agents connected: they are marked as disconnected in batches. */
import t from 'tap';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { aGeneration, anAgent, aStop, aTask, aTaskId, changes, inserting } from '../../../product/contracts/fixtures.ts';
import { hubRig } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

const AGENTS = 450;
const PER_BATCH_MAX = 200;
const idOf = (n: number): AgentId => `a${String(n).padStart(4, '0')}` as AgentId;

t.test('R20: the agents of a dead hub are marked disconnected in bounded batches, despite unconfirmed stops', async (t) => {
  const rig = await hubRig({ timing: { sweepMs: 30_000 } });
  const { agents, tasks } = rig.storage;
  const all = Array.from({ length: AGENTS }, (_, n) => n);
  const nowMs = rig.clock.nowMs();
  await tasks.transact('dead hub', (unit) =>
    unit.save(
      changes({
        ...inserting(
          ...all.map((n) =>
            aTask({ id: aTaskId(n), status: 'assigned', assignedTo: idOf(n), generation: aGeneration(1), acceptedAtMs: nowMs }),
          ),
        ),
        agents: all.map((n) => anAgent({ id: idOf(n), hubId: 'hub-dead', connectedAtMs: nowMs, lastHeardAtMs: nowMs })),
        // More than fit into one batch, and never confirmed.
        stopsSet: all.slice(0, PER_BATCH_MAX + 10).map((n) => aStop({ agentId: idOf(n), taskId: aTaskId(n), requestedAtMs: nowMs })),
      }),
    ),
  );
  let largest = 0;
  watchUnits(rig.storage, (unit) => ({
    load: (names) => {
      largest = Math.max(largest, names.holders?.length ?? 0);
      return unit.load(names);
    },
  }));
  await rig.queue.do({ kind: 'sweep' });
  await rig.pass(31_000);
  const rows = await agents.listAgents({ limit: AGENTS + 1 });
  t.equal(rows.filter(({ agent }) => agent.connected).length, 0);
  t.equal(rows.length, AGENTS);
  t.ok(largest > 0 && largest <= PER_BATCH_MAX, `${largest} agents and assignments in one batch`);
  await rig.stop();
});
