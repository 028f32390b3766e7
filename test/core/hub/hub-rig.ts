/** A whole hub without I/O: memory storage, a virtual clock, and peers that exchange frames over the in-memory wire. */
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { memoryLog, type MemoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { memoryStorage, type MemoryStorageDeps } from '../../../adapters/storage-memory/memory-storage.ts';
import { virtualClock, type VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryWire, type MemoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import type { SubmitAnswer, TaskDraft } from '../../../core/application/hub/batch/commands.ts';
import type { HubContext } from '../../../core/application/hub/batch/hub-context.ts';
import { createHub } from '../../../core/application/hub/hub.ts';
import type { HubSessions } from '../../../core/application/hub/sessions/hub-sessions.ts';
import type { TaskQueue } from '../../../core/application/hub/queue/task-queue.ts';
import { HUB_LIMITS, type HubLimits } from '../../../core/config/limits.ts';
import { HUB_TIMING, type HubTiming } from '../../../core/config/times.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import type { Ids } from '../../../core/ports/chance.ts';
import type { HubNotifier } from '../../../core/ports/hub-notifier.ts';
import { NO_TERMS } from '../../../core/domain/task/task.ts';
import type { LinkConnection } from '../../../core/ports/hub-link.ts';
import type { TokenRecord } from '../../../core/ports/agent-store.ts';
import type { Storage, TaskArchive } from '../../../core/ports/storage.ts';
import type { TaskRecord } from '../../../core/ports/task-store.ts';
import { aBody } from '../../product/contracts/fixtures.ts';
import { Life, machineClock, processClock } from '../../simulation/runner/world-life.ts';

export type AnyFrame = Readonly<Record<string, unknown>> & { readonly type: string };

export interface HubRig {
  readonly clock: VirtualClock;
  readonly storage: Storage;
  readonly queue: TaskQueue;
  readonly log: MemoryLog;
  readonly context: HubContext;
  readonly sessions: HubSessions;
  /** How often readers of the history were woken by other hubs or by a poll. */
  readonly notifications: { readonly events: number };
  submit(over?: Partial<TaskDraft>): Promise<TaskId>;
  record(id: TaskId): Promise<TaskRecord>;
  /** `status generation: events`. */
  summary(id: TaskId): Promise<string>;
  /** A peer with its own token, connected but not identified. `token`: further fields of its token. */
  peer(agentId: string, token?: Partial<TokenRecord>): Promise<Peer>;
  /** Advances time and lets everything that becomes possible happen. */
  pass(ms: number): Promise<void>;
  /** Stops the hub as SIGTERM would: pending commands are committed, sockets are closed, the database is closed. */
  stop(): Promise<void>;
  /** Ends the hub as `kill -9` would: work in progress is lost, and the peers have to detect it. */
  kill(): Promise<void>;
}

export interface Peer {
  readonly frames: AnyFrame[];
  /** The close code, once it is closed. */
  closed(): number | null;
  send(frame: Readonly<Record<string, unknown>> | string): Promise<void>;
  /** Sends an identify with the fields of `over` and returns the frames received in response. */
  identify(over?: Readonly<Record<string, unknown>>): Promise<readonly AnyFrame[]>;
  /** Frames received since the last call. */
  newFrames(): readonly AnyFrame[];
  /** Cuts the connection. */
  cut(): Promise<void>;
  /** Its process stops for good. */
  leave(): Promise<void>;
  /** The same agent on a new socket, from this address. */
  reconnect(address?: string): Promise<Peer>;
}

export interface RigOptions {
  readonly timing?: Partial<HubTiming>;
  readonly limits?: Partial<HubLimits>;
  readonly store?: Partial<MemoryStorageDeps>;
  /** A storage other than the memory storage; opened and closed with the hub. */
  readonly storage?: Storage;
  /** A network shared with others. Default: its own. */
  readonly wire?: MemoryWire;
  /** Waits until nothing more happens without time advancing. Default: `settle`, for a hub without real I/O. */
  readonly untilIdle?: () => Promise<void>;
  /** A clock shared by several hubs. Default: its own. */
  readonly clock?: VirtualClock;
  readonly archive?: TaskArchive;
  readonly agentMessages?: boolean;
  readonly trustedProxies?: readonly string[];
  /** Whether its transport sees only complete frames. */
  readonly wholeFrames?: boolean;
  /** Offset of this hub's machine clock from the store's, which is `clock`. Default 0. */
  readonly offsetMs?: number;
  /** Its address on the wire. Default `hub`. */
  readonly host?: string;
  /** Default `hub-1`; a restarted hub has another. */
  readonly hubId?: string;
  /** Default: the same for the same `hubId`. */
  readonly ids?: Ids;
  /** How many commands a batch needs to be decided while the one before it is being saved. Default: that of the hub. */
  readonly earlyCommands?: number;
}

const PORT = 4_000;
/** How long closing a transport may take. */
const CLOSE_MS = 5_000;

/** Lets promises and turns of the wire settle without advancing time. */
export const settle = async (clock: VirtualClock): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    clock.advance(0);
  }
};

export async function hubRig(options: RigOptions = {}): Promise<HubRig> {
  const clock = options.clock ?? virtualClock();
  const hubId = options.hubId ?? 'hub-1';
  const log = memoryLog();
  const ids = options.ids ?? seededIds({ seed: `rig of ${hubId}` });
  const untilIdle = options.untilIdle ?? (() => settle(clock));
  const storage = options.storage ?? memoryStorage({ clock, ...options.store });
  const timing = { ...HUB_TIMING, quietAfterStartMs: 0, reconnectGraceMs: 0, ...options.timing };
  const limits = { ...HUB_LIMITS, ...options.limits };
  const life = new Life(clock);
  const machine = processClock(machineClock(clock, options.offsetMs), life);
  const notifier: HubNotifier = {
    ...storage.notifier,
    listen: (onHint) => storage.notifier.listen((hint) => life.arrive(() => onHint(hint))),
  };
  const wire = options.wire ?? memoryWire({ clock });
  const transport = wire.transport();
  const { wholeFrames = false } = options;
  const digest = systemDigest();
  const hub = createHub(
    {
      storage: { ...storage, notifier },
      transport: { ...transport, capabilities: { ...transport.capabilities, wholeFrames } },
      clock: machine,
      ids,
      digest,
      log,
      archive: options.archive,
    },
    {
      host: options.host ?? 'hub',
      port: PORT,
      timing,
      limits,
      agentMessages: options.agentMessages ?? true,
      trustedProxies: options.trustedProxies ?? [],
      isAllowedOrigin: () => true,
      hubId,
      earlyCommands: options.earlyCommands,
    },
  );
  const { queue, sessions, context } = hub;
  const notifications = { events: 0 };
  hub.onCommit(() => (notifications.events += 1));
  const parts = hub.parts({ handle: () => ({ status: 404, headers: {}, body: null }), close: () => undefined });
  const kill = async (): Promise<void> => {
    transport.crash();
    life.end();
    await storage.close();
    await untilIdle();
  };
  try {
    for (const part of parts) await part.start();
  } catch (thrown) {
    await kill();
    throw thrown;
  }
  await untilIdle();

  const connect = async (agentId: string, token: string, remoteAddress?: string): Promise<Peer> => {
    const frames: AnyFrame[] = [];
    let code: number | null = null;
    let seen = 0;
    const link: LinkConnection = wire.link({ remoteAddress }).connect(
      { url: `ws://${options.host ?? 'hub'}:${PORT}/ws`, frameBytesMax: limits.frameBytes },
      {
        onOpen: () => undefined,
        onFrame: (text) => frames.push(JSON.parse(text) as AnyFrame),
        onTaken: () => undefined,
        onGone: (gone) => (code = gone),
      },
    );
    await untilIdle();
    const peer: Peer = {
      frames,
      closed: () => code,
      async send(frame) {
        link.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
        await untilIdle();
      },
      async identify(over = {}) {
        peer.newFrames();
        await peer.send({ type: 'identify', agent_id: agentId, token, protocol_version: 2, instance_id: 'machine-1', held: [], ...over });
        return peer.newFrames();
      },
      newFrames() {
        const fresh = frames.slice(seen);
        seen = frames.length;
        return fresh;
      },
      async cut() {
        link.destroy();
        await untilIdle();
      },
      async leave() {
        link.leave?.();
        await untilIdle();
      },
      reconnect: (address) => connect(agentId, token, address),
    };
    return peer;
  };

  const record = async (id: TaskId): Promise<TaskRecord> => {
    const found = await storage.tasks.read(id);
    if (found === undefined) throw new Error(`no task ${id}`);
    return found;
  };

  return {
    clock,
    storage,
    queue,
    log,
    context,
    sessions,
    notifications,
    record,
    async submit(over = {}) {
      const answer: SubmitAnswer = await queue.do({
        kind: 'submit',
        drafts: [aDraft(ids.task(), over)],
        submittedBy: 'tok-1',
        idempotency: null,
      });
      if (answer.kind !== 'submitted') throw new Error(answer.kind);
      await untilIdle();
      return answer.tasks[0]?.id as TaskId;
    },
    async summary(id) {
      const { task, events } = await record(id);
      return `${task.status} ${task.generation}: ${events.map((event) => event.event).join(' ')}`;
    },
    async peer(agentId, over = {}) {
      const token = `token of ${agentId}`;
      await storage.agents.addToken({
        id: `tok-${agentId}`,
        name: agentId,
        role: 'agent',
        agentId: agentId as AgentId,
        hash: systemDigest().sha256(token),
        prefix: token.slice(0, 8),
        capabilities: null,
        maxSlots: null,
        createdAtMs: clock.nowMs(),
        revokedAtMs: null,
        expiresAtMs: null,
        lastUsedAtMs: null,
        replacedBy: null,
        submitsAs: null,
        ...over,
      });
      return connect(agentId, token);
    },
    async pass(ms) {
      await clock.walk(ms, () => untilIdle());
      await untilIdle();
    },
    kill,
    async stop() {
      for (const part of parts.toReversed()) {
        const stopped = part.stop();
        await untilIdle();
        clock.advance(CLOSE_MS);
        await stopped;
      }
    },
  };
}

/** A draft that any agent may run. */
export const aDraft = (id: TaskId, over: Partial<TaskDraft> = {}): TaskDraft => ({
  id,
  priority: 'normal',
  neededCapabilities: [],
  assignTo: null,
  maxRetries: 3,
  ...NO_TERMS,
  dependsOn: [],
  body: aBody(),
  ...over,
});
