/** One simulated hub: the real use cases over the memory twins, killed and started anew on the same database. */
import { seededIds } from '../../adapters/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { memoryStorage } from '../../adapters/storage-memory/memory-storage.ts';
import type { TransactionStep } from '../../adapters/storage-memory/memory-task-store.ts';
import type { MemoryTransport } from '../../adapters/wire-memory/memory-transport.ts';
import { rulesOf, type HubContext } from '../../core/application/hub/context.ts';
import { Roster } from '../../core/application/hub/roster.ts';
import { HubSessions } from '../../core/application/hub/sessions/hub-sessions.ts';
import { Throttle } from '../../core/application/hub/sessions/throttle.ts';
import { Sweeper } from '../../core/application/hub/sweeper.ts';
import { TaskQueue } from '../../core/application/hub/task-queue.ts';
import { HUB_LIMITS } from '../../core/config/limits.ts';
import type { Ids } from '../../core/ports/chance.ts';
import type { HubConnection, TransportEvents } from '../../core/ports/hub-transport.ts';
import type { Storage } from '../../core/ports/storage.ts';
import type { Changes, TaskStore } from '../../core/ports/task-store.ts';
import { Life, machineClock, mortal, processClock, type MachineClock } from './life.ts';
import { countingLog } from './counting-log.ts';
import { failingReads, storeFaults } from './store-faults.ts';
import type { Surroundings } from './surroundings.ts';

export const HUB_HOST = 'hub';
export const HUB_PORT = 4_000;
/** After a start that failed. */
const RESTART_MS = 10_000;
/** The code of a connection that was closed because too much waited for it. */
const TOO_SLOW = 1013;
/** Stalls and jumps over it are seen. */
const JUMP_SEEN_MS = 5_000;

/** One process of the hub. */
interface Running {
  readonly life: Life;
  readonly queue: TaskQueue;
  readonly ids: Ids;
  readonly transport: MemoryTransport;
  readonly sweeper: Sweeper;
  readonly sessions: HubSessions;
  readonly storage: Storage;
  isOpen: boolean;
}

export class HubNode {
  readonly #world: Surroundings;
  readonly machine: MachineClock;
  #started = 0;
  #running: Running | null = null;
  #storeAwayUntilMs = 0;
  #killAt: { readonly step: TransactionStep; readonly downMs: number } | null = null;
  #healthySinceMs = 0;

  constructor(world: Surroundings) {
    this.#world = world;
    this.machine = machineClock(world.clock);
  }

  /** The process, once it takes commands. */
  get open(): Running | null {
    return this.#running?.isOpen === true ? this.#running : null;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Since when it has run and could commit, by its own wall clock. */
  get healthySinceMs(): number {
    return this.open === null || this.#running?.life.isFrozen === true ? Infinity : this.#healthySinceMs;
  }

  /** Something was wrong until now: what takes time begins anew. */
  unwell(): void {
    this.#healthySinceMs = this.nowMs;
    this.#world.ledger.hush();
  }

  get nowMs(): number {
    return this.machine.nowMs();
  }

  start(): void {
    if (this.#running !== null) return;
    this.#started += 1;
    this.#world.trace.add('hub', `starts (${this.#started})`);
    this.unwell();
    const running = this.#assemble();
    this.#running = running;
    this.#open(running).then(
      () => void (running.isOpen = true),
      (error: unknown) => {
        if (running.life.isOver) return;
        this.#world.trace.add('hub', `cannot start: ${String(error)}`);
        this.kill();
        this.#world.later(RESTART_MS, () => this.start());
      },
    );
  }

  async #open({ life, storage, sweeper, queue, transport, sessions }: Running): Promise<void> {
    const world = this.#world;
    await life.gate(storage.open());
    sweeper.start();
    await queue.do({ kind: 'hub_started', isShared: false });
    await life.gate(
      transport.listen(
        {
          host: HUB_HOST,
          port: HUB_PORT,
          frameBytesMax: HUB_LIMITS.frameBytes,
          socketsMax: HUB_LIMITS.sockets,
          get socketQueueBytesMax() {
            return world.faults.queueBytes || HUB_LIMITS.socketQueueBytes;
          },
          http: () => new Response(),
          isAllowedOrigin: () => true,
        },
        this.#ears(sessions, life),
      ),
    );
    sessions.start();
  }

  /** As kill -9: whatever was being committed is there or not. */
  kill(): void {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    this.#world.trace.add('hub', 'killed');
    running.life.end();
    running.transport.crash();
    this.#world.database.holder = null;
    this.#world.ledger.allAbsent();
  }

  /** As kill -9 at this step of the next transaction, or between two; up again after a while. */
  killFor(downMs: number, at: TransactionStep | 'rest'): void {
    if (at !== 'rest') {
      this.#killAt = { step: at, downMs };
      return;
    }
    if (this.#running !== null) this.#world.trace.rare('hub killed at rest');
    this.kill();
    this.#world.later(downMs, () => this.start());
  }

  #isAt(step: TransactionStep): boolean {
    const doom = this.#killAt;
    if (doom?.step !== step) return false;
    this.#killAt = null;
    this.#world.trace.rare(`hub killed at ${step}`);
    this.#world.later(0, () => {
      this.kill();
      this.#world.later(doom.downMs, () => this.start());
    });
    return true;
  }

  /** As SIGTERM. */
  async stop(): Promise<void> {
    const running = this.open;
    if (running === null) return;
    const { life, transport, queue, sessions, sweeper, storage } = running;
    this.#world.trace.add('hub', 'stops');
    running.isOpen = false;
    transport.refuseNew();
    await queue.flush();
    sessions.stop();
    await life.gate(transport.close(1012, 'the hub is stopping'));
    sweeper.stop();
    await queue.stop();
    await life.gate(storage.close());
    if (this.#running !== running) return;
    this.#running = null;
    running.life.end();
  }

  freeze(ms: number): void {
    const life = this.#running?.life;
    if (life === undefined || life.isFrozen) return;
    this.#world.trace.add('hub', `stands still for ${ms} ms`);
    life.freeze(ms, () => {
      // A shorter stall may end before the next sweep is due, and then nobody sees it, nor needs to.
      if (ms > this.#world.plan.timing.sweepMs + JUMP_SEEN_MS) this.unwell();
      else this.#healthySinceMs = this.nowMs;
    });
  }

  jump(ms: number): void {
    this.#world.trace.add('hub', `its clock jumps by ${ms} ms`);
    this.machine.jump(ms);
    if (Math.abs(ms) > JUMP_SEEN_MS) return this.unwell();
    this.#healthySinceMs = this.nowMs;
    this.#world.ledger.slipped(ms);
  }

  loseStore(ms: number): void {
    const { clock, trace } = this.#world;
    trace.add('hub', `the store is away for ${ms} ms`);
    trace.rare('store away');
    this.#storeAwayUntilMs = Math.max(this.#storeAwayUntilMs, clock.monotonicMs() + ms);
  }

  /** Everything is in order again. */
  mend(): void {
    this.#killAt = null;
    this.#storeAwayUntilMs = 0;
  }

  #assemble(): Running {
    const { world, name } = { world: this.#world, name: `hub ${this.#started}` };
    const { plan, clock: worldClock, database } = world;
    const life = new Life(worldClock);
    const clock = processClock(this.machine, life);
    const ids = seededIds({ seed: `${plan.seed} ${name}` });
    const log = countingLog('hub', world.trace);
    const isAway = (): boolean => worldClock.monotonicMs() < this.#storeAwayUntilMs;
    const saved = new Map<string, Saved>();
    const storage = memoryStorage({
      clock,
      database,
      onStep: storeFaults({
        chance: world.chanceOf(`store ${this.#started}`),
        clock: worldClock,
        life,
        faults: () => world.faults,
        awayUntilMs: () => this.#storeAwayUntilMs,
        onFailure: () => this.unwell(),
        at: (step) => this.#isAt(step),
        rare: (what) => world.trace.rare(what),
        onCommit: (batchId) => {
          const batch = saved.get(batchId);
          saved.delete(batchId);
          if (batch !== undefined) world.committed(batch.changes, batch.nowMs, batch.begunAtMs);
        },
      }),
    });
    const store = mortal(
      failingReads(
        noticing(storage.tasks, saved, () => ({ nowMs: this.nowMs, begunAtMs: worldClock.monotonicMs() })),
        ['read', 'committed', 'nextDueAtMs'],
        isAway,
      ),
      life,
    );
    const agents = mortal(failingReads(storage.agents, ['findToken'], isAway), life);
    const late: { sessions: HubSessions | null; sweeper: Sweeper | null } = { sessions: null, sweeper: null };
    const context: HubContext = {
      hubId: ids.random('hub'),
      rules: rulesOf(plan.timing, HUB_LIMITS),
      timing: plan.timing,
      limits: HUB_LIMITS,
      log,
      silence: { countsFromMs: Number.MAX_SAFE_INTEGER },
      isHere: (agentId, session) => late.sessions?.isHere(agentId, session) ?? false,
    };
    const roster = new Roster(context.hubId);
    const queue: TaskQueue = new TaskQueue({
      store,
      clock,
      ids,
      roster,
      context,
      deliver: (outgoing) => late.sessions?.deliver(outgoing),
      committed: ({ dueAtMs }) => late.sweeper?.expectDue(dueAtMs),
      storageFailed: () => late.sweeper?.storageFailed(),
    });
    const sweeper = new Sweeper({ clock, inbox: queue, context, nextDueAtMs: () => store.nextDueAtMs() });
    const sessions = new HubSessions({
      inbox: queue,
      agents,
      clock,
      ids,
      digest: systemDigest(),
      log,
      context,
      roster,
      storeId: () => database.storeId,
      throttle: new Throttle(HUB_LIMITS.invalidFrames),
      agentMessages: true,
      trustedProxies: [],
    });
    late.sessions = sessions;
    late.sweeper = sweeper;
    return { life, queue, ids, transport: world.wire.transport(), sweeper, sessions, storage, isOpen: false };
  }

  /** What the transport tells this process, as long as it lives. */
  #ears(sessions: HubSessions, life: Life): TransportEvents {
    const { ledger, trace } = this.#world;
    return {
      onOpen: (connection: HubConnection) => life.arrive(() => sessions.onOpen(connection)),
      onFrame: (connection, text) => {
        ledger.arrived(this.#world.agentOf(connection.id), text);
        life.arrive(() => sessions.onFrame(connection, text));
      },
      onPong: (connection) => life.arrive(() => sessions.onPong(connection)),
      onGone: (connection, code) => {
        if (code === TOO_SLOW) trace.rare('slow consumer closed');
        ledger.absent(this.#world.agentOf(connection.id), connection.id);
        life.arrive(() => sessions.onGone(connection, code));
      },
    };
  }
}

/** What a batch saves, and when it was made. */
interface Saved {
  readonly changes: Changes;
  /** By the hub's wall clock. */
  readonly nowMs: number;
  /** By the world's clock. */
  readonly begunAtMs: number;
}

/** The store, noting what each batch saves until its commit is seen. */
const noticing = (store: TaskStore, saved: Map<string, Saved>, now: () => Omit<Saved, 'changes'>): TaskStore => ({
  ...store,
  transact: (batchId, work) =>
    store.transact(batchId, (unit) =>
      work({
        ...unit,
        save: (changes) => {
          saved.set(batchId, { changes, ...now() });
          return unit.save(changes);
        },
      }),
    ),
});
