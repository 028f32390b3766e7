/**
 * One simulated hub: the real use cases over the memory twins, killed and restarted on the same database.
 *
 * Long on purpose: it is the whole state of one process, and everything that may happen to it needs all of it.
 */
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { MemoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import type { TransactionStep } from '../../../adapters/storage-memory/memory-task-store.ts';
import type { MemoryTransport } from '../../product/twins/wire-memory/memory-transport.ts';
import type { CommandInbox } from '../../../core/application/hub/batch/commands.ts';
import { createHub, type Hub, type HubPart } from '../../../core/application/hub/hub.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import type { Ids } from '../../../core/ports/chance.ts';
import type { TaskStore } from '../../../core/ports/task-store.ts';
import type { HubConnection, HubTransport, TransportEvents } from '../../../core/ports/hub-transport.ts';
import { hubStore } from './hub-store.ts';
import { Life, machineClock, processClock, type MachineClock } from '../runner/world-life.ts';
import { countingLog } from './counting-log.ts';
import type { HubState } from '../judges/patience-judge.ts';
import type { HubPlan } from '../plan.ts';
import { StreamReader } from './stream-reader.ts';
import type { Surroundings } from './simulated-surroundings.ts';

const HUB_PORT = 4_000;
/** After a start that failed. */
const RESTART_MS = 10_000;
/** The close code of a connection with too much queued. */
const TOO_SLOW = 1013;
/** Stalls and jumps longer than this are noticed. */
const JUMP_SEEN_MS = 5_000;
/** What store time gains while it is pulled to a wall clock slightly ahead. */
const SLEW_MS = 100;
/** A server ends the transaction of a hub that is silent for this long. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** A hub that may have been considered dead has disconnected its sidecars within this time. */
const SENT_OFF_MS = 20_000;

/** One process of the hub. */
interface Running {
  readonly hubId: string;
  readonly hub: Hub;
  readonly parts: readonly HubPart[];
  readonly life: Life;
  /** Its queue as clients reach it: requests to a stalled process wait in its socket until it continues. */
  readonly api: Pick<CommandInbox, 'post'>;
  readonly ids: Ids;
  readonly transport: MemoryTransport;
  readonly storage: MemoryStorage;
  isOpen: boolean;
}

export class HubNode {
  readonly name: string;
  readonly url: string;
  readonly #world: Surroundings;
  readonly machine: MachineClock;
  /** Reads the history here, across restarts. */
  readonly #stream: StreamReader;
  #started = 0;
  #running: Running | null = null;
  #storeAwayUntilMs = 0;
  #killAt: { readonly step: TransactionStep; readonly downMs: number } | null = null;
  #healthySinceMs = 0;
  /** The same by the world's time, whatever its clock does. */
  #wellSinceMs = 0;
  /** The newest store that was opened. */
  #store: Pick<TaskStore, 'nowMs'> | null = null;
  /** Its time minus the world's, as last seen. */
  #aheadMs = 0;
  /** Since when it is down or stalled, by the store's clock. */
  #awaySinceMs: number | null = 0;

  constructor(world: Surroundings, name: string, { clockOffMs }: HubPlan) {
    this.name = name;
    this.url = `ws://${name}:${HUB_PORT}/ws`;
    this.#world = world;
    this.machine = machineClock(world.clock, clockOffMs);
    this.#stream = new StreamReader(name, world.ledger);
  }

  /** The process, once it takes commands. */
  get open(): Running | null {
    return this.#running?.isOpen === true ? this.#running : null;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /**
   * Since when it has run and could commit, by the store's clock. A hub that is down or stalled while others live does
   * no harm once they have noticed.
   */
  get healthySinceMs(): number {
    const { plan } = this.#world;
    if (this.open !== null && this.#running?.life.isFrozen !== true) return this.#healthySinceMs;
    return this.#awaySinceMs === null || plan.hubs.length === 1
      ? Infinity
      : this.#awaySinceMs + plan.timing.hubLeaseMs + plan.timing.sweepMs;
  }

  /** Its current state, for the judge of how long things take. */
  get state(): HubState {
    const running = this.open;
    if (running === null || running.life.isFrozen) return { hubId: null, wellSinceMs: Infinity };
    return { hubId: running.hubId, wellSinceMs: this.#wellSinceMs };
  }

  /** It handles what is due in a moment. */
  sweepSoon(): void {
    this.open?.hub.sweeper.expectDue(this.open.hub.clock.nowMs());
  }

  /** Something was wrong until now: waiting times start over. */
  disturbed(): void {
    this.#wellSinceMs = this.#world.clock.monotonicMs();
    this.#startQuietPeriod();
  }

  #startQuietPeriod(): void {
    this.#healthySinceMs = this.storeMs;
    this.#world.ledger.startQuietPeriod(this.name);
  }

  /** The time of its store, which follows its own clock unless it shares the store. */
  get storeMs(): number {
    return this.#world.plan.shared ? this.#world.clock.nowMs() : (this.#store?.nowMs() ?? this.machine.nowMs());
  }

  /** When the store's time was moved forward, deadlines are reached that much sooner, and the hub notices a move that is not tiny. */
  #noteTime(): void {
    const aheadMs = this.storeMs - this.#world.clock.monotonicMs();
    const byMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    if (byMs > JUMP_SEEN_MS) return this.#startQuietPeriod();
    if (byMs <= 0) return;
    this.#world.ledger.slipped(byMs);
    if (byMs > SLEW_MS) this.#healthySinceMs = this.storeMs;
  }

  /** Agents whose sockets have long been here, but whose rows say that they are disconnected. */
  misplaced(): readonly string[] {
    const running = this.open;
    const { database, plan } = this.#world;
    const sinceMs = this.storeMs - plan.timing.hubLeaseMs - plan.timing.sweepMs;
    if (running === null || running.life.isFrozen || this.healthySinceMs > sinceMs) return [];
    return running.hub.sessions.agentIds().flatMap((id) => {
      const agent = database.agents.get(id);
      const isAway = agent?.hubId === running.hubId && !agent.connected && (agent.disconnectedAtMs ?? Infinity) < sinceMs;
      return isAway && (agent.connectedAtMs ?? Infinity) < sinceMs
        ? [`${id} is connected to ${this.name}, but its row says that it is disconnected`]
        : [];
    });
  }

  start(): void {
    if (this.#running !== null) return;
    this.#started += 1;
    this.#world.trace.add(this.name, `starts (${this.#started})`);
    this.disturbed();
    if (this.machine.offMs !== 0 && this.#world.plan.shared) this.#world.trace.rare('hub with a wrong clock');
    const running = this.#assemble();
    this.#running = running;
    this.#open(running).then(
      () => {
        running.isOpen = true;
        this.#wellSinceMs = this.#world.clock.monotonicMs();
        this.#awaySinceMs = null;
        this.#noteTime();
      },
      (error: unknown) => {
        if (running.life.isOver) return;
        this.#world.trace.add(this.name, `cannot start: ${String(error)}`);
        // Not between its promises, where no process dies: its next step would begin a transaction that is never ended.
        this.#world.later(0, () => {
          if (this.#running === running) this.kill();
        });
        this.#world.later(RESTART_MS, () => this.start());
      },
    );
  }

  async #open({ storage, parts }: Running): Promise<void> {
    for (const [place, part] of parts.entries()) {
      await part.start();
      if (place === 0) this.#store = storage.tasks;
    }
  }

  /** Like kill -9: whatever was being committed is committed or not. */
  kill(): void {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    this.#world.trace.add(this.name, 'killed');
    running.life.end();
    running.transport.crash();
    running.storage.crash();
    this.#awaySinceMs = this.storeMs;
    if (this.#world.ledger.allAbsent(this.name) > 0 && this.#world.othersLive(this))
      this.#world.trace.rare('hub with sockets killed while others live');
  }

  /** Like kill -9 at this step of the next transaction, or between two; up again after a while. */
  killFor(downMs: number, at: TransactionStep | 'rest'): void {
    if (at !== 'rest') {
      this.#killAt = { step: at, downMs };
      return;
    }
    if (this.#running !== null) this.#world.trace.rare('hub killed when idle');
    this.kill();
    this.#world.later(downMs, () => this.start());
  }

  #isAt(step: TransactionStep): boolean {
    this.#noteTime();
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

  /** Like SIGTERM. */
  async stop(): Promise<void> {
    const running = this.open;
    if (running === null) return;
    this.#world.trace.add(this.name, 'stops');
    running.isOpen = false;
    for (const part of running.parts.toReversed()) await part.stop();
    if (this.#running !== running) return;
    this.#running = null;
    this.#awaySinceMs = this.storeMs;
    running.life.end();
  }

  freeze(ms: number): void {
    const running = this.#running;
    if (running === null || running.life.isFrozen) return;
    const { life, storage } = running;
    const { trace, plan, later } = this.#world;
    trace.add(this.name, `is frozen for ${ms} ms`);
    this.#awaySinceMs = this.storeMs;
    const isBack = this.#unseen(ms);
    life.freeze(ms, () => {
      this.#awaySinceMs = running.isOpen ? null : this.#awaySinceMs;
      isBack();
      this.#wellSinceMs = this.#world.clock.monotonicMs();
      // A shorter stall may end before the next sweep is due, and then it is not noticed, nor needs to be.
      if (ms > plan.timing.sweepMs + JUMP_SEEN_MS) this.disturbed();
      else this.#healthySinceMs = this.storeMs;
    });
    if (plan.shared && ms > IDLE_IN_TRANSACTION_MS) later(IDLE_IN_TRANSACTION_MS, () => storage.endTransaction());
  }

  /** The other hubs do not see it alive for this long: its agents may count as disconnected. Returns a function to call at the end. */
  #unseen(ms: number): () => void {
    const { ledger, plan, later } = this.#world;
    if (!plan.shared || ms < plan.timing.hubLeaseMs - plan.timing.pollMs - JUMP_SEEN_MS) return () => undefined;
    const leave = ledger.unseen(this.name);
    return () => later(SENT_OFF_MS, leave);
  }

  /** The store's time does not jump with it; that of a hub that shares its store does not even follow it. */
  jump(ms: number): void {
    this.#world.trace.add(this.name, `its clock jumps by ${ms} ms`);
    this.machine.jump(ms);
  }

  loseStore(ms: number): void {
    const { clock, trace, later, plan } = this.#world;
    trace.add(this.name, `the store is away for ${ms} ms`);
    trace.rare(plan.hubs.length > 1 ? 'store away from one of several hubs' : 'store away');
    this.#storeAwayUntilMs = Math.max(this.#storeAwayUntilMs, clock.monotonicMs() + ms);
    later(ms, this.#unseen(ms));
  }

  /** All faults of this hub end. */
  endFaults(): void {
    this.#killAt = null;
    this.#storeAwayUntilMs = 0;
    if (!this.#world.plan.shared) this.machine.jump(this.storeMs - this.machine.nowMs());
  }

  #assemble(): Running {
    const world = this.#world;
    const { plan, clock: worldClock } = world;
    const transport = world.wire.transport();
    const life = new Life(worldClock);
    const process = processClock(this.machine, life);
    const ids = seededIds({ seed: `${plan.seed} ${this.name} ${this.#started}` });
    const log = countingLog('hub', world.trace);
    const { storage, tasks, agents, notifier } = hubStore({
      world,
      life,
      clock: process,
      hub: this.name,
      started: this.#started,
      awayUntilMs: () => this.#storeAwayUntilMs,
      onFailure: () => this.disturbed(),
      at: (step) => this.#isAt(step),
    });
    const hub = createHub(
      {
        storage: { ...storage, open: () => life.gate(storage.open()), close: () => life.gate(storage.close()), tasks, agents, notifier },
        transport: this.#transportOf(transport, life),
        clock: process,
        ids,
        digest: systemDigest(),
        log,
      },
      {
        host: this.name,
        port: HUB_PORT,
        timing: plan.timing,
        // One large task at a time that an agent has not answered.
        limits: world.faults.largeTasks ? { ...HUB_LIMITS, socketQueueBytes: HUB_LIMITS.frameBytes + 2_000 } : HUB_LIMITS,
        earlyCommands: 1,
        agentMessages: true,
        trustedProxies: [],
        isAllowedOrigin: () => true,
      },
    );
    // Numbers and commits of a single hub have one order.
    if (plan.shared) hub.onCommit(() => this.#stream.wake(storage.events, life));
    hub.finished.catch((error: unknown) => world.violated('hub', `${this.name} broke an internal rule: ${String(error)}`));
    return {
      hubId: hub.hubId,
      hub,
      parts: hub.parts({ handle: () => ({ status: 404, headers: {}, body: null }), close: () => undefined }),
      life,
      api: { post: (command, settled) => life.arrive(() => hub.queue.post(command, settled)) },
      ids,
      transport,
      storage,
      isOpen: false,
    };
  }

  /** The transport as seen by this process: its events arrive while the process lives. */
  #transportOf(transport: MemoryTransport, life: Life): HubTransport {
    const world = this.#world;
    return {
      name: transport.name,
      capabilities: transport.capabilities,
      listen: (options, events) =>
        life.gate(
          transport.listen(
            {
              ...options,
              get socketQueueBytesMax() {
                return world.faults.queueBytes || options.socketQueueBytesMax;
              },
            },
            this.#whileAlive(events, life),
          ),
        ),
      refuseNew: () => transport.refuseNew(),
      close: (code, reason) => life.gate(transport.close(code, reason)),
    };
  }

  /** What the transport reports to this process while it lives. */
  #whileAlive(events: TransportEvents, life: Life): TransportEvents {
    const { ledger, trace } = this.#world;
    return {
      onOpen: (connection: HubConnection) => life.arrive(() => events.onOpen(connection)),
      onFrame: (connection, text) => {
        ledger.arrived(this.#world.agentOf(connection.id), text, this.name);
        life.arrive(() => events.onFrame(connection, text));
      },
      onPong: (connection) => life.arrive(() => events.onPong(connection)),
      onGone: (connection, code) => {
        if (code === TOO_SLOW) trace.rare('slow consumer closed');
        ledger.absent(this.#world.agentOf(connection.id), connection.id);
        life.arrive(() => events.onGone(connection, code));
      },
    };
  }
}
