/** Hostile agents of a soak: each is a turn that its loop repeats. */
import {
  connect,
  identified,
  liar,
  type HostileAgent,
  type Peer,
  type SocketDeps,
  type Target,
} from '../../fuzz/hostile/hostile-sockets.ts';
import type { TaskId, Generation } from '../../../core/domain/ids.ts';
import type { Chance } from '../../simulation/seeded-chance.ts';
import { oddFrame, REPORTS, reportFrames, type Named } from '../../simulation/agents/hostile-words.ts';
import { DEEDS, HOSTILE_CAPABILITY } from './neighbour-kinds.ts';

/** Kinds of reports of one turn. */
const BURSTS = 3;
/** Fewer than close a socket; after them the agent rests until they are forgotten. */
const ODD_FRAMES = 3;
const ODD_ONE_IN = 3;
const ODD_RESTS_MS = 61_000;
/** One turn in this many uses the simulation's lies, the others the fuzzer's. */
const WORDS_ONE_IN = 3;
/** A push that does not come is waited for this long. */
const PUSH_WITHIN_MS = 3_000;
const HELD = 20;

/** One that has rested identifies and floods, until it has sent enough or is closed. */
export async function flood(deps: SocketDeps, agents: readonly HostileAgent[], version: 1 | 2, chance: Chance): Promise<void> {
  const rested = agents.filter(({ restsUntilMs }) => restsUntilMs <= performance.now());
  if (rested.length === 0) return;
  const agent = chance.pick(rested);
  await (deps.choose.oneIn(WORDS_ONE_IN) ? words(deps, agent, version, chance) : liar(deps, agent, version));
}

async function words(deps: SocketDeps, agent: HostileAgent, version: 1 | 2, chance: Chance): Promise<void> {
  const peer = await connect(deps, deps.choose.address());
  if (peer === null) return;
  const { agentId, token } = agent;
  const v2 = { protocol_version: 2, instance_id: `machine-of-${agentId}`, held: lies(deps.targets.others, chance) };
  const isIn = await identified(peer, { agent_id: agentId, token, slots: 128, ...(version === 2 ? v2 : {}) });
  for (let burst = 0; isIn && burst < BURSTS; burst += 1) {
    const task = target(deps.targets.others, chance);
    for (const frame of reportFrames(chance.pick(REPORTS), task, version, chance)) peer.send(JSON.stringify(frame));
    if (!(await peer.settled())) break;
  }
  if (isIn && deps.choose.oneIn(ODD_ONE_IN)) {
    for (let n = 0; n < ODD_FRAMES; n += 1) peer.send(oddFrame(chance, target(deps.targets.others, chance)));
    await peer.settled();
    agent.restsUntilMs = performance.now() + ODD_RESTS_MS;
  }
  await peer.end();
}

/** Claims tasks of others, mostly with generations that must not be reachable. */
function lies(others: readonly Target[], chance: Chance): readonly object[] {
  return others.slice(0, HELD).map(({ id, generation }) => ({
    task_id: id,
    generation: chance.pick([generation, generation + 1, generation + 1_000_000, Number.MAX_SAFE_INTEGER]),
    status: chance.pick(['accepted', 'working', 'reporting']),
  }));
}

function target(others: readonly Target[], chance: Chance): Named {
  const { id, generation } = others.length === 0 ? { id: 'task-0000000000000000', generation: 1 } : chance.pick(others);
  return { id: id as TaskId, generation: generation as Generation };
}

/** Connects, is assigned a task, and dies before it has accepted it. */
export async function crash(deps: SocketDeps, { agentId, token }: HostileAgent): Promise<void> {
  const peer = await connect(deps, deps.choose.address());
  if (peer === null) return;
  const who = { agent_id: agentId, token, capabilities: [HOSTILE_CAPABILITY], slots: 1, protocol_version: 2 };
  const isIn = await identified(peer, { ...who, instance_id: `machine-of-${agentId}`, held: [] });
  if (isIn && (await isGiven(peer))) deps.tally.answered(DEEDS.dropped);
  peer.socket.terminate();
}

/** Whether a task comes in time. */
async function isGiven(peer: Peer): Promise<boolean> {
  if (peer.own !== null) return true;
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), PUSH_WITHIN_MS);
    const end = (isIn: boolean): void => {
      clearTimeout(timer);
      resolve(isIn);
    };
    peer.onType = (type) => type === 'task_assign' && end(true);
    peer.socket.once('close', () => end(false));
  });
}
