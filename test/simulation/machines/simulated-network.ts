/** The network of a simulated world: delays, dead ends and duplicates; every frame that is sent is reported to the ledger. */
import type { Arrival, Crossing, Fate } from '../../product/twins/wire-memory/crossing.ts';
import type { Chance } from '../seeded-chance.ts';
import type { FaultPlan } from '../plan.ts';
import type { Trace } from '../runner/trace.ts';

/** How one connection behaves. */
interface Conditions {
  readonly node: string;
  readonly hub: string;
  delayMs: number;
  jitterMs: number;
  /** Directions in which nothing arrives any more, although both ends consider the connection open. */
  readonly dead: Set<Crossing['from']>;
}

export interface SimulatedNetwork {
  readonly fate: Fate;
  /** The next connection is this node's, to that hub. */
  connecting(node: string, hub: string): void;
  nodeOf(connection: number): string;
  hubOf(connection: number): string;
  /** From now on everything on it takes this much longer. */
  slow(connection: number, delayMs: number): void;
  halfOpen(connection: number, direction: 'up' | 'down' | 'both'): void;
  /** Nothing crosses to or from this node, on old connections and on new ones, until it is rejoined. `hub`: only between these two. */
  part(node: string, hub?: string): void;
  join(node: string, hub?: string): void;
  /** Whether it still carries in both directions. */
  isSound(connection: number): boolean;
  /** All connections are fast from now on. */
  endFaults(): void;
}

export interface NetworkDeps {
  readonly chance: Chance;
  /** For lost answers; a stream of its own, so that worlds without them do not change. */
  readonly losing: Chance;
  readonly trace: Trace;
  readonly faults: () => FaultPlan;
  readonly onFrame: (crossing: Crossing, node: string) => void;
}

const QUICK = { delayMs: 1, jitterMs: 4 };
/** Share of the nodes that return from a partition. */
const SLOW_RETURNS = 0.6;

/** The hub's answer to the end of an assignment, once that is committed. */
const END_ANSWER = /^\{"type":"task_ack".*"status":"(?!accepted)/;

const TASK_FRAME = /^\{"type":"(task_(?!progress)[a-z_]+|wake_result)"/;

export function simulatedNetwork({ chance, losing, trace, faults, onFrame }: NetworkDeps): SimulatedNetwork {
  const known = new Map<number, Conditions>();
  let [connectingNode, connectingHub] = ['?', '?'];
  /** How many partitions each node, or node and hub, is in. */
  const parted = new Map<string, number>();
  /** Nodes that left a partition and have not connected since. */
  const returning = new Set<string>();

  const conditionsOf = (connection: number): Conditions => {
    const found = known.get(connection);
    if (found !== undefined) return found;
    // A node that was partitioned for long mostly returns over a bad line.
    const isBack = returning.delete(connectingNode) && chance.is(SLOW_RETURNS);
    const isSlow = isBack || chance.is(faults().slow);
    if (isSlow) trace.rare('frame late');
    const made = {
      node: connectingNode,
      hub: connectingHub,
      ...(isSlow ? { delayMs: chance.skewed(isBack ? 3_000 : 100, 20_000), jitterMs: 500 } : QUICK),
      dead: new Set<never>(),
    };
    known.set(connection, made);
    return made;
  };

  const placeOf = (node: string, hub?: string): string => (hub === undefined ? node : `${node} ${hub}`);
  const isParted = ({ node, hub }: Conditions): boolean =>
    parted.size > 0 && [node, placeOf(node, hub)].some((place) => (parted.get(place) ?? 0) > 0);

  return {
    fate(crossing): readonly Arrival[] {
      const conditions = conditionsOf(crossing.connection);
      const { kind, from, text, connection } = crossing;
      trace.add(
        from === 'hub' ? `${conditions.hub}→${conditions.node}` : `${conditions.node}→${conditions.hub}`,
        `#${connection} ${kind} ${text}`,
      );
      if (kind === 'frame') onFrame(crossing, conditions.node);
      if (from === 'hub' && END_ANSWER.test(text) && losing.is(faults().answersLost ?? 0)) {
        conditions.dead.add('hub').add('sidecar');
        trace.rare('answer lost');
      }
      if (conditions.dead.has(from) || isParted(conditions)) {
        trace.rare('frame lost');
        return [];
      }
      const delayMs = conditions.delayMs + chance.between(0, conditions.jitterMs);
      const isDoubled = kind === 'frame' && chance.is(faults().doubled) && TASK_FRAME.test(text);
      if (!isDoubled) return [{ delayMs }];
      trace.rare('frame doubled');
      return [{ delayMs }, { delayMs: delayMs + chance.between(0, 50) }];
    },
    connecting: (node, hub) => void ([connectingNode, connectingHub] = [node, hub]),
    hubOf: (connection) => known.get(connection)?.hub ?? '?',
    nodeOf: (connection) => known.get(connection)?.node ?? '?',
    slow(connection, delayMs) {
      const conditions = conditionsOf(connection);
      conditions.delayMs = delayMs;
      conditions.jitterMs = Math.max(conditions.jitterMs, delayMs / 2);
      trace.rare('frame late');
    },
    halfOpen(connection, direction) {
      const { dead } = conditionsOf(connection);
      if (direction !== 'down') dead.add('sidecar');
      if (direction !== 'up') dead.add('hub');
      trace.rare('half-open socket');
    },
    part(node, hub) {
      const place = placeOf(node, hub);
      parted.set(place, (parted.get(place) ?? 0) + 1);
      trace.rare(hub === undefined ? 'partition' : 'partition from one of several hubs');
    },
    join(node, hub) {
      const place = placeOf(node, hub);
      parted.set(place, Math.max(0, (parted.get(place) ?? 0) - 1));
      if (hub === undefined) returning.add(node);
    },
    endFaults() {
      parted.clear();
      returning.clear();
      for (const conditions of known.values()) Object.assign(conditions, QUICK);
    },
    isSound: (connection) => (known.get(connection)?.dead.size ?? 0) === 0,
  };
}
