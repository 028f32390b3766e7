/** Frames that are not valid: each is answered, logged and counted, and too many block their sender. */
import { isGeneration, isTaskId } from '../../../domain/ids.ts';
import type { HubConnection } from '../../../ports/hub-transport.ts';
import type { FrameParseResult } from '../../../protocol/frame-parser.ts';
import type { FirstFrameType, SidecarFrame } from '../../../protocol/sidecar-frames.ts';
import type { Reporter } from '../batch/commands.ts';
import { errorFrame, nackFrame, type Frame, type ProtocolVersion } from './frames-out.ts';
import { LOGGED_CHARACTERS } from './identify.ts';
import type { ReportHandler } from './report-handler.ts';
import type { SessionDeps } from './session-deps.ts';

/** The session whose peer sent them. */
interface Sender {
  readonly connection: HubConnection;
  readonly version: ProtocolVersion;
  /** Its agent and session number; null before identify. */
  readonly from: Reporter | null;
  readonly reports: ReportHandler;
  send(frame: Frame): void;
  close(code: number, reason: string): void;
}

export class InvalidFrames {
  readonly #deps: SessionDeps;
  readonly #session: Sender;

  constructor(deps: SessionDeps, session: Sender) {
    this.#deps = deps;
    this.#session = session;
  }

  /** Answers a frame that could not be parsed. */
  refuse(parsed: Exclude<FrameParseResult<SidecarFrame>, { kind: 'frame' }>): void {
    if (parsed.kind === 'invalid_json') {
      this.#session.send(errorFrame('invalid_json'));
      return this.note('invalid_json', {});
    }
    const { kind, messageType, object } = parsed;
    const { task_id: taskId, generation } = object;
    const from = this.#session.from;
    if (this.#session.version === 2 && from !== null && isTaskId(taskId) && isGeneration(generation)) {
      // Whichever type the frame has, its sender waits for an answer about this task.
      this.#session.send(
        nackFrame(taskId, generation, 'validation_failed', { refuses: messageType?.slice(0, LOGGED_CHARACTERS), current: null }),
      );
    } else if (kind === 'unknown_message_type') {
      this.#session.send(errorFrame(kind));
    } else {
      const answer = (): void => this.#session.send(errorFrame(kind, { message_type: messageType, errors: parsed.errors }));
      if (from === null) answer();
      else this.#session.reports.onInvalid(object, from, answer);
    }
    const fields = kind === 'validation_failed' ? { fields: parsed.errors.map((error) => error.field) } : {};
    this.note(kind, { message_type: messageType?.slice(0, LOGGED_CHARACTERS) ?? null, ...fields });
  }

  refuseRepeated(messageType: FirstFrameType, detail: string): void {
    this.#session.send(
      errorFrame('validation_failed', { message_type: messageType, errors: [{ field: 'type', error: 'repeated', detail }] }),
    );
    this.note('validation_failed', { message_type: messageType, fields: ['type'] });
  }

  /** Invalid frames of an agent are all logged, since few are allowed; those of unidentified connections are summarized. */
  note(kind: string, more: Readonly<Record<string, unknown>>): void {
    const { log, noteRefusal, refusedFrames, addressOf } = this.#deps;
    refusedFrames.add(kind);
    const message = 'a frame is not valid';
    const fields = { kind, ...more, address: addressOf(this.#session.connection) };
    if (this.#session.from === null) noteRefusal(`frame ${kind}`, message, fields);
    else log.warn(message, { ...fields, agent_id: this.#session.from.agentId });
    this.count();
  }

  /** Too many within a minute close the socket and block the address (before identify) or the agent (after it). */
  count(): void {
    const { throttle, clock, addressOf } = this.#deps;
    const name = this.#session.from === null ? `address ${addressOf(this.#session.connection)}` : `agent ${this.#session.from.agentId}`;
    if (throttle.failed(name, clock.nowMs())) this.#session.close(1008, 'too many invalid frames');
  }
}
