/** Hostile neighbours as seen by the process that started them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import type { Hostile } from '../rig/stored-rows.ts';
import type { ChaosWorld } from '../rig/chaos-world.ts';
import {
  CRASHES_AT_ONCE,
  DEPENDENTS,
  HOSTILE_CAPABILITY,
  idleBetween,
  NEIGHBOURS,
  REQUIREMENTS,
  type NeighbourOrders,
  type Tallies,
} from './neighbour-kinds.ts';

export const HOSTILE_PREFIX = 'hostile-';
/** Many, because one that sent invalid frames must rest for a minute. */
const AGENTS = { flooding: 16, old: 10, crashing: 1 };
export const HOSTILE_AGENTS = AGENTS.flooding + AGENTS.old + AGENTS.crashing;
/**
 * What the neighbours submitted and have not ended: a first task with its dependents, a turn of requirements with a large body,
 * what the crash-looping agent has, and as much again for those that are being submitted.
 */
export const HOSTILE_OPEN_MAX = 2 * (1 + DEPENDENTS + REQUIREMENTS + 1 + CRASHES_AT_ONCE);

/** The last quarter of a load, in which every kind must misbehave. */
const LAST_QUARTER = 0.75;

export interface Neighbours {
  /** What was done and answered so far; null before the first report. */
  now(): Tallies | null;
  /** They have sent their first report, or are gone. */
  readonly begun: Promise<void>;
  /**
   * Ends them, with all their connections closed; returns what should not have happened. `mayRest`: also before they
   * have done anything.
   */
  stop(mayRest?: boolean): Promise<readonly string[]>;
}

export interface NeighbourTokens {
  readonly orders: NeighbourOrders;
  readonly hostile: Hostile;
}

/** A token of each kind, with only the rights it needs. */
export async function neighbourTokens({ api, hubPort }: ChaosWorld, seed: string): Promise<NeighbourTokens> {
  const agentsOf = async (kind: keyof typeof AGENTS): Promise<NeighbourOrders['agents']['old']> => {
    const made: { agentId: string; token: string }[] = [];
    for (let n = 1; n <= AGENTS[kind]; n += 1) {
      const agentId = `${HOSTILE_PREFIX}${kind}-${n}`;
      // Fixed by the token: whatever they claim, no honest task is ever assigned to them.
      const capabilities = [kind === 'crashing' ? HOSTILE_CAPABILITY : 'none'];
      made.push({ agentId, token: (await api.tokens.create({ agent_id: agentId, capabilities, max_slots: 1 })).token ?? '' });
    }
    return made;
  };
  const person = async (name: string, role: 'submitter' | 'viewer'): Promise<{ readonly id: string; readonly token: string }> => {
    const { id, token = '' } = await api.tokens.create({ name: `${HOSTILE_PREFIX}${name}`, role });
    return { id, token };
  };
  const [crashes, odd, slow] = [await person('crashes', 'submitter'), await person('odd', 'submitter'), await person('slow', 'submitter')];
  const viewer = await person('viewer', 'viewer');
  const agents = { flooding: await agentsOf('flooding'), old: await agentsOf('old'), crashing: await agentsOf('crashing') };
  const tokens = { crashes: crashes.token, odd: odd.token, slow: slow.token, viewer: viewer.token };
  return {
    orders: { port: hubPort, seed, agents, tokens },
    hostile: { submitters: [crashes.id, odd.id, slow.id], agentPrefix: HOSTILE_PREFIX },
  };
}

/** They work for this long from their start on: on a busy machine it takes seconds until they have generated what they send. */
export function startNeighbours(t: TestEnd, world: ChaosWorld, tree: BuiltTree, orders: NeighbourOrders, forMs: number): Neighbours {
  const file = join(world.dir, 'neighbours.json');
  writeFileSync(file, JSON.stringify(orders), { mode: 0o600 });
  const logFile = world.logOf('neighbours');
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, [tree.compiled('test/chaos/soak/soak-neighbours.ts'), file], { stdio: ['ignore', 'pipe', log] });
  closeSync(log);
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let lastQuarterMs = Infinity;
  let last: Tallies | null = null;
  let atLastQuarter: Tallies | null = null;
  const lines = createInterface({ input: child.stdout as Readable });
  const reading = (async () => {
    for await (const line of lines) {
      last = JSON.parse(line) as Tallies;
      if (performance.now() >= lastQuarterMs) atLastQuarter ??= last;
    }
  })();
  return {
    now: () => last,
    begun: Promise.race([once(lines, 'line'), ended]).then(() => void (lastQuarterMs = performance.now() + forMs * LAST_QUARTER)),
    async stop(mayRest = false) {
      child.kill('SIGTERM');
      const [code, signal] = await ended;
      await reading;
      const surprises: string[] = [];
      if (code !== 0) surprises.push(`the neighbours ended with ${code ?? signal}: ${readFileSync(logFile, 'utf8').slice(-2_000)}`);
      if (last === null) return [...surprises, 'the neighbours did nothing'];
      const tallies: Tallies = last;
      const idle = mayRest ? [] : atLastQuarter === null ? NEIGHBOURS : idleBetween(atLastQuarter, tallies);
      surprises.push(...idle.map((name) => `${name}: stopped misbehaving in the last quarter`));
      return [...surprises, ...NEIGHBOURS.flatMap((name) => tallies[name].surprises.map((surprise) => `${name}: ${surprise}`))];
    },
  };
}
