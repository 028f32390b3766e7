/**
 * One connection of a sidecar.
 *
 *   new ── identify ─► identifying ── committed ─► identified ── socket gone, newer session, or closed by us ─► closed
 *
 * Frames before identify are refused; those that arrive while the identify is being committed wait for it. Each task
 * frame becomes a command; its answer is sent in commit order.
 */
import type { AgentId, Generation, TaskId } from '../../../domain/ids.ts';
import { isGeneration, isTaskId } from '../../../domain/ids.ts';
import { frameReader, type ReadFrame } from '../../../protocol/frame-reader.ts';
import { v1Schemas, v2Schemas, type SidecarFrame, type V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import type { HubConnection } from '../../../ports/hub-transport.ts';
import type { Timer } from '../../../ports/clock.ts';
import type { Reporter, ReportCommand } from '../commands.ts';
import { answerFrame, errorFrame, identifiedFrame, nackFrame, type Frame, type ProtocolVersion } from './frames-out.ts';
import { identifyCommand } from './identify.ts';
import { ProgressGate } from './progress-gate.ts';
import { reportFromFrame } from './report-from-frame.ts';
import type { SessionDeps } from './session-deps.ts';
import { TalkHandler } from './talk.ts';

/** Frames that may wait for an identify to be committed. */
const FRAMES_WAITING_MAX = 64;
/** How long a version 1 agent has to speak of what the hub believes it has, milliseconds. */
const V1_SETTLE_MS = 5_000;

const readers = { 1: frameReader<SidecarFrame>(v1Schemas), 2: frameReader<SidecarFrame>(v2Schemas) };

export type SessionState = 'new' | 'identifying' | 'identified' | 'closed';

export class HubSession {
  readonly connection: HubConnection;
  readonly #deps: SessionDeps;
  readonly #gate: ProgressGate;
  readonly #talk: TalkHandler;
  #state: SessionState = 'new';
  #closing = false;
  #version: ProtocolVersion = 2;
  #from: Reporter | null = null;
  #tokenId: string | null = null;
  #waiting: string[] = [];
  #timer: Timer | null = null;
  #lastHeardMonotonicMs: number;
  #askedMonotonicMs: number | null = null;
  #renewedMonotonicMs = 0;

  constructor(connection: HubConnection, deps: SessionDeps) {
    this.connection = connection;
    this.#deps = deps;
    this.#gate = new ProgressGate(deps.clock);
    this.#talk = new TalkHandler(deps, (frame) => this.send(frame));
    this.#lastHeardMonotonicMs = deps.clock.monotonicMs();
    this.#timer = deps.clock.after(deps.context.limits.identifyMs, () => this.close(1008, 'identify within the time'));
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
    return this.#tokenId;
  }

  /** When it last gave any sign of life, milliseconds since 1970. */
  get lastHeardAtMs(): number {
    const { clock } = this.#deps;
    return Math.round(clock.nowMs() - (clock.monotonicMs() - this.#lastHeardMonotonicMs));
  }

  /** Sends a frame, if the socket is still there. */
  send(frame: Frame): void {
    if (this.#state !== 'closed') this.connection.send(JSON.stringify(frame));
  }

  close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#closing = true;
    this.connection.close(code, reason);
  }

  /** The socket is gone: nothing of it counts any more, and the agent is away. */
  gone(): void {
    const from = this.#from;
    const wasIdentified = this.#state === 'identified';
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#gate.stop();
    this.#waiting = [];
    if (from === null || !wasIdentified) return;
    this.#deps.inbox.post({ kind: 'disconnect', from }, (outcome) => {
      if (!outcome.ok)
        this.#deps.log.warn('a disconnect could not be stored; the next sweep sees it', { agent_id: from.agentId, error: outcome.error });
    });
  }

  /** Any sign of life. */
  heard(): void {
    this.#lastHeardMonotonicMs = this.#deps.clock.monotonicMs();
    this.#askedMonotonicMs = null;
  }

  /** Asks a silent peer for a word, and closes one that gave none. Called regularly. */
  checkLife(): void {
    if (this.#state !== 'identified') return;
    const { timing } = this.#deps.context;
    const now = this.#deps.clock.monotonicMs();
    if (this.#askedMonotonicMs !== null) {
      if (now - this.#askedMonotonicMs >= timing.pongWaitMs) this.close(1001, 'no sign of life');
    } else if (now - this.#lastHeardMonotonicMs >= timing.heartbeatMs * 1.5) {
      this.#askedMonotonicMs = now;
      if (this.#version === 1) this.connection.ping();
      else this.send({ type: 'probe', nonce: this.#deps.ids.random('probe') });
    }
  }

  onFrame(text: string): void {
    if (this.#state === 'closed' || this.#closing) return;
    this.heard();
    if (this.#state === 'new') return this.#onFirstFrame(text);
    if (this.#state === 'identifying') {
      if (this.#waiting.length >= FRAMES_WAITING_MAX) return this.close(1008, 'wait for identified');
      this.#waiting.push(text);
      return;
    }
    const read = readers[this.#version](text);
    if (read.kind !== 'frame') return this.#onInvalid(read);
    this.#onValid(read.frame);
  }

  #onFirstFrame(text: string): void {
    const { limits } = this.#deps.context;
    if (text.length > limits.unidentifiedFrameBytes)
      return this.close(1009, `at most ${limits.unidentifiedFrameBytes} bytes before identify`);
    const read = readers[2](text);
    if (read.kind === 'frame' && read.frame.type === 'identify') return this.#identify(read.frame);
    if (
      read.kind === 'frame' ||
      read.kind === 'unknown_message_type' ||
      (read.kind === 'validation_failed' && read.messageType !== 'identify')
    ) {
      this.send(errorFrame('not_identified'));
      return this.#countInvalid();
    }
    this.#onInvalid(read);
  }

  #identify(frame: V2FrameOf<'identify'>): void {
    this.#state = 'identifying';
    this.#version = (frame.protocol_version ?? 1) >= 2 ? 2 : 1;
    identifyCommand(frame, this.#version, this.#deps).then(
      (made) => {
        if (this.#state !== 'identifying') return;
        if (made.kind === 'refused') return this.#refuseIdentify(made.error, made.counts);
        this.#tokenId = made.tokenId;
        this.#deps.inbox.post(made.command, (outcome) => {
          if (!outcome.ok) return this.close(1013, 'try again later');
          if (outcome.answer.kind === 'agent_id_in_use') return this.#refuseIdentify('agent_id_in_use', false);
          this.#identified({ agentId: made.command.agentId, session: outcome.answer.session }, outcome.answer);
        });
      },
      (error: unknown) => {
        this.#deps.log.error('a token could not be looked up', { error });
        this.close(1013, 'try again later');
      },
    );
  }

  #identified(
    from: Reporter,
    answer: { readonly held: Parameters<typeof identifiedFrame>[2]['held']; readonly expectsWord: boolean },
  ): void {
    const { clock, context, storeId } = this.#deps;
    this.#from = from;
    this.#timer?.cancel();
    if (this.#state === 'closed') return this.#deps.inbox.post({ kind: 'disconnect', from }, () => undefined);
    this.#state = 'identified';
    this.#deps.registered(this.connection);
    this.send(identifiedFrame(this.#version, from.agentId, { nowMs: clock.nowMs(), storeId: storeId(), held: answer.held }, context));
    if (answer.expectsWord) {
      this.#timer = clock.after(V1_SETTLE_MS, () =>
        this.#deps.inbox.post({ kind: 'presence', from, change: { what: 'settled' } }, () => undefined),
      );
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const text of waiting) this.onFrame(text);
  }

  #refuseIdentify(error: string, counts: boolean): void {
    this.#state = 'new';
    this.#waiting = [];
    this.send(errorFrame(error));
    this.#deps.log.warn('an identify was refused', { error, address: this.#deps.addressOf(this.connection) });
    if (counts) this.#countInvalid();
    if (error === 'agent_id_in_use') this.close(4001, error);
  }

  #onInvalid(read: Exclude<ReadFrame<SidecarFrame>, { kind: 'frame' }>): void {
    this.#deps.log.debug('an invalid frame', { agent_id: this.agentId, kind: read.kind });
    if (read.kind === 'validation_failed') {
      const { task_id: taskId, generation } = read.object;
      const isNamed = this.#version === 2 && this.#state === 'identified' && isTaskId(taskId) && isGeneration(generation);
      if (isNamed) this.send(nackFrame(taskId, generation, 'validation_failed', null));
      else this.send(errorFrame('validation_failed', { message_type: read.messageType, errors: read.errors }));
    } else {
      this.send(errorFrame(read.kind));
    }
    this.#countInvalid();
  }

  /** Too many within a minute close the socket and hold off: the address before identify, the session's agent after. */
  #countInvalid(): void {
    const { throttle, clock, addressOf } = this.#deps;
    const name = this.#from === null ? `address ${addressOf(this.connection)}` : `agent ${this.#from.agentId}`;
    if (throttle.failed(name, clock.nowMs())) this.close(1008, 'too many invalid frames');
  }

  #onValid(frame: SidecarFrame): void {
    const from = this.#from;
    if (from === null) return;
    switch (frame.type) {
      case 'identify':
        return this.send(
          errorFrame('validation_failed', {
            message_type: 'identify',
            errors: [{ field: 'type', error: 'repeated', detail: 'this connection is identified already' }],
          }),
        );
      case 'ping':
        this.send({ type: 'pong', timestamp: this.#deps.clock.nowMs() });
        return this.#renewByPing(from);
      case 'task_accepted':
      case 'task_rejected':
      case 'task_released':
      case 'task_complete':
      case 'task_failed':
      case 'task_progress':
      case 'wake_result':
        return this.#onReport(frame, from);
      case 'task_recovering':
      case 'state_report':
        return this.#onRecover(frame, from);
      case 'task_cancel_ack':
        return this.#deps.inbox.post(
          {
            kind: 'stop_confirmed',
            from,
            taskId: frame.task_id as TaskId,
            generation: frame.generation as Generation,
            outcome: frame.outcome,
            survivors: frame.survivors ?? [],
          },
          () => undefined,
        );
      case 'probe_ack':
      case 'task_output':
        return;
      default:
        return this.#talk.on(frame, from);
    }
  }

  #onReport(frame: Parameters<typeof reportFromFrame>[0], from: Reporter): void {
    const { taskId, generation, body } = reportFromFrame(frame);
    if (frame.agent_id !== undefined && frame.agent_id !== from.agentId) {
      const foreign = { kind: 'refused', code: 'not_assignee', currentGeneration: null } as const;
      return this.#answer(answerFrame(this.#version, { kind: body.report, taskId, generation }, foreign));
    }
    const report = (): void => this.#post({ kind: 'report', from, taskId, generation, body });
    if (body.report === 'progress') return this.#gate.offer(taskId, report);
    if (body.report !== 'accepted' && body.report !== 'woken') this.#gate.flush(taskId);
    report();
  }

  #post(command: ReportCommand): void {
    this.#deps.inbox.post(command, (outcome) => {
      // A hub that cannot commit answers a report with nothing: the sidecar keeps it and sends it again.
      if (!outcome.ok) return this.#deps.log.warn('a report could not be stored', { task_id: command.taskId, error: outcome.error });
      if (outcome.answer.kind === 'refused') {
        this.#deps.log.info('a report was refused', {
          agent_id: command.from.agentId,
          task_id: command.taskId,
          report: command.body.report,
          generation: command.generation,
          reason: outcome.answer.code,
        });
      }
      this.#answer(
        answerFrame(this.#version, { kind: command.body.report, taskId: command.taskId, generation: command.generation }, outcome.answer),
      );
    });
  }

  #onRecover(frame: Extract<SidecarFrame, { type: 'task_recovering' | 'state_report' }>, from: Reporter): void {
    const isStateReport = frame.type === 'state_report';
    const taskId = frame.task_id as TaskId;
    const lastStatus = frame.type === 'task_recovering' ? (frame.last_status ?? null) : null;
    const generation = isStateReport ? (frame.generation as Generation) : null;
    this.#timer?.cancel();
    this.#deps.inbox.post({ kind: 'recover', from, taskId, generation, lastStatus }, (outcome) => {
      if (!outcome.ok || outcome.answer.kind === 'replaced') return;
      const { answer } = outcome;
      if (isStateReport)
        return this.send({ type: 'state_report_ack', task_id: taskId, action: answer.kind === 'continue' ? 'continue' : 'abort' });
      this.send(
        answer.kind === 'continue'
          ? { type: 'task_continue', task_id: taskId, generation: answer.generation }
          : { type: 'task_reassign', task_id: taskId },
      );
    });
  }

  /** Version 1 renews its leases by pings; each third of a lease is often enough. */
  #renewByPing(from: Reporter): void {
    const now = this.#deps.clock.monotonicMs();
    if (this.#version !== 1 || now - this.#renewedMonotonicMs < this.#deps.context.timing.leaseMs / 3) return;
    this.#renewedMonotonicMs = now;
    this.#deps.inbox.post({ kind: 'presence', from, change: { what: 'ping' } }, () => undefined);
  }

  #answer(frame: Frame | null): void {
    if (frame !== null) this.send(frame);
  }
}
