/** All connections of a hub: the session of each agent, delivery of frames, and heartbeats. */
import type { AgentId } from '../../../domain/ids.ts';
import type { TokenEnd, TokenUsed } from '../../../ports/agent-store.ts';
import type { Timer } from '../../../ports/clock.ts';
import type { HubConnection, PendingUpgrade, TransportEvents } from '../../../ports/hub-transport.ts';
import type { HubLoad } from '../../../ports/hub-metrics.ts';
import { CLOSE_CODES, type SocketRefusal } from '../../../protocol/close-codes.ts';
import { addressGroup, clientAddress } from '../../../protocol/client-address.ts';
import { refusalCounts } from '../../refusal-counts.ts';
import { refusalLog } from '../../refusal-log.ts';
import type { Outgoing } from '../batch/commands.ts';
import { connectionLog, type ConnectionLog } from './connection-log.ts';
import { AgentMeter } from './limits/agent-meter.ts';
import { FrameRates } from './limits/frame-rates.ts';
import { FrameTurns, LARGE_FRAME_CHARACTERS } from './limits/frame-turns.ts';
import { type Frame, cardOf, drainFrame } from './frames-out.ts';
import { HubSession, type CloseReason } from './hub-session.ts';
import type { Peer, SessionDeps } from './session-deps.ts';
import { UnidentifiedConnections } from './unidentified.ts';
import { LowPriorityInbox } from './limits/low-priority-inbox.ts';
import { UpgradeQueue } from './limits/upgrade-queue.ts';

export type HubSessionsDeps = Omit<
  SessionDeps,
  'registered' | 'sendTo' | 'broadcast' | 'addressOf' | 'noteRefusal' | 'refusedFrames' | 'meter' | 'rates' | 'hasWaiting'
> & {
  readonly trustedProxies: readonly string[];
  /** Unidentified connections at once. */
  readonly unidentifiedMax: number;
  /** Upgrades that wait for one of them. */
  readonly pendingUpgradesMax: number;
};

const TOO_MANY = 'too many unidentified connections';

/** Close codes of the transport that show a fault of the peer. */
const FAULTS: Readonly<Record<number, SocketRefusal>> = {
  1002: 'it broke the WebSocket protocol',
  1003: 'a binary frame',
  1007: 'a frame that is not UTF-8',
  1009: 'a frame over the limit',
  1013: 'it reads frames too slowly',
};

/** How many bytes of one connection may wait in addition to one frame. */
const WAITING_BYTES = 1_048_576;

export class HubSessions implements TransportEvents {
  readonly #deps: SessionDeps;
  readonly #sessions = new Map<number, HubSession>();
  readonly #byAgent = new Map<AgentId, HubSession>();
  /** Version 1 agents, which are notified when others join and leave: few, often none. */
  readonly #version1 = new Map<AgentId, HubSession>();
  readonly #closedSockets = refusalCounts();
  readonly #unidentified: UnidentifiedConnections;
  readonly #upgrades: UpgradeQueue;
  readonly #turns: FrameTurns<HubSession>;
  readonly #connectionLog: ConnectionLog;
  #heartbeatTimer: Timer | null = null;

  constructor(deps: HubSessionsDeps) {
    this.#unidentified = new UnidentifiedConnections(deps.unidentifiedMax);
    const { clock, log, context } = deps;
    this.#upgrades = new UpgradeQueue({
      clock,
      unidentified: this.#unidentified,
      max: deps.pendingUpgradesMax,
      refuse: (upgrade) => {
        this.#noteRefused(upgrade, 503, TOO_MANY);
        upgrade.refuse(TOO_MANY);
      },
    });
    const clientOf = ({ remoteAddress, forwardedFor }: Peer): string => clientAddress(remoteAddress, forwardedFor, deps.trustedProxies);
    this.#connectionLog = connectionLog({ log, clock, clientOf });
    const rates = new FrameRates(context.limits, clock);
    const inbox = new LowPriorityInbox(deps.inbox, rates);
    this.#turns = new FrameTurns({
      clock,
      log,
      bytesMax: context.limits.frameBytes + WAITING_BYTES,
      hasWaiters: () => inbox.hasWaiters(),
      isBlocked: ({ state }) => state === 'identified' && inbox.isFull,
      isWasteful: ({ state, isLowPriority }) => state === 'identified' && isLowPriority,
    });
    this.#deps = {
      ...deps,
      inbox,
      hasWaiting: ({ id }) => {
        const session = this.#sessions.get(id);
        return session !== undefined && this.#turns.has(session);
      },
      addressOf: (connection) => addressGroup(clientOf(connection)),
      noteRefusal: refusalLog(deps),
      refusedFrames: refusalCounts(),
      meter: new AgentMeter(clock),
      rates,
      registered: (connection) => this.#registered(connection),
      sendTo: (agentId, frame) => this.#sendTo(agentId, frame),
      broadcast: (from, frame, everyVersion) => this.#broadcast(from, frame, everyVersion),
    };
  }

  /** Starts the heartbeat checks. */
  start(): void {
    const { clock, context } = this.#deps;
    const everyMs = Math.min(context.timing.heartbeatMs, context.timing.pongWaitMs) / 2;
    const check = (): void => {
      const [nowMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()];
      for (const session of this.#sessions.values()) session.checkHeartbeat(nowMs, monotonicMs);
      wait();
    };
    const wait = (): void => {
      // Waits one more turn of the event loop: frames that arrived while it was blocked count before any peer is found silent.
      this.#heartbeatTimer = clock.after(everyMs, () => (this.#heartbeatTimer = clock.after(0, check)));
    };
    wait();
  }

  /** The hub accepts no more connections. */
  refuseNew(): void {
    this.#upgrades.stop();
  }

  stop(): void {
    this.#heartbeatTimer?.cancel();
    this.#heartbeatTimer = null;
    this.#turns.stop();
    this.#upgrades.stop();
  }

  /** Answers the upgrade once there is room for an unidentified connection of its address. Returns what to call if its peer is gone. */
  admit(upgrade: PendingUpgrade): () => void {
    const group = this.#deps.addressOf(upgrade);
    // `onOpen` says why, and closes it.
    if (this.#isBlocked(group)) {
      upgrade.open();
      return () => undefined;
    }
    return this.#upgrades.enter(group, upgrade);
  }

  onOpen(connection: HubConnection): void {
    const group = this.#deps.addressOf(connection);
    if (this.#isBlocked(group)) return this.#refuse(connection, 1008, 'blocked after invalid frames');
    const { hasRoom, displaced } = this.#unidentified.makeRoom(group);
    if (!hasRoom) return this.#refuse(connection, 1013, TOO_MANY);
    displaced?.close(1013, 'unidentified, and its address has the most connections');
    const session = new HubSession(connection, this.#deps);
    this.#sessions.set(connection.id, session);
    this.#unidentified.add(group, session);
  }

  onFrame(connection: HubConnection, text: string): void {
    const session = this.#sessions.get(connection.id);
    if (session === undefined) return;
    if (session.isLowPriority || text.length > LARGE_FRAME_CHARACTERS || this.#turns.has(session)) this.#turns.offer(session, text);
    else session.onFrame(text);
  }

  onPong(connection: HubConnection): void {
    const session = this.#sessions.get(connection.id);
    session?.onPong();
    // The transport answers pings: a peer that pings and never reads would pile up pongs.
    if (
      session !== undefined &&
      session.state !== 'identified' &&
      connection.bufferedBytes() > this.#deps.context.limits.unidentifiedFrameBytes
    )
      session.close(1013, 'unidentified, and it reads frames too slowly');
  }

  onGone(connection: HubConnection, code: number): void {
    const session = this.#sessions.get(connection.id);
    if (session !== undefined) this.#turns.end(session, () => this.#forget(session, code));
  }

  #forget(session: HubSession, code: number): void {
    const { connection } = session;
    const because = session.closeReason(code) ?? FAULTS[code];
    this.#logClose(session, code, because);
    this.#connectionLog.disconnected(session, code, because);
    this.#sessions.delete(connection.id);
    if (session.state !== 'identified') this.#leftUnidentified(connection);
    if (session.tokenId !== null) this.#deps.tokenUse.note(session.tokenId);
    const agentId = session.agentId;
    session.closed(code);
    if (agentId === null || this.#byAgent.get(agentId) !== session) return;
    this.#byAgent.delete(agentId);
    this.#version1.delete(agentId);
    this.#broadcast(agentId, { type: 'agent_left', agent_id: agentId }, false);
  }

  /** Whether that session is connected to this hub. */
  isHere(agentId: AgentId, session: number): boolean {
    const here = this.#byAgent.get(agentId);
    return here?.state === 'identified' && here.session === session;
  }

  /** Refusals since the start: frames by error code, sockets by close reason. */
  refusals(): { readonly frames: Readonly<Record<string, number>>; readonly sockets: Readonly<Record<string, number>> } {
    return { frames: this.#deps.refusedFrames.all(), sockets: this.#closedSockets.all() };
  }

  /** When this hub last received anything from the agent, milliseconds since 1970; null if it is not connected here. */
  lastHeardAtMs(agentId: AgentId): number | null {
    return this.#byAgent.get(agentId)?.lastHeardAtMs ?? null;
  }

  /** Bytes of assignments that were sent in that session and that its agent has not answered. */
  unansweredBytes(agentId: AgentId, session: number): number {
    const here = this.#byAgent.get(agentId);
    return here?.session === session ? here.unansweredBytes : 0;
  }

  /** Sends the frames of a commit, in order. */
  deliver(outgoing: readonly Outgoing[]): void {
    for (const one of outgoing) {
      if (one.kind === 'mail') {
        for (const session of one.agentId === null ? this.#byAgent.values() : [this.#byAgent.get(one.agentId)])
          session?.sendText(one.frame);
        continue;
      }
      const session = this.#byAgent.get(one.agentId);
      if (session === undefined) continue;
      if (one.kind === 'close_older') {
        // The newer session was registered with its answer, before this, unless its socket had closed by then.
        if (session.session < one.session) this.#closeReplaced(session);
      } else if (one.kind === 'close') {
        session.close(1013, 'try again later');
      } else if (one.kind === 'assign') {
        if (session.session === one.session) session.reports.assign(one.task, one.body);
      } else if (one.kind === 'stop') {
        session.reports.cancel(one);
      } else if (session.version === 2) {
        session.send(one.kind === 'drain' ? drainFrame(one.deadlineMs) : { type: one.kind });
      }
    }
  }

  /** How many WebSockets are open, and how many wait for that. */
  get sockets(): HubLoad['sockets'] {
    const identified = this.#byAgent.size;
    return { identified, unidentified: Math.max(0, this.#sessions.size - identified), waiting: this.#upgrades.size };
  }

  /** The agents that are connected to this hub. */
  agentIds(): readonly AgentId[] {
    return [...this.#byAgent.keys()];
  }

  /** The tokens of identified sessions, and when each session last received anything. */
  *tokensInUse(): Generator<TokenUsed> {
    for (const { tokenId, lastHeardAtMs } of this.#byAgent.values()) if (tokenId !== null) yield { id: tokenId, atMs: lastHeardAtMs };
  }

  /** Closes every connection, including unidentified ones. */
  closeAll(code: number, reason: SocketRefusal): void {
    for (const session of this.#sessions.values()) session.close(code, reason);
  }

  /** Learns which tokens other hubs have revoked or rotated. Fails with `AC_STORE_UNAVAILABLE`. */
  async readTokenEnds(): Promise<void> {
    const tokens = new Set([...this.#sessions.values()].flatMap(({ tokenId }) => tokenId ?? []));
    if (tokens.size > 0) this.#endTokens(await this.#deps.agents.endsAmong([...tokens]));
  }

  /**
   * These tokens were revoked, or rotated and will expire. Closes the sessions of tokens that are no longer valid, those of the others
   * when they expire, and at once every session whose token is being looked up: the lookup may predate the change.
   */
  endTokens(tokens: readonly TokenEnd[]): void {
    for (const session of this.#sessions.values()) if (session.isLookingUpToken) session.close(1013, 'try again later');
    this.#endTokens(tokens);
  }

  #endTokens(tokens: readonly TokenEnd[]): void {
    const ends = new Map(tokens.map((token) => [token.id, token]));
    for (const session of this.#sessions.values()) {
      const end = session.tokenId === null ? undefined : ends.get(session.tokenId);
      if (end !== undefined) session.onTokenEnd(end);
    }
  }

  #registered(connection: HubConnection): void {
    const session = this.#sessions.get(connection.id);
    this.#leftUnidentified(connection);
    const agentId = session?.agentId ?? null;
    if (session === undefined || agentId === null) return;
    const older = this.#byAgent.get(agentId);
    this.#byAgent.set(agentId, session);
    this.#connectionLog.connected(session);
    if (session.version === 1) this.#version1.set(agentId, session);
    else this.#version1.delete(agentId);
    if (older !== undefined) this.#closeReplaced(older);
    if (this.#version1.size === 0) return;
    const agent = cardOf(agentId, this.#deps);
    if (agent !== undefined) this.#broadcast(agentId, { type: 'agent_joined', agent }, false);
  }

  #leftUnidentified(connection: HubConnection): void {
    this.#unidentified.remove(this.#deps.addressOf(connection), connection.id);
    this.#upgrades.onRoom();
  }

  /** Closes a connection before it may send anything. */
  #refuse(connection: HubConnection, code: number, because: SocketRefusal): void {
    this.#noteRefused(connection, code, because);
    connection.close(code, because);
  }

  #noteRefused(peer: Peer, code: number, because: SocketRefusal): void {
    this.#closedSockets.add(because);
    this.#deps.noteRefusal(`refused ${because}`, 'a connection was refused', { code, because, address: this.#deps.addressOf(peer) });
  }

  /** Whether connections of that address are refused after invalid frames. */
  #isBlocked(group: string): boolean {
    const { throttle, clock } = this.#deps;
    return throttle.retryAfterMs(`address ${group}`, clock.nowMs()) > 0;
  }

  #closeReplaced(session: HubSession): void {
    session.close(CLOSE_CODES.idInUse, 'replaced by a newer connection');
  }

  #logClose(session: HubSession, code: number, because: CloseReason | undefined): void {
    if (because === undefined || code === CLOSE_CODES.idInUse) return;
    this.#closedSockets.add(because);
    const address = this.#deps.addressOf(session.connection);
    this.#deps.noteRefusal(`closed ${session.agentId === null ? 'unidentified' : 'agent'} ${code} ${because}`, 'a connection was closed', {
      code,
      because,
      agent_id: session.agentId,
      address,
    });
  }

  #sendTo(agentId: AgentId, frame: Frame): boolean {
    const session = this.#byAgent.get(agentId);
    session?.send(frame);
    return session !== undefined;
  }

  #broadcast(from: AgentId, frame: Frame, everyVersion: boolean): void {
    const text = JSON.stringify(frame);
    for (const [agentId, session] of everyVersion ? this.#byAgent : this.#version1) {
      if (agentId !== from) session.sendText(text);
    }
  }
}
