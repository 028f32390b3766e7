/**
 * One simulated hub: the real use cases over the memory twins, killed and started anew on the same database.
 * Long on purpose: one state of one process; what may happen to it needs all of it.
 */
import { seededIds } from '../../adapters/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import type { MemoryStorage } from '../../adapters/storage-memory/memory-storage.ts';
import type { TransactionStep } from '../../adapters/storage-memory/memory-task-store.ts';
import type { MemoryTransport } from '../../adapters/wire-memory/memory-transport.ts';
import type { CommandInbox } from '../../core/application/hub/commands.ts';
import { rulesOf, type HubContext } from '../../core/application/hub/context.ts';
import { Silence } from '../../core/application/hub/silence.ts';
import { hubClock } from '../../core/application/hub/hub-clock.ts';
import { Lookout } from '../../core/application/hub/lookout.ts';
import { Roster } from '../../core/application/hub/roster.ts';
import { HubSessions } from '../../core/application/hub/sessions/hub-sessions.ts';
import { Throttle } from '../../core/application/hub/sessions/throttle.ts';
import { Sweeper } from '../../core/application/hub/sweeper.ts';
import { TaskQueue } from '../../core/application/hub/task-queue.ts';
import { TokenUse } from '../../core/application/hub/token-use.ts';
import { HUB_LIMITS, unidentifiedBytesMax } from '../../core/config/limits.ts';
import type { Ids } from '../../core/ports/chance.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { TaskStore } from '../../core/ports/task-store.ts';
import type { HubConnection, TransportEvents } from '../../core/ports/hub-transport.ts';
import { hubStore } from './hub-store.ts';
import { Life, machineClock, processClock, type MachineClock } from './life.ts';
import { countingLog } from './counting-log.ts';
import type { HubState } from './patience-judge.ts';
import type { HubPlan } from './plan.ts';
import { StreamReader } from './stream-reader.ts';
import type { Surroundings } from './surroundings.ts';

const HUB_PORT = 4_000;
/** After a start that failed. */
const RESTART_MS = 10_000;
/** The code of a connection that was closed because too much waited for it. */
const TOO_SLOW = 1013;
/** Stalls and jumps over it are seen. */
const JUMP_SEEN_MS = 5_000;
/** What store time gains while it is pulled to a wall clock a little ahead. */
const SLEW_MS = 100;
/** A server ends the transaction of a hub that says nothing for so long. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** A hub that may have been taken for dead has sent its sidecars off within this time. */
const SENT_OFF_MS = 20_000;

/** One process of the hub. */
interface Running {
  readonly hubId: string;
  readonly life: Life;
  readonly queue: TaskQueue;
  /** Its queue as clients reach it: what they ask of a process that stands still lies in its socket until it goes on. */
  readonly api: Pick<CommandInbox, 'post'>;
  readonly ids: Ids;
  readonly transport: MemoryTransport;
  readonly sweeper: Sweeper;
  readonly sessions: HubSessions;
  readonly lookout: Lookout;
  readonly clock: Clock;
  readonly storage: MemoryStorage;
  isOpen: boolean;
}

export class HubNode {
  readonly name: string;
  readonly url: string;
  readonly #world: Surroundings;
  readonly machine: MachineClock;
  /** Who reads the history here, over its restarts. */
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
  /** Its time less the world's, as it was last seen. */
  #aheadMs = 0;
  /** Since when it is down or stands still, by the store's clock. */
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
   * Since when it has run and could commit, by the store's clock. One that is down or stands still while others live does
   * no harm from the time on when they have taken note of it.
   */
  get healthySinceMs(): number {
    const { plan } = this.#world;
    if (this.open !== null && this.#running?.life.isFrozen !== true) return this.#healthySinceMs;
    return this.#awaySinceMs === null || plan.hubs.length === 1
      ? Infinity
      : this.#awaySinceMs + plan.timing.hubLeaseMs + plan.timing.sweepMs;
  }

  /** As it stands, for who judges how long things take. */
  get state(): HubState {
    const running = this.open;
    if (running === null || running.life.isFrozen) return { hubId: null, wellSinceMs: Infinity };
    return { hubId: running.hubId, wellSinceMs: this.#wellSinceMs };
  }

  /** It looks at what is due in a moment. */
  sweepSoon(): void {
    this.open?.sweeper.expectDue(this.open.clock.nowMs());
  }

  /** Something was wrong until now: what takes time begins anew. */
  unwell(): void {
    this.#wellSinceMs = this.#world.clock.monotonicMs();
    this.#hush();
  }

  #hush(): void {
    this.#healthySinceMs = this.storeMs;
    this.#world.ledger.hush(this.name);
  }

  /** The time of its store, which follows its own clock unless it shares it. */
  get storeMs(): number {
    return this.#world.plan.shared ? this.#world.clock.nowMs() : (this.#store?.nowMs() ?? this.machine.nowMs());
  }

  /** Where the store's time was moved forward, its times are over that much sooner, and the hub sees what is more than a little. */
  #noteTime(): void {
    const aheadMs = this.storeMs - this.#world.clock.monotonicMs();
    const byMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    if (byMs > JUMP_SEEN_MS) return this.#hush();
    if (byMs <= 0) return;
    this.#world.ledger.slipped(byMs);
    if (byMs > SLEW_MS) this.#healthySinceMs = this.storeMs;
  }

  /** Agents whose sockets are here for long, and whose rows say that they are away. */
  misplaced(): readonly string[] {
    const running = this.open;
    const { database, plan } = this.#world;
    const sinceMs = this.storeMs - plan.timing.hubLeaseMs - plan.timing.sweepMs;
    if (running === null || running.life.isFrozen || this.healthySinceMs > sinceMs) return [];
    return running.sessions.agentIds().flatMap((id) => {
      const agent = database.agents.get(id);
      const isAway = agent?.hubId === running.hubId && !agent.connected && (agent.disconnectedAtMs ?? Infinity) < sinceMs;
      return isAway && (agent.connectedAtMs ?? Infinity) < sinceMs ? [`${id} is at ${this.name}, and its row says that it is away`] : [];
    });
  }

  start(): void {
    if (this.#running !== null) return;
    this.#started += 1;
    this.#world.trace.add(this.name, `starts (${this.#started})`);
    this.unwell();
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
        this.kill();
        this.#world.later(RESTART_MS, () => this.start());
      },
    );
  }

  async #open({ life, storage, sweeper, queue, transport, sessions, lookout, clock }: Running): Promise<void> {
    const world = this.#world;
    await life.gate(storage.open());
    this.#store = storage.tasks;
    sweeper.start();
    const askedMonotonicMs = clock.monotonicMs();
    await queue.do({ kind: 'hub_started', isShared: world.plan.shared });
    if (world.plan.shared) lookout.start(askedMonotonicMs);
    await life.gate(
      transport.listen(
        {
          host: this.name,
          port: HUB_PORT,
          frameBytesMax: HUB_LIMITS.frameBytes,
          unidentifiedBytesMax: unidentifiedBytesMax(HUB_LIMITS),
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
    this.#world.trace.add(this.name, 'killed');
    running.life.end();
    running.transport.crash();
    running.storage.crash();
    this.#awaySinceMs = this.storeMs;
    if (this.#world.ledger.allAbsent(this.name) > 0 && this.#world.othersLive(this))
      this.#world.trace.rare('hub with sockets killed beside others');
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

  /** As SIGTERM. */
  async stop(): Promise<void> {
    const running = this.open;
    if (running === null) return;
    const { life, transport, queue, sessions, sweeper, storage, lookout } = running;
    this.#world.trace.add(this.name, 'stops');
    running.isOpen = false;
    transport.refuseNew();
    await queue.flush();
    sessions.stop();
    await life.gate(transport.close(1012, 'the hub is stopping'));
    lookout.stop();
    sweeper.stop();
    await queue.stop();
    await life.gate(storage.close());
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
    trace.add(this.name, `stands still for ${ms} ms`);
    this.#awaySinceMs = this.storeMs;
    const isBack = this.#unseen(ms);
    life.freeze(ms, () => {
      this.#awaySinceMs = running.isOpen ? null : this.#awaySinceMs;
      isBack();
      this.#wellSinceMs = this.#world.clock.monotonicMs();
      // A shorter stall may end before the next sweep is due, and then nobody sees it, nor needs to.
      if (ms > plan.timing.sweepMs + JUMP_SEEN_MS) this.unwell();
      else this.#healthySinceMs = this.storeMs;
    });
    if (plan.shared && ms > IDLE_IN_TRANSACTION_MS) later(IDLE_IN_TRANSACTION_MS, () => storage.endTransaction());
  }

  /** The other hubs do not see it live for so long: its agents may count as away. Answers what to call at the end. */
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

  /** Everything is in order again. */
  mend(): void {
    this.#killAt = null;
    this.#storeAwayUntilMs = 0;
    if (!this.#world.plan.shared) this.machine.jump(this.storeMs - this.machine.nowMs());
  }

  #assemble(): Running {
    const world = this.#world;
    const { plan, clock: worldClock, database } = world;
    const life = new Life(worldClock);
    const process = processClock(this.machine, life);
    const ids = seededIds({ seed: `${plan.seed} ${this.name} ${this.#started}` });
    const log = countingLog('hub', world.trace);
    const {
      storage,
      tasks: store,
      agents,
      calls,
    } = hubStore({
      world,
      life,
      clock: process,
      hub: this.name,
      started: this.#started,
      awayUntilMs: () => this.#storeAwayUntilMs,
      onFailure: () => this.unwell(),
      at: (step) => this.#isAt(step),
    });
    const clock = hubClock(process, storage.tasks);
    const late: { sessions: HubSessions | null; lookout: Lookout | null } = { sessions: null, lookout: null };
    const context: HubContext = {
      hubId: ids.random('hub'),
      rules: rulesOf(plan.timing, HUB_LIMITS),
      timing: plan.timing,
      limits: HUB_LIMITS,
      log,
      digest: systemDigest(),
      silence: new Silence(),
      isHere: (agentId, session) => late.sessions?.isHere(agentId, session) ?? false,
      heardAtMs: (agentId) => late.sessions?.lastHeardAtMs(agentId) ?? null,
    };
    const roster = new Roster(context.hubId);
    // Numbers and commits of a hub that is alone have one order.
    const newEvents = (): void => (plan.shared ? this.#stream.wake(storage.events, life) : undefined);
    const queue: TaskQueue = new TaskQueue({
      store,
      clock,
      ids,
      roster,
      context,
      deliver: (outgoing) => late.sessions?.deliver(outgoing),
      committed: ({ dueAtMs, look }) => {
        sweeper.expectDue(dueAtMs);
        late.lookout?.tell(look);
        newEvents();
      },
      storageFailed: (lastedMs, isOver) => sweeper.storageFailed(lastedMs, isOver),
      judging: (nowMs) => sweeper.judging(nowMs),
    });
    const sweeper = new Sweeper({
      clock,
      inbox: queue,
      context,
      nextDueAtMs: () => store.nextDueAtMs(),
      lastUsedMs: () => store.lastUsedMs(),
    });
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
      tokenUse: new TokenUse({ agents, clock, log }),
      agentMessages: true,
      trustedProxies: [],
    });
    late.sessions = sessions;
    const lookout = new Lookout({ clock, inbox: queue, context, calls, sessions, newEvents });
    late.lookout = lookout;
    return {
      hubId: context.hubId,
      life,
      queue,
      api: { post: (command, settled) => life.arrive(() => queue.post(command, settled)) },
      ids,
      transport: world.wire.transport(),
      sweeper,
      sessions,
      lookout,
      clock,
      storage,
      isOpen: false,
    };
  }

  /** What the transport tells this process, as long as it lives. */
  #ears(sessions: HubSessions, life: Life): TransportEvents {
    const { ledger, trace } = this.#world;
    return {
      onOpen: (connection: HubConnection) => life.arrive(() => sessions.onOpen(connection)),
      onFrame: (connection, text) => {
        ledger.arrived(this.#world.agentOf(connection.id), text, this.name);
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
