/**
 * Assembles a hub: the queue, the sessions, the sweeper, the membership among several hubs. The app, the simulation, the test rigs
 * and the benchmarks all use it.
 *
 *   Parts start in this order and stop in reverse:
 *   storage ─► queue ─► token use ─► output ─► audit log ─► (`beforePort` of the caller) ─► transport ─► gate
 */
import { unidentifiedBytesMax, unidentifiedSocketsMax, type HubLimits } from '../../config/limits.ts';
import type { HubTiming } from '../../config/times.ts';
import type { EventName } from '../../domain/task/event.ts';
import type { Digest, Ids } from '../../ports/chance.ts';
import type { Clock } from '../../ports/clock.ts';
import type { HttpHandler } from '../../ports/http.ts';
import { noMetrics, type HubLoad, type HubMetrics } from '../../ports/hub-metrics.ts';
import type { HubTransport, ListenOptions } from '../../ports/hub-transport.ts';
import type { Log } from '../../ports/log.ts';
import type { Storage, TaskArchive } from '../../ports/storage.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { rulesOf, type HubContext } from './batch/hub-context.ts';
import { logEnds } from './batch/task-ends.ts';
import { hubClock, type HubClock } from './upkeep/hub-clock.ts';
import { HubMembership } from './hub-membership.ts';
import { Roster } from './batch/roster.ts';
import { HubSessions } from './sessions/hub-sessions.ts';
import { Throttle } from './sessions/limits/throttle.ts';
import { QuietPeriod } from './batch/quiet-period.ts';
import { Sweeper } from './upkeep/sweeper.ts';
import { TaskQueue } from './queue/task-queue.ts';
import { AuditUpkeep } from './upkeep/audit-upkeep.ts';
import { OutputWriter } from './upkeep/output-writer.ts';
import { TokenUse } from './upkeep/token-use.ts';

export interface HubPorts {
  readonly storage: Storage;
  readonly transport: HubTransport;
  /** The machine's clock; wall time comes from the store. */
  readonly clock: Clock;
  readonly ids: Ids;
  readonly digest: Digest;
  readonly log: Log;
  /** Default: counts nothing. */
  readonly metrics?: HubMetrics | undefined;
  /** Default: removed tasks are not archived. */
  readonly archive?: TaskArchive | null | undefined;
}

export interface HubSettings {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly timing: HubTiming;
  readonly limits: HubLimits;
  readonly agentMessages: boolean;
  readonly trustedProxies: readonly string[];
  readonly isAllowedOrigin: ListenOptions['isAllowedOrigin'];
  /** As in `TaskQueueDeps`. */
  readonly earlyCommands?: number | undefined;
  /** Identifies this process among the hubs of one store. Default: a new random id. */
  readonly hubId?: string | undefined;
}

/** A part of a hub, as a lifecycle starts and stops it. */
export interface HubPart {
  /** Shown in the log and in errors. */
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Answers HTTP on the hub's port. */
export interface HubFront {
  readonly handle: HttpHandler;
  /** Ends open streams: the hub is stopping. MUST NOT throw. */
  close(): void;
  /** Starts before the port opens, and stops after it is closed. */
  readonly beforePort?: HubPart | undefined;
}

export interface Hub {
  readonly hubId: string;
  /** Takes commands and commits them. */
  readonly queue: TaskQueue;
  readonly sessions: HubSessions;
  readonly sweeper: Sweeper;
  readonly tokenUse: TokenUse;
  readonly output: OutputWriter;
  readonly clock: HubClock;
  readonly context: HubContext;
  /** The port that the transport got; 0 before it listens. */
  readonly port: number;
  /** Its current load. Reads memory only. */
  load(): HubLoad;
  /** In start order. Each is to be started once. */
  parts(front: HubFront): readonly HubPart[];
  /** Calls `listener` after each commit with events, including those of other hubs. Returns the unsubscribe function. */
  onCommit(listener: () => void): () => void;
  /** Never settles while the hub works; rejects with the cause once it cannot continue, because an internal invariant was violated. */
  readonly finished: Promise<never>;
}

/** Events after which a task has ended. */
const ENDS: ReadonlySet<EventName> = new Set(['completed', 'cancelled', 'dead_lettered']);

/** Nothing is opened or started yet. */
export function createHub(ports: HubPorts, settings: HubSettings): Hub {
  const { storage, transport, clock: machine, ids, digest, log, metrics = noMetrics, archive = null } = ports;
  const { timing, limits } = settings;
  const clock = hubClock(machine, storage.tasks);
  const listeners = new Set<() => void>();
  const newEvents = (): void => {
    for (const listener of listeners) listener();
  };
  let [storeId, port] = ['', 0];
  let fail: (cause: unknown) => void = () => undefined;
  const finished = new Promise<never>((_, reject) => (fail = reject));
  // The queue has logged it, so it must not be an unhandled rejection if nobody awaits it.
  void Promise.allSettled([finished]);

  const context: HubContext = {
    hubId: settings.hubId ?? ids.random('hub'),
    rules: rulesOf(timing, limits),
    timing,
    limits,
    log,
    digest,
    archive,
    quietPeriod: new QuietPeriod(),
    isHere: (agentId, session) => sessions.isHere(agentId, session),
    lastHeardAtMs: (agentId) => sessions.lastHeardAtMs(agentId),
    unansweredBytes: (agentId, session) => sessions.unansweredBytes(agentId, session),
  };
  const roster = new Roster(context.hubId);
  const queue: TaskQueue = new TaskQueue({
    store: storage.tasks,
    clock,
    ids,
    roster,
    context,
    deliver: (outgoing) => sessions.deliver(outgoing),
    committed: ({ events, commands, tookMs, dueAtMs, hint, ends }) => {
      metrics.committed({ events, commands, tookMs });
      logEnds(ends, log);
      sweeper.expectDue(dueAtMs);
      membership.notify(hint);
      for (const { event, taskId } of events) if (ENDS.has(event)) output.notify(taskId);
      if (events.length > 0) newEvents();
    },
    storageFailed: (lastedMs, isOver) => {
      if (!isOver) metrics.storageFailed();
      sweeper.storageFailed(lastedMs, isOver);
    },
    beforeBatch: (nowMs) => sweeper.beforeBatch(nowMs),
    earlyCommands: settings.earlyCommands,
    broken: fail,
  });
  const sweeper = new Sweeper({
    clock,
    inbox: queue,
    context,
    nextDueAtMs: () => storage.tasks.nextDueAtMs(),
    lastUsedMs: () => storage.tasks.lastUsedMs(),
  });
  const tokenUse = new TokenUse({ agents: storage.agents, clock, log });
  const output = new OutputWriter({
    store: storage.output,
    clock,
    log,
    storageFailed: () => sweeper.storageFailed(),
    bytesPerAssignment: limits.outputBytes,
    keptMs: timing.outputKeptMs,
  });
  const auditUpkeep = new AuditUpkeep({
    audit: storage.audit,
    clock,
    log,
    keptMs: timing.auditKeptMs,
    entriesMax: limits.auditEntries,
  });
  const sessions: HubSessions = new HubSessions({
    inbox: queue,
    agents: storage.agents,
    clock,
    ids,
    digest,
    log,
    context,
    roster,
    windowOpened: () => queue.dispatch(),
    storeId: () => storeId,
    throttle: new Throttle(limits.invalidFrames),
    tokenUse,
    takeOutput: ({ task_id: taskId, generation, seq, stream, text, dropped = 0 }, agentId) =>
      output.add({ taskId, generation, agentId, atMs: clock.nowMs(), seq, stream, text, dropped }),
    agentMessages: settings.agentMessages,
    trustedProxies: settings.trustedProxies,
    unidentifiedMax: unidentifiedSocketsMax(limits, transport.capabilities.wholeFrames === true),
    pendingUpgradesMax: limits.sockets,
  });
  const membership = new HubMembership({ clock, inbox: queue, context, notifier: storage.notifier, sessions, newEvents });

  const storagePart: HubPart = {
    name: `storage ${storage.name}`,
    async start() {
      ({ storeId } = await storage.open());
      const { durable } = storage.tasks.capabilities;
      if (!durable) log.warn('this storage keeps nothing: tasks are lost when the hub stops', { storage: storage.name, durable });
    },
    stop: () => storage.close(),
  };
  const queuePart: HubPart = {
    name: 'queue',
    async start() {
      sweeper.start();
      const requestedMonotonicMs = clock.monotonicMs();
      await queue.do({ kind: 'hub_started' });
      if (storage.tasks.capabilities.shared) membership.start(requestedMonotonicMs);
    },
    async stop() {
      sweeper.stop();
      // If it cannot be committed, the lease expires by itself.
      if (storage.tasks.capabilities.shared) queue.post({ kind: 'hub_stopped' }, () => undefined);
      await queue.stop();
      // After the queue, so that the other hubs are notified of the last commits too.
      membership.stop();
    },
  };
  const tokenUsePart: HubPart = {
    name: 'token use',
    start: () => Promise.resolve(tokenUse.start(() => sessions.tokensInUse())),
    stop: () => tokenUse.stop(),
  };
  const outputPart: HubPart = {
    name: 'output',
    start: () => Promise.resolve(output.start()),
    stop: () => output.stop(),
  };
  const auditPart: HubPart = {
    name: 'audit log',
    start: () => Promise.resolve(auditUpkeep.start()),
    stop: () => auditUpkeep.stop(),
  };
  const transportPart = (front: HubFront): HubPart => ({
    name: `transport ${transport.name}`,
    async start() {
      const options: ListenOptions = {
        host: settings.host,
        port: settings.port,
        frameBytesMax: limits.frameBytes,
        unidentifiedBytesMax: unidentifiedBytesMax(limits),
        socketsMax: limits.sockets,
        socketQueueBytesMax: limits.socketQueueBytes,
        http: front.handle,
        isAllowedOrigin: settings.isAllowedOrigin,
        admit: (upgrade) => sessions.admit(upgrade),
        pendingUpgradesMax: limits.sockets,
      };
      ({ port } = await transport.listen(options, sessions));
      sessions.start();
    },
    async stop() {
      sessions.stop();
      await transport.close(CLOSE_CODES.restart, 'the hub is stopping');
    },
  });
  const gatePart = (front: HubFront): HubPart => ({
    name: 'gate',
    start: () => Promise.resolve(),
    async stop() {
      // First, so that a hub that takes long to stop reclaims nothing from the agents that it has disconnected.
      sweeper.stop();
      transport.refuseNew();
      sessions.refuseNew();
      front.close();
      await queue.flush();
    },
  });

  return {
    hubId: context.hubId,
    queue,
    sessions,
    sweeper,
    tokenUse,
    output,
    clock,
    context,
    get port() {
      return port;
    },
    load: () => ({ sockets: sessions.sockets, ...roster.load(clock.nowMs()), commandsWaiting: queue.waiting }),
    parts: (front) => [
      storagePart,
      queuePart,
      tokenUsePart,
      outputPart,
      auditPart,
      ...(front.beforePort === undefined ? [] : [front.beforePort]),
      transportPart(front),
      gatePart(front),
    ],
    onCommit(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    finished,
  };
}
