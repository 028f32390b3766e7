/** Two hubs on one Postgres, and every pair of commands against each other, with their statements interleaved. */
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { systemIds } from '../../adapters/ids-system/system-ids.ts';
import { seededRandom } from '../product/twins/ids-seeded/seeded-random.ts';
import { memoryWire } from '../product/twins/wire-memory/memory-wire.ts';
import { knexStorage } from '../../adapters/storage-knex/knex-storage.ts';
import { postgresEngine } from '../../adapters/storage-knex/postgres/engine.ts';
import { LOCK_ORDER } from '../../adapters/storage-knex/postgres/statements.ts';
import type { Command } from '../../core/application/hub/batch/commands.ts';
import { createHub } from '../../core/application/hub/hub.ts';
import type { TaskQueue } from '../../core/application/hub/queue/task-queue.ts';
import { HUB_LIMITS } from '../../core/config/limits.ts';
import { HUB_TIMING } from '../../core/config/times.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { Storage } from '../../core/ports/storage.ts';
import { engineDeps } from '../adapters/storage-places/postgres-storage-place.ts';
import type { PostgresServer } from '../adapters/storage-places/postgres-server.ts';
import { anAgentId, aTaskId } from '../product/contracts/fixtures.ts';
import { gatesOver, type Gates } from './interleaving.ts';
import { COMMANDS, HUBS, worldAt } from './locks-world.ts';

/** Server settings for these runs: a deadlock is found at once. */
export const FAST_DEADLOCK_CHECK = ['-c', 'fsync=off', '-c', 'deadlock_timeout=30ms'];
/** Once in this many interleavings each hub gets several commands in one batch. */
const MANY_EVERY = 4;
const TABLES = ['pending_stops', 'tasks', 'agents', 'hubs', 'hub_mail', 'idempotency_keys', 'task_events', 'tombstones'];

export interface PairsOutcome {
  readonly interleavings: number;
  readonly pairs: number;
  readonly deadlocks: number;
  /** Statements that waited for the other hub. */
  readonly waits: number;
  readonly againstOrder: readonly string[];
  /** Commands that failed, by code. */
  readonly failures: Readonly<Record<string, number>>;
}

export interface PairsDeps {
  readonly server: PostgresServer;
  readonly schema: string;
  readonly interleavings: number;
  readonly seed: string;
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Runs the pairs in turn until this many interleavings were done. */
export async function runPairs({ server, schema, interleavings, seed, onProgress }: PairsDeps): Promise<PairsOutcome> {
  const monitor = await server.session();
  const gates = gatesOn(monitor);
  const deps = engineDeps({ url: server.url, schema });
  const storages = HUBS.map(() => knexStorage({ engine: gates.gated(postgresEngine(deps)), clock: deps.clock, log: deps.log }));
  for (const storage of storages) await storage.open();
  const bits = seededRandom(seed);
  const random = (): number => bits() / 2 ** 32;
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const names = Object.keys(COMMANDS);
  // A removal has a batch of its own.
  const mixed = names.filter((name) => name !== 'remove old');
  const inOrder = names.flatMap((first) => names.map((second) => ({ pair: [first, second] as const, place: random() })));
  // A short run covers a sample of every kind.
  const pairs = inOrder.sort((first, second) => first.place - second.place).map(({ pair }) => pair);
  const failures = new Map<string, number>();
  let ids = 100;
  const fresh = () => aTaskId((ids += 1));

  const interleave = async (commands: readonly (readonly Command[])[]): Promise<void> => {
    await monitor.ask(TABLES.map((table) => `DELETE FROM ${schema}.${table}`).join(';'));
    const [seeding] = storages as [Storage];
    await seeding.tasks.transact('seed', (unit) => unit.save(worldAt(unit.nowMs)));
    const queues = storages.map((storage, nth) => queueOver(storage, nth as 0 | 1));
    for (const [nth, queue] of queues.entries())
      await queue.do({ kind: 'poll', agentIds: [...(nth === 0 ? ['a', 'v'] : ['b'])].map(anAgentId), renews: true, mail: true });
    await gates.interleaved(async () => {
      const requests = queues.flatMap((queue, nth) => (commands[nth] ?? []).map((command) => queue.do(command)));
      for (const outcome of await Promise.allSettled(requests)) {
        if (outcome.status === 'fulfilled') continue;
        const code = AgentcomError.is(outcome.reason) ? outcome.reason.code : String(outcome.reason);
        failures.set(code, (failures.get(code) ?? 0) + 1);
      }
      await Promise.all(queues.map((queue) => queue.stop()));
    }, random);
  };

  try {
    for (let n = 0; n < interleavings; n += 1) {
      const pair = pairs[n % pairs.length] as readonly [string, string];
      const more = n % MANY_EVERY === MANY_EVERY - 1 ? [one(mixed), one(mixed), one(mixed)] : [];
      await interleave(pair.map((name, nth) => [name, ...more].map((each) => (COMMANDS[each] as (typeof COMMANDS)[string])(nth as 0 | 1, fresh())))); // prettier-ignore
      onProgress?.(n + 1);
    }
  } finally {
    await Promise.all([monitor.end(), ...storages.map((storage) => storage.close())]);
  }
  return {
    interleavings,
    pairs: Math.min(pairs.length, interleavings),
    deadlocks: gates.deadlocks,
    waits: gates.waits,
    againstOrder: [...new Set(gates.againstOrder)],
    failures: Object.fromEntries(failures),
  };
}

/** Gates in front of the server that `monitor` is connected to. */
export function gatesOn(monitor: Pick<PostgresServer, 'ask'>): Gates {
  const lockWaits = async (): Promise<number> => {
    const [row] = await monitor.ask(`SELECT count(*)::integer AS waits FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`); // prettier-ignore
    return Number(row?.['waits']);
  };
  return gatesOver({ lockWaits, order: LOCK_ORDER });
}

/** The queue of a hub with an empty memory; the hub itself is not started. */
export function queueOver(storage: Storage, nth: 0 | 1): TaskQueue {
  const clock = systemClock();
  const transport = memoryWire({ clock }).transport();
  const hub = createHub(
    { storage, transport, clock, ids: systemIds({ clock }), digest: systemDigest(), log: silentLog },
    {
      host: HUBS[nth],
      port: 0,
      timing: HUB_TIMING,
      limits: HUB_LIMITS,
      agentMessages: true,
      trustedProxies: [],
      isAllowedOrigin: () => true,
      hubId: HUBS[nth],
    },
  );
  // Its agents have no sockets here: each counts as connected, so that tasks are assigned, and none has just
  // disconnected.
  Object.assign(hub.context, { isHere: () => true });
  hub.context.quietPeriod.untilMs = 0;
  // A failed run ends everything.
  hub.finished.catch((cause: unknown) => {
    throw cause;
  });
  return hub.queue;
}
