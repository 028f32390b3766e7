/**
 * One connection of a sidecar.
 *
 *   new ( ── hello ─► greeting ── challenge ─► new ) ── identify ─► identifying ── committed ─► identified ── gone or closed ─► closed
 *
 * Frames before identify are refused; those that arrive while a hello is looked up or the identify is committed wait for it. Each task
 * frame becomes a command; its answer is sent in commit order.
 */
import { SETTLE_MS } from '../../../domain/agent/busy.ts';
import { isLongerThan } from '../../../domain/encoded-text.ts';
import { isGeneration, isTaskId, type AgentId, type TaskId } from '../../../domain/ids.ts';
import { CLOSE_CODES } from '../../../protocol/close-codes.ts';
import { frameReader, type ReadFrame } from '../../../protocol/frame-reader.ts';
import { v1Schemas, v2Schemas, type SidecarFrame, type V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import type { ErrorWord } from '../../../protocol/hub-frames.ts';
import { isExpired } from '../../../ports/agent-store.ts';
import type { HubConnection } from '../../../ports/hub-transport.ts';
import type { Timer } from '../../../ports/clock.ts';
import type { Reporter } from '../batch/commands.ts';
import type { Allowance } from './limits/agent-meter.ts';
import { TOO_FAST, type FrameRate } from './limits/frame-rates.ts';
import { FramesBehind } from './limits/frames-behind.ts';
import { errorFrame, identifiedFrame, nackFrame, type Frame, type ProtocolVersion } from './frames-out.ts';
import { Greeting } from './challenge.ts';
import { IdentifyTime } from './limits/identify-time.ts';
import { identifyCommand, IN_USE, noteOtherStore, tokenErrors, type SessionToken } from './identify.ts';
import { ReportHandler } from './report-handler.ts';
import type { SessionDeps } from './session-deps.ts';
import { SignsOfLife } from './signs-of-life.ts';
import { TalkHandler } from './agent-frames.ts';
import { isReport } from './limits/wasteful.ts';

/** The close code of a connection that may not speak for its agent. */
const REFUSED = 4001;
/** How long a version 1 connection that may not speak for its agent is held before it is closed, milliseconds. */
const V1_REFUSED_MS = 10_000;
/** A peer's own words are cut to this many characters where the log repeats them. */
const LOGGED_CHARACTERS = 64;

/** What an agent may say in a minute of how its wakes went: one for each of its slots, some times over. It decides nothing of a task. */
export const WAKE_RESULTS: Allowance = { count: 600, bytes: 1_048_576 };
const NO_TASKS: readonly TaskId[] = [];

const readers = { 1: frameReader<SidecarFrame>(v1Schemas), 2: frameReader<SidecarFrame>(v2Schemas) };

export type SessionState = 'new' | 'greeting' | 'identifying' | 'identified' | 'closed';

export class HubSession {
  readonly connection: HubConnection;
  readonly #deps: SessionDeps;
  /** Made with the first that is said of a task, or to others: most sessions wait, and there are thousands. */
  #madeReports: ReportHandler | null = null;
  #madeTalk: TalkHandler | null = null;
  #state: SessionState = 'new';
  /** How we closed it; null while we did not. */
  #closing: { readonly code: number; readonly because: string } | null = null;
  #version: ProtocolVersion = 2;
  #from: Reporter | null = null;
  /** Of its agent; null before identify. */
  #rate: FrameRate | null = null;
  #token: SessionToken | null = null;
  /** Of a connection that said hello; null once it is identified. */
  #greeting: Greeting | null = null;
  #waiting: FramesBehind | null = null;
  #timer: Timer | null = null;
  /** Null once it is identified. */
  #identifyTime: IdentifyTime | null;
  readonly #life: SignsOfLife;
  /** Tasks whose end it had to report when it identified: the others may have ended since, and are not known of. */
  #reporting: readonly TaskId[] = NO_TASKS;

  constructor(connection: HubConnection, deps: SessionDeps) {
    this.connection = connection;
    this.#deps = deps;
    this.#life = new SignsOfLife(deps.clock);
    this.#identifyTime = new IdentifyTime(deps.clock, deps.context.limits.identifyMs, {
      isHeard: () => deps.hasWaiting(connection),
      over: () => this.close(1008, 'identify within the time'),
    });
    this.#identifyTime.run();
  }

  get #reports(): ReportHandler {
    return (this.#madeReports ??= new ReportHandler(this.#deps, { version: () => this.#version, send: (frame) => this.send(frame) }));
  }
  get #talk(): TalkHandler {
    return (this.#madeTalk ??= new TalkHandler(this.#deps, (frame) => this.send(frame)));
  }
  get state(): SessionState {
    return this.#state;
  }
  get version(): ProtocolVersion {
    return this.#version;
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
  /** Whether its frames may wait for those of others: it has not identified, or its agent makes the hub work for nothing. */
  get canWait(): boolean {
    return this.#state !== 'identified' || this.#rate?.isWasteful === true;
  }
  /** Whether its token is being looked up: it is not known yet which one it is. */
  get isLookedUp(): boolean {
    return this.#state === 'identifying' && this.#token === null;
  }

  /** Why it was closed with this code, if it was closed here; the transport or the peer may have been before us. */
  becauseOf(code: number): string | undefined {
    return this.#closing?.code === code ? this.#closing.because : undefined;
  }

  /** When it last gave any sign of life, milliseconds since 1970. */
  get lastHeardAtMs(): number {
    return this.#life.lastAtMs;
  }

  /** Sends a frame, if the socket is still there. */
  send(frame: Frame): void {
    this.sendText(JSON.stringify(frame));
  }

  /** Sends a frame that is JSON text already. */
  sendText(text: string): void {
    if (this.#state !== 'closed') this.connection.send(text);
  }

  close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#closing ??= { code, because: reason };
    this.connection.close(code, reason);
  }

  /** The socket is gone: nothing of it counts any more, and the agent is away. `code`: of its close, whoever closed it. */
  gone(code: number): void {
    const from = this.#from;
    const wasIdentified = this.#state === 'identified';
    this.#state = 'closed';
    this.#cancelTimer();
    this.#madeReports?.stop();
    this.#waiting = null;
    if (this.#greeting?.isVainGuess === true) this.#countInvalid();
    if (from === null || !wasIdentified) return;
    const tooLarge = code === CLOSE_CODES.tooLarge ? { reporting: this.#version === 1 ? null : this.#reporting } : undefined;
    this.#deps.inbox.post({ kind: 'disconnect', from, heardAtMs: this.lastHeardAtMs, tooLarge }, (outcome) => {
      if (!outcome.ok)
        this.#deps.log.warn('a disconnect could not be stored; the next sweep sees it', { agent_id: from.agentId, error: outcome.error });
    });
  }

  /** Any sign of life. */
  heard(): void {
    this.#life.heard();
  }

  /** Asks a silent peer for a word, and closes one that gave none. Called regularly. */
  checkLife(): void {
    if (this.#state !== 'identified') return;
    if (this.#token !== null && isExpired(this.#token, this.#deps.clock.nowMs())) return this.close(1008, 'the token has expired');
    const sign = this.#life.look(this.#deps.context.timing);
    if (sign === 'dead') return this.close(1001, 'no sign of life');
    if (sign !== 'ask') return;
    if (this.#version === 1) this.connection.ping();
    else this.send({ type: 'probe', nonce: this.#deps.ids.random('probe') });
  }

  onFrame(text: string): void {
    if (this.#state === 'closed' || this.#closing !== null) return;
    this.heard();
    if (this.#state === 'new') return this.#onFirstFrame(text);
    if (this.#state !== 'identified') {
      const hasRoom = (this.#waiting ??= new FramesBehind()).add(text, this.#deps.context.limits.unidentifiedFrameBytes);
      return hasRoom ? undefined : this.close(1008, 'wait for identified');
    }
    const isInRate = this.#rate?.take(text.length) !== false;
    const read = readers[this.#version](text);
    if (read.kind !== 'frame' || !isReport(read.frame.type)) this.#rate?.wasted();
    if (read.kind !== 'frame') this.#onInvalid(read);
    else this.#onValid(read.frame, text.length);
    // What went over is still taken: version 1 would not send it again.
    if (!isInRate) this.close(1013, TOO_FAST);
  }

  /** Any sign of life below frames. A ping is answered by the transport, and costs as any small frame. */
  onPong(): void {
    this.heard();
    if (this.#rate?.take(0) === false) this.close(1013, TOO_FAST);
  }

  #onFirstFrame(text: string): void {
    const { limits } = this.#deps.context;
    if (isLongerThan(text, limits.unidentifiedFrameBytes))
      return this.close(1009, `at most ${limits.unidentifiedFrameBytes} bytes before identify`);
    const read = readers[2](text);
    if (read.kind === 'frame' && read.frame.type === 'hello') return this.#hello(read.frame);
    if (read.kind === 'frame' && read.frame.type === 'identify') return this.#identify(read.frame);
    if (
      read.kind === 'frame' ||
      read.kind === 'unknown_message_type' ||
      (read.kind === 'validation_failed' && read.messageType !== 'identify' && read.messageType !== 'hello')
    ) {
      this.send(errorFrame('not_identified'));
      return this.#noteInvalid('not_identified', {});
    }
    this.#onInvalid(read);
  }

  /** Stops what is timed, and releases the timer and all that it holds: a session may have nothing to do for days. */
  #cancelTimer(): void {
    this.#identifyTime?.stop();
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Proves that this hub knows the token, so that the sidecar dares to say that it does. Its look-up is no time of the peer's. */
  #hello(frame: V2FrameOf<'hello'>): void {
    if (this.#greeting !== null) return this.#refuseRepeated('hello', 'this connection has said hello already');
    this.#greeting = new Greeting(frame, this.#deps);
    this.#state = 'greeting';
    this.#cancelTimer();
    this.#greeting.challenge().then(
      (challenge) => {
        if (this.#state !== 'greeting' || this.#closing !== null) return;
        this.#state = 'new';
        this.#identifyTime?.run();
        this.send(challenge);
        this.#takeWaiting();
      },
      (error: unknown) => this.#notLookedUp(error),
    );
  }

  #identify(frame: V2FrameOf<'identify'>): void {
    const errors = tokenErrors(frame);
    if (errors.length > 0) return this.#onInvalid({ kind: 'validation_failed', messageType: 'identify', errors, object: frame });
    this.#state = 'identifying';
    this.#cancelTimer();
    this.#version = (frame.protocol_version ?? 1) >= 2 ? 2 : 1;
    const secret = frame.token ?? this.#greeting?.tokenIn(frame.proof ?? '') ?? null;
    identifyCommand(frame, secret, this.#version, this.#deps).then(
      (made) => {
        if (this.#state !== 'identifying' || this.#closing !== null) return;
        if (made.kind === 'refused') {
          return this.#refuseIdentify(made.error, made.counts, made.error === 'rate_limited' ? { retry_after_ms: made.retryAfterMs } : {});
        }
        this.#token = made.token;
        this.#deps.tokenUse.note(made.token.id);
        this.#deps.inbox.post(made.command, (outcome) => {
          if (!outcome.ok) return this.close(1013, 'try again later');
          if (outcome.answer.kind === 'agent_id_in_use')
            return this.#refuseIdentify('agent_id_in_use', false, this.#version === 1 ? {} : { detail: IN_USE });
          this.#identified({ agentId: made.command.agentId, session: outcome.answer.session }, outcome.answer);
          noteOtherStore(made.command, this.#deps);
        });
      },
      (error: unknown) => this.#notLookedUp(error),
    );
  }

  #notLookedUp(error: unknown): void {
    this.#deps.log.error('a token could not be looked up', { error });
    this.close(1013, 'try again later');
  }

  #takeWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const text of waiting?.take() ?? []) this.onFrame(text);
  }

  #identified(
    from: Reporter,
    answer: { readonly held: Parameters<typeof identifiedFrame>[2]['held']; readonly expectsWord: boolean },
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
    if (answer.expectsWord) {
      this.#reports.beginSettling();
      this.#timer = clock.after(SETTLE_MS, () => this.#reports.endSettling(from));
    }
    this.#greeting = this.#identifyTime = null;
    this.#takeWaiting();
  }

  #refuseIdentify(error: ErrorWord, counts: boolean, more: Readonly<Record<string, unknown>> = {}): void {
    if (this.#state === 'closed') return;
    this.#state = 'new';
    this.#waiting = null;
    this.#identifyTime?.run();
    this.send(errorFrame(error, more));
    this.#deps.refusedFrames.add(error);
    const address = this.#deps.addressOf(this.connection);
    this.#deps.noteRefusal(`identify ${error}`, 'an identify was refused', { error, ...more, address });
    if (counts) this.#countInvalid();
    if (error !== 'agent_id_in_use') return;
    // Version 1 takes any socket that opens for a success, and comes again after a second: it is let go only after a while.
    if (this.#version === 2) return this.close(REFUSED, error);
    this.#cancelTimer();
    this.#timer = this.#deps.clock.after(V1_REFUSED_MS, () => this.close(REFUSED, error));
  }

  #onInvalid(read: Exclude<ReadFrame<SidecarFrame>, { kind: 'frame' }>): void {
    if (read.kind === 'invalid_json') {
      this.send(errorFrame('invalid_json'));
      return this.#noteInvalid('invalid_json', {});
    }
    const { kind, messageType, object } = read;
    const { task_id: taskId, generation } = object;
    const from = this.#from;
    if (this.#version === 2 && from !== null && isTaskId(taskId) && isGeneration(generation)) {
      // Whatever it was, its sender waits for an answer about this task.
      this.send(nackFrame(taskId, generation, 'validation_failed', { refuses: messageType?.slice(0, LOGGED_CHARACTERS), current: null }));
    } else if (kind === 'unknown_message_type') {
      this.send(errorFrame(kind));
    } else {
      const answer = (): void => this.send(errorFrame(kind, { message_type: messageType, errors: read.errors }));
      if (from === null) answer();
      else this.#reports.onInvalid(object, from, answer);
    }
    const fields = kind === 'validation_failed' ? { fields: read.errors.map((error) => error.field) } : {};
    this.#noteInvalid(kind, { message_type: messageType?.slice(0, LOGGED_CHARACTERS) ?? null, ...fields });
  }

  #refuseRepeated(messageType: 'hello' | 'identify', detail: string): void {
    this.send(errorFrame('validation_failed', { message_type: messageType, errors: [{ field: 'type', error: 'repeated', detail }] }));
    this.#noteInvalid('validation_failed', { message_type: messageType, fields: ['type'] });
  }

  /** Each of an agent's is logged, since few are let pass; those of strangers together. */
  #noteInvalid(kind: string, more: Readonly<Record<string, unknown>>): void {
    const { log, noteRefusal, refusedFrames, addressOf } = this.#deps;
    refusedFrames.add(kind);
    const message = 'a frame is not valid';
    const fields = { kind, ...more, address: addressOf(this.connection) };
    if (this.#from === null) noteRefusal(`frame ${kind}`, message, fields);
    else log.warn(message, { ...fields, agent_id: this.#from.agentId });
    this.#countInvalid();
  }

  /** Too many within a minute close the socket and hold off: the address before identify, the session's agent after. */
  #countInvalid(): void {
    const { throttle, clock, addressOf } = this.#deps;
    const name = this.#from === null ? `address ${addressOf(this.connection)}` : `agent ${this.#from.agentId}`;
    if (throttle.failed(name, clock.nowMs())) this.close(1008, 'too many invalid frames');
  }

  /** `characters`: of its text, which tells its size well enough. */
  #onValid(frame: SidecarFrame, characters: number): void {
    const from = this.#from;
    if (from === null) return;
    switch (frame.type) {
      case 'hello':
      case 'identify':
        return this.#refuseRepeated(frame.type, 'this connection is identified already');
      case 'ping':
        this.send({ type: 'pong', timestamp: this.#deps.clock.wallMs() });
        if (frame.draining_reason !== undefined) this.#talk.onDrainingReason(frame.draining_reason, from);
        if (frame.checks !== undefined && this.#version === 2) this.#talk.onChecks(frame.checks, from);
        if (this.#version === 1) this.#reports.onPing(from);
        return;
      case 'task_accepted':
      case 'task_rejected':
      case 'task_released':
      case 'task_complete':
      case 'task_failed':
      case 'task_progress':
        return this.#reports.on(frame, from, characters);
      case 'wake_result': {
        const waitMs = this.#deps.meter.take(from.agentId, 'wake_result', characters, WAKE_RESULTS);
        if (waitMs === 0) return this.#reports.on(frame, from, characters);
        this.#deps.refusedFrames.add('rate_limited');
        return this.send(errorFrame('rate_limited', { retry_after_ms: waitMs }));
      }
      case 'task_recovering':
      case 'state_report':
      case 'task_cancel_ack':
        return this.#reports.on(frame, from, characters);
      case 'probe_ack':
      case 'task_output':
        return;
      default:
        return this.#talk.on(frame, from, characters);
    }
  }
}
