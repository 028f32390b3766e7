/**
 * One connection of a sidecar.
 *
 *   new ( ── hello ─► challenging ── challenge ─► new ) ── identify ─► identifying ── committed ─► identified ── closed ─► closed
 *
 * Frames before identify are refused; those that arrive while a token is looked up or the identify is committed wait for that. Each
 * task frame becomes a command; its answer is sent in commit order.
 */
import { SETTLE_MS } from '../../../domain/agent/busy-agents.ts';
import { isLongerThan } from '../../../domain/encoded-text.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import { CLOSE_CODES, type SocketRefusal } from '../../../protocol/close-codes.ts';
import { frameParser } from '../../../protocol/frame-parser.ts';
import { isFirstFrameType, v1Schemas, v2Schemas } from '../../../protocol/sidecar-frames.ts';
import type { FirstFrameType, SidecarFrame, V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import { isExpired, type TokenEnd } from '../../../ports/agent-store.ts';
import type { HubConnection } from '../../../ports/hub-transport.ts';
import type { Timer } from '../../../ports/clock.ts';
import type { IdentifyCommand, Reporter } from '../batch/commands.ts';
import { WAKE_RESULTS } from './limits/agent-meter.ts';
import { TOO_FAST, type FrameRate } from './limits/frame-rates.ts';
import { PendingFrames } from './limits/pending-frames.ts';
import { errorFrame, identifiedFrame, type Frame, type ProtocolVersion } from './frames-out.ts';
import { ChallengeHandler, provenBy } from './challenge.ts';
import { IdentifyDeadline } from './limits/identify-deadline.ts';
import { identifierOf, identifyChecked, identifyCommand, refusalOf, noteOtherStore, tokenErrors } from './identify.ts';
import type { RefusedIdentify, SessionToken } from './identify.ts';
import { isTaskFrame, ReportHandler } from './report-handler.ts';
import type { SessionDeps } from './session-deps.ts';
import { Heartbeat } from './heartbeat.ts';
import { AgentFrameHandler } from './agent-frames.ts';
import { InvalidFrames } from './invalid-frames.ts';
import { isReport } from './limits/low-priority-inbox.ts';

/** How long a version 1 connection whose agent id is in use stays open before it is closed, milliseconds. */
const V1_REFUSED_MS = 10_000;

const NO_TASKS: readonly TaskId[] = [];

const parsers = { 1: frameParser<SidecarFrame>(v1Schemas), 2: frameParser<SidecarFrame>(v2Schemas) };

const isFirstFrame = (frame: SidecarFrame): frame is Extract<SidecarFrame, { type: FirstFrameType }> => isFirstFrameType(frame.type);

export type SessionState = 'new' | 'challenging' | 'identifying' | 'identified' | 'closed';

/** Why the hub closes a session: a refusal, or another connection that has the identity of its agent. */
export type CloseReason = SocketRefusal | 'agent_id_in_use' | 'replaced by a newer connection';

export class HubSession {
  readonly connection: HubConnection;
  readonly #deps: SessionDeps;
  /** Created by the first frame that needs them: there are thousands of sessions, and most are idle. */
  #madeReports: ReportHandler | null = null;
  #madeAgentFrames: AgentFrameHandler | null = null;
  #madeInvalid: InvalidFrames | null = null;
  #state: SessionState = 'new';
  /** How the hub closed it; null if it did not. */
  #closing: { readonly code: number; readonly because: CloseReason } | null = null;
  #version: ProtocolVersion = 2;
  #from: Reporter | null = null;
  /** The rate of its agent; null before identify. */
  #rate: FrameRate | null = null;
  #token: SessionToken | null = null;
  /** Set by a hello; null once the session is identified. */
  #challenge: ChallengeHandler | null = null;
  #pendingFrames: PendingFrames | null = null;
  #timer: Timer | null = null;
  /** Null once it is identified. */
  #identifyDeadline: IdentifyDeadline | null;
  readonly #heartbeat: Heartbeat;
  /** Tasks whose end it had yet to report when it identified. Whether others have ended since is unknown. */
  #reporting: readonly TaskId[] = NO_TASKS;

  constructor(connection: HubConnection, deps: SessionDeps) {
    this.connection = connection;
    this.#deps = deps;
    this.#heartbeat = new Heartbeat(deps.clock);
    this.#identifyDeadline = new IdentifyDeadline(deps.clock, deps.context.limits.identifyMs, {
      hasPendingFrame: () => deps.hasWaiting(connection),
      expired: () => this.close(1008, 'identify within the time'),
    });
    this.#identifyDeadline.resume();
  }

  get reports(): ReportHandler {
    return (this.#madeReports ??= new ReportHandler(this.#deps, this));
  }
  get #invalid(): InvalidFrames {
    return (this.#madeInvalid ??= new InvalidFrames(this.#deps, this));
  }
  get #agentFrames(): AgentFrameHandler {
    return (this.#madeAgentFrames ??= new AgentFrameHandler(this.#deps, this));
  }
  get state(): SessionState {
    return this.#state;
  }
  get version(): ProtocolVersion {
    return this.#version;
  }
  /** Its agent and session number; null before identify. */
  get from(): Reporter | null {
    return this.#from;
  }
  get agentId(): AgentId | null {
    return this.#from?.agentId ?? null;
  }
  get session(): number {
    return this.#from?.session ?? 0;
  }
  get tokenId(): string | null {
    return this.#token?.id ?? null;
  }
  /** Whether its frames have low priority: it has not identified, or its agent is wasteful. */
  get isLowPriority(): boolean {
    return this.#state !== 'identified' || this.#rate?.isWasteful === true;
  }
  /** Whether its token is still being looked up. */
  get isLookingUpToken(): boolean {
    return this.#state === 'identifying' && this.#token === null;
  }

  /** Bytes of assignments that the agent has not answered. */
  get unansweredBytes(): number {
    return this.#madeReports?.unansweredBytes ?? 0;
  }

  /** Why the hub closed it with this code; undefined if the transport or the peer closed it first. */
  closeReason(code: number): CloseReason | undefined {
    return this.#closing?.code === code ? this.#closing.because : undefined;
  }

  /** When it last received anything, milliseconds since 1970. */
  get lastHeardAtMs(): number {
    return this.#heartbeat.lastAtMs;
  }

  /** Sends a frame, if the socket is still open. */
  send(frame: Frame): void {
    this.sendText(JSON.stringify(frame));
  }

  /** Sends a frame that is already JSON text. */
  sendText(text: string): void {
    if (this.#state !== 'closed') this.connection.send(text);
  }

  /** `sent`: the reason that the peer gets, if it is another. */
  close(code: number, because: CloseReason, sent: string = because): void {
    if (this.#state === 'closed') return;
    this.#closing ??= { code, because };
    this.connection.close(code, sent);
  }

  /** The socket has closed: later frames are ignored, and the agent is disconnected. `code`: the close code, whoever closed it. */
  closed(code: number): void {
    const from = this.#from;
    const wasIdentified = this.#state === 'identified';
    this.#state = 'closed';
    this.#cancelTimer();
    this.#madeReports?.stop();
    this.#pendingFrames = null;
    if (this.#challenge?.closed(this.#deps.addressOf(this.connection)) === true) this.#invalid.count();
    if (from === null || !wasIdentified) return;
    const tooLarge = code === CLOSE_CODES.tooLarge ? { reporting: this.#version === 1 ? null : this.#reporting } : undefined;
    const isLeaving = code === CLOSE_CODES.leaving && this.#closing === null && this.#version !== 1;
    this.#deps.inbox.post({ kind: 'disconnect', from, lastHeardAtMs: this.lastHeardAtMs, tooLarge, isLeaving }, (outcome) => {
      if (!outcome.ok)
        this.#deps.log.warn('a disconnect could not be stored; the next sweep sees it', { agent_id: from.agentId, error: outcome.error });
    });
  }

  /** Called for anything that arrives. */
  noteReceived(): void {
    this.#heartbeat.received();
  }

  /** Its token was revoked or will expire: closes the session, now or when the token expires. */
  onTokenEnd(token: TokenEnd): void {
    this.#token = token;
    if (token.revokedAtMs !== null) this.close(1008, 'the token was revoked');
    else if (isExpired(token, this.#deps.clock.nowMs())) this.close(1008, 'the token has expired');
  }

  /** Probes a silent peer, and closes one that did not answer. Called regularly. */
  checkHeartbeat(nowMs: number, monotonicMs: number): void {
    if (this.#state !== 'identified') return;
    if (this.#token !== null && isExpired(this.#token, nowMs)) return this.close(1008, 'the token has expired');
    const state = this.#heartbeat.check(monotonicMs, this.#deps.context.timing);
    if (state === 'dead') return this.close(CLOSE_CODES.leaving, 'no sign of life');
    if (state !== 'probe') return;
    if (this.#version === 1) this.connection.ping();
    else this.send({ type: 'probe', nonce: this.#deps.ids.random('probe') });
  }

  onFrame(text: string): void {
    if (this.#state === 'closed' || this.#closing !== null) return;
    this.noteReceived();
    if (this.#state === 'new') return this.#onFirstFrame(text);
    if (this.#state !== 'identified') {
      // Together they may be as large as one frame before identify.
      this.#pendingFrames ??= new PendingFrames(this.#deps.context.limits.unidentifiedFrameBytes);
      return this.#pendingFrames.add(text) ? undefined : this.close(1008, 'wait for identified');
    }
    const isInRate = this.#rate?.take(text.length) !== false;
    const parsed = parsers[this.#version](text);
    if (parsed.kind !== 'frame' || !isReport(parsed.frame.type)) this.#rate?.countWasted();
    if (parsed.kind !== 'frame') this.#invalid.refuse(parsed);
    else this.#onValid(parsed.frame, text.length);
    // A frame over the rate is still handled: version 1 would not send it again.
    if (!isInRate) this.close(1013, TOO_FAST);
  }

  /** A WebSocket ping or pong. The transport answers pings; they count as small frames. */
  onPong(): void {
    this.noteReceived();
    if (this.#rate?.take(0) === false) this.close(1013, TOO_FAST);
  }

  #onFirstFrame(text: string): void {
    const { limits } = this.#deps.context;
    if (isLongerThan(text, limits.unidentifiedFrameBytes))
      return this.close(1009, 'too many bytes before identify', `at most ${limits.unidentifiedFrameBytes} bytes before identify`);
    const parsed = parsers[2](text);
    const frame = parsed.kind === 'frame' && isFirstFrame(parsed.frame) ? parsed.frame : null;
    if (frame?.type === 'hello') return this.#hello(frame);
    if (frame?.type === 'identify') return this.#identify(frame);
    if (frame?.type === 'identify_check') return this.#identify({ ...frame, type: 'identify', protocol_version: 2 }, true);
    if (parsed.kind === 'invalid_json') return this.#invalid.refuse(parsed);
    if (parsed.kind === 'validation_failed' && isFirstFrameType(parsed.messageType)) return this.#invalid.refuse(parsed);
    this.send(errorFrame('not_identified'));
    this.#invalid.note('not_identified', {});
  }

  /** Cancels the timers and releases what they hold: a session may be idle for days. */
  #cancelTimer(): void {
    this.#identifyDeadline?.pause();
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Proves that this hub knows the token, before the sidecar reveals it. The lookup does not count towards the identify deadline. */
  #hello(frame: V2FrameOf<'hello'>): void {
    if (this.#challenge !== null) return this.#invalid.refuseRepeated('hello', 'this connection has already sent hello');
    this.#challenge = new ChallengeHandler(frame, this.#deps);
    this.#state = 'challenging';
    this.#cancelTimer();
    this.#challenge.challenge().then(
      (challenge) => {
        if (this.#state !== 'challenging' || this.#closing !== null) return;
        this.#answerFirst(challenge);
      },
      (error: unknown) => this.#onLookupFailed(error),
    );
  }

  /** `isCheck`: only answers whether it could identify; no session begins. */
  #identify(frame: V2FrameOf<'identify'>, isCheck = false): void {
    const errors = tokenErrors(frame);
    if (errors.length > 0) return this.#invalid.refuse({ kind: 'validation_failed', messageType: 'identify', errors, object: frame });
    this.#state = 'identifying';
    this.#cancelTimer();
    this.#version = (frame.protocol_version ?? 1) >= 2 ? 2 : 1;
    identifyCommand(frame, provenBy(frame, this.#challenge), this.#version, this.#deps).then(
      (made) => {
        if (this.#state !== 'identifying' || this.#closing !== null) return;
        if (made.kind === 'refused') return this.#refuseIdentify(made, frame);
        if (isCheck) return this.#answerCheck(made.command).catch((error: unknown) => this.#onLookupFailed(error));
        this.#token = made.token;
        this.#deps.tokenUse.note(made.token.id);
        this.#deps.inbox.post(made.command, (outcome) => {
          if (!outcome.ok) return this.close(1013, 'try again later');
          if (outcome.answer.kind !== 'identified')
            return this.#refuseIdentify(refusalOf(outcome.answer, this.#version, made.token.id), frame);
          this.#identified({ agentId: made.command.agentId, session: outcome.answer.session }, outcome.answer);
          noteOtherStore(made.command, this.#deps);
        });
      },
      (error: unknown) => this.#onLookupFailed(error),
    );
  }

  async #answerCheck(command: IdentifyCommand): Promise<void> {
    const answer = await identifyChecked(command, this.#deps);
    if (this.#state === 'identifying' && this.#closing === null) this.#answerFirst(answer);
  }

  /** Back to `new`, for the frames that follow. */
  #answerFirst(answer: Frame): void {
    this.#state = 'new';
    this.#identifyDeadline?.resume();
    this.send(answer);
    this.#handlePendingFrames();
  }

  #onLookupFailed(error: unknown): void {
    this.#deps.log.error('a token could not be looked up', { error });
    this.close(1013, 'try again later');
  }

  #handlePendingFrames(): void {
    const frames = this.#pendingFrames;
    this.#pendingFrames = null;
    for (const text of frames?.take() ?? []) this.onFrame(text);
  }

  #identified(
    from: Reporter,
    answer: { readonly held: Parameters<typeof identifiedFrame>[2]['held']; readonly isSettling: boolean },
  ): void {
    const { clock, context, storeId } = this.#deps;
    this.#from = from;
    this.#rate = this.#deps.rates.of(from.agentId);
    this.#cancelTimer();
    if (this.#state === 'closed') return this.#deps.inbox.post({ kind: 'disconnect', from }, () => undefined);
    this.#state = 'identified';
    this.connection.identified();
    for (const { reason } of answer.held) if (reason === 'generation_too_far') this.#deps.refusedFrames.add(reason);
    const reporting = answer.held.filter(({ action }) => action === 'report');
    if (reporting.length > 0) this.#reporting = reporting.map(({ taskId }) => taskId);
    this.#deps.registered(this.connection);
    this.send(identifiedFrame(this.#version, from.agentId, { nowMs: clock.wallMs(), storeId: storeId(), held: answer.held }, context));
    if (answer.isSettling) {
      this.reports.startSettling();
      this.#timer = clock.after(SETTLE_MS, () => this.reports.endSettling(from));
    }
    this.#challenge = this.#identifyDeadline = null;
    this.#handlePendingFrames();
  }

  #refuseIdentify({ error, counts, more = {}, tokenId }: RefusedIdentify, frame: V2FrameOf<'identify'>): void {
    if (this.#state === 'closed') return;
    this.#state = 'new';
    this.#pendingFrames = null;
    this.#identifyDeadline?.resume();
    this.send(errorFrame(error, more));
    this.#deps.refusedFrames.add(error);
    const sender = { ...identifierOf(frame, tokenId, this.#challenge?.tokenHint ?? null), address: this.#deps.addressOf(this.connection) };
    this.#deps.noteRefusal(`identify ${error}`, 'an identify was refused', { error, ...more, ...sender });
    if (counts) this.#invalid.count();
    if (error !== 'agent_id_in_use') return;
    // Version 1 counts every socket that opens as a success and reconnects after a second, so it is closed only after a while.
    if (this.#version === 2) return this.close(CLOSE_CODES.idInUse, error);
    this.#cancelTimer();
    this.#timer = this.#deps.clock.after(V1_REFUSED_MS, () => this.close(CLOSE_CODES.idInUse, error));
  }

  /** `characters`: the length of its text, close enough to its size. */
  #onValid(frame: SidecarFrame, characters: number): void {
    const from = this.#from;
    if (from === null) return;
    if (isFirstFrame(frame)) return this.#invalid.refuseRepeated(frame.type, 'this connection is already identified');
    if (isTaskFrame(frame) && frame.type !== 'wake_result') return this.reports.on(frame, from, characters);
    switch (frame.type) {
      case 'ping':
        this.send({ type: 'pong', timestamp: this.#deps.clock.wallMs() });
        if (frame.draining_reason !== undefined) this.#agentFrames.onDrainingReason(frame.draining_reason, from);
        if (frame.checks !== undefined && this.#version === 2) this.#agentFrames.onChecks(frame.checks, from);
        if (this.#version === 1) this.reports.onPing(from);
        return;
      case 'wake_result': {
        const waitMs = this.#deps.meter.take(from.agentId, 'wake_result', characters, WAKE_RESULTS);
        if (waitMs === 0) return this.reports.on(frame, from, characters);
        this.#deps.refusedFrames.add('rate_limited');
        return this.send(errorFrame('rate_limited', { retry_after_ms: waitMs }));
      }
      case 'task_output':
        return this.#deps.takeOutput(frame, from.agentId);
      case 'probe_ack':
        return;
      default:
        return this.#agentFrames.on(frame, from, characters);
    }
  }
}
