/** Explanations agree with decisions: `ready` exactly if the dispatcher would assign the task. */
import t from 'tap';
import { mayWork, roomOf } from '../../../../core/domain/agent/breaker.ts';
import { isClaimable } from '../../../../core/domain/task/claimable.ts';
import { decidePairs } from '../../../../core/domain/task/scheduling.ts';
import type { Task } from '../../../../core/domain/task/task.ts';
import { isOver } from '../../../../core/domain/transitions/due.ts';
import type { AgentLoad } from '../../../../core/domain/waiting/agent-waiting.ts';
import { explainWaiting } from '../../../../core/domain/waiting/waiting-for.ts';
import { A_MOMENT_MS as NOW, aRequirement, aTask, anAgent, anAgentId } from '../../../product/contracts/fixtures.ts';
import { hubRig, type Peer } from '../hub-rig.ts';
import { whyTask } from './why-rig.ts';

/** Number of random worlds of tasks and agents; `AGENTCOM_WHY_WORLDS` for more. */
const WORLDS = Number(process.env['AGENTCOM_WHY_WORLDS'] ?? 2_000);
const STEPS = 120;

/** Mulberry32: the same numbers in each run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const CAPABILITIES = ['code', 'gpu', 'web'] as const;

t.test('a task is `ready` exactly if the dispatcher would assign it, in random worlds', async (t) => {
  const kinds = new Map<string, number>();
  for (let seed = 1; seed <= WORLDS; seed += 1) {
    const below = numbers(seed);
    const some = () => CAPABILITIES.filter(() => below(2) === 0);
    const time = () => (below(3) === 0 ? NOW + below(3) * 1_000 - 1_000 : null);
    const agents = Array.from({ length: below(4) }, (_, n): AgentLoad => {
      const slots = 1 + below(2);
      const agent = anAgent({
        id: anAgentId(`a${n}`),
        capabilities: some(),
        slots,
        connected: below(5) > 0,
        draining: below(8) === 0,
        ownDrain: below(8) === 0 ? 'full' : null,
        pausedUntilMs: time(),
        brokenUntilMs: time(),
        busyUntilMs: time(),
        pauses: below(3) === 0 ? 1 : 0,
        checks: below(8) === 0 ? { atMs: NOW, failed: [{ check: 'x', message: 'y' }], passed: [] } : null,
      });
      return { agent, liveCount: below(slots + 1), stopCount: below(2) };
    });
    const assignTo = below(4) === 0 ? `a${below(4)}` : undefined;
    const parked = below(8) === 0;
    const avoid = below(3) === 0 ? anAgentId(`a${below(4)}`) : null;
    const times = { eligibleAtMs: time(), expiresAtMs: time(), completeByMs: time() };
    const task: Task = aTask({ requirement: aRequirement(some(), assignTo), parked, avoid, ...times });
    const free = agents.flatMap(({ agent, liveCount, stopCount }) => {
      const room = roomOf(agent) - liveCount - stopCount;
      return mayWork(agent, NOW) && room > 0 ? [{ id: agent.id, capabilities: agent.capabilities, free: room, assignedCount: 0 }] : [];
    });
    const isAssigned = isClaimable(task, NOW) && !isOver(task, NOW) && decidePairs([task], free).length > 0;
    const kind = explainWaiting(task, { dependencies: [], agents, nowMs: NOW })?.kind ?? 'nothing';
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if ((kind === 'ready') !== isAssigned) t.fail(`seed ${seed}: ${kind}, and it is ${isAssigned ? '' : 'not '}assigned`);
  }
  t.ok((kinds.get('ready') ?? 0) > WORLDS / 50, JSON.stringify([...kinds]));
  t.ok(kinds.size >= 10, JSON.stringify([...kinds]));
});

t.test('in an idle hub every queued task has a reason to wait, and none is ready', async (t) => {
  const rig = await hubRig({ timing: { heartbeatMs: 86_400_000 } });
  const below = numbers(7);
  const peers: Peer[] = [];
  for (const id of ['a1', 'a2', 'a3']) peers.push(await rig.peer(id));
  const ids: Awaited<ReturnType<typeof rig.submit>>[] = [];
  const kinds = new Set<string>();
  for (let step = 0; step < STEPS; step += 1) {
    const place = below(peers.length);
    const peer = peers[place] as Peer;
    switch (below(7)) {
      case 0:
        peers[place] = peer.closed() === null ? peer : await peer.reconnect();
        await peers[place].identify({ instance_id: `machine ${place}`, capabilities: CAPABILITIES.slice(place), slots: 1 + place });
        break;
      case 1:
        if (below(3) === 0) {
          await peer.cut();
          peers[place] = await peer.reconnect();
        }
        break;
      case 2: {
        const change = below(2) === 0 ? 'drain' : 'resume';
        await rig.queue.do({ kind: 'agent_control', agentId: anAgentId(`a${place + 1}`), change });
        break;
      }
      case 3:
        await rig.pass(1_000 * below(60));
        break;
      case 4: {
        const live = (await rig.storage.agents.getAgent(anAgentId(`a${place + 1}`)))?.live[0];
        if (live === undefined) break;
        const type = below(2) === 0 ? 'task_failed' : 'task_rejected';
        await peer.send({ type, task_id: live.id, generation: live.generation, error: 'no', reason: 'no' });
        break;
      }
      default:
        ids.push(await rig.submit({ neededCapabilities: CAPABILITIES.filter(() => below(4) === 0) }));
    }
    await rig.pass(1);
    for (const id of ids) {
      const { task } = await rig.record(id);
      const why = await whyTask(rig, id);
      if (task.status === 'queued') kinds.add(why?.kind ?? 'nothing');
      if (task.status === 'queued' && (why === null || why.kind === 'ready')) t.fail(`step ${step}: ${id} ${why?.message ?? 'null'}`);
    }
  }
  t.ok(kinds.size >= 4, [...kinds].join());
  await rig.stop();
});
