/**
 * What a session's sidecar says of its tasks: each frame becomes a command, its answer is sent in commit order. One for
 * each session.
 */
import { isGeneration, isTaskId, type Generation, type TaskId } from '../../../domain/ids.ts';
import type { SidecarFrame, V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import { refusalLog, type NoteRefusal } from '../../refusal-log.ts';
import type { ReportAnswer, ReportCommand, Reporter, Settled } from '../batch/commands.ts';
import { answerFrame, nackFrame, type Frame, type ProtocolVersion } from './frames-out.ts';
import { ProgressGate } from './limits/progress-gate.ts';
import { reportFromFrame, usageOfStopped, type TaskFrame } from './report-from-frame.ts';
import type { SessionDeps } from './session-deps.ts';

type RecoveryFrame = Extract<SidecarFrame, { type: 'task_recovering' | 'state_report' }>;
export type TaskTalk = TaskFrame | RecoveryFrame | V2FrameOf<'task_cancel_ack'>;

/** Where version 1 stood when it crashed, if its agent had been woken. */
const WOKEN = ['waking_confirmation', 'working'];

/** Tasks that a version 1 agent is remembered to have spoken of while it settles: it has one, and repeats of a few. */
const SPOKEN_OF_MAX = 64;

interface Settling {
  readonly spokenOf: Set<TaskId>;
  /** Words that wait for their commit. */
  unanswered: number;
  /** The session, once its time is over. */
  from: Reporter | null;
}

export interface Speaking {
  readonly version: () => ProtocolVersion;
  readonly send: (frame: Frame) => void;
}

export class ReportHandler {
  readonly #deps: SessionDeps;
  readonly #speaking: Speaking;
  readonly #gate: ProgressGate;
  readonly #noteRefusal: NoteRefusal;
  /** What a version 1 agent says while it settles; null at any other time, and in version 2. */
  #settling: Settling | null = null;
  #renewedMonotonicMs = -Infinity;

  constructor(deps: SessionDeps, speaking: Speaking) {
    this.#deps = deps;
    this.#speaking = speaking;
    this.#gate = new ProgressGate(deps.clock);
    this.#noteRefusal = refusalLog(deps);
  }

  /** `characters`: of the frame's text. */
  on(frame: TaskTalk, from: Reporter, characters: number): void {
    if (frame.type === 'task_recovering' || frame.type === 'state_report') return this.#onRecovery(frame, from);
    if (frame.type === 'task_cancel_ack') return this.#onStopConfirmed(frame, from);
    const { taskId, generation, body } = reportFromFrame(frame, this.#speaking.version());
    const command: ReportCommand = {
      kind: 'report',
      from,
      taskId,
      generation,
      body,
      characters,
      ...(isForeign(frame, from) ? { unfit: 'not_assignee' } : {}),
    };
    if (body.report === 'progress') return this.#gate.offer(taskId, () => this.#post(command));
    if (body.report !== 'accepted' && body.report !== 'woken') this.#gate.flush(taskId);
    this.#post(command);
  }

  /** Version 1 renews its leases by pings; each third of a lease is often enough. */
  onPing(from: Reporter): void {
    const { clock, context, inbox } = this.#deps;
    const now = clock.monotonicMs();
    if (this.#speaking.version() !== 1 || now - this.#renewedMonotonicMs < context.timing.leaseMs / 3) return;
    this.#renewedMonotonicMs = now;
    inbox.post({ kind: 'presence', from, change: { what: 'ping' } }, () => undefined);
  }

  /** A version 1 agent has identified: from now on it is to say what it holds. */
  beginSettling(): void {
    this.#settling = { spokenOf: new Set(), unanswered: 0, from: null };
  }

  /** It has had its time. What it said before that, and is not committed yet, is waited for. */
  endSettling(from: Reporter): void {
    if (this.#settling === null) return;
    this.#settling.from = from;
    this.#settleIfAnswered();
  }

  #settleIfAnswered(): void {
    const settling = this.#settling;
    if (settling === null || settling.from === null || settling.unanswered > 0) return;
    this.#settling = null;
    const change = { what: 'settled', spokenOf: [...settling.spokenOf] } as const;
    this.#deps.inbox.post({ kind: 'presence', from: settling.from, change }, () => undefined);
  }

  /** A word about a task is on its way to the queue; answers what to call with whether it shows that the agent has it. */
  #speaksOf(taskId: TaskId): (hasIt: boolean) => void {
    const settling = this.#settling;
    if (settling === null) return NOT_SETTLING;
    settling.unanswered += 1;
    return (hasIt) => {
      settling.unanswered -= 1;
      if (hasIt && settling.spokenOf.size < SPOKEN_OF_MAX) settling.spokenOf.add(taskId);
      if (this.#settling === settling) this.#settleIfAnswered();
    };
  }

  /**
   * A frame that is not valid: version 1 deletes its copy of a result whatever the answer, so what can be read of one is
   * kept before `answer` is called.
   */
  onInvalid(object: Readonly<Record<string, unknown>>, from: Reporter, answer: () => void): void {
    const { type, task_id: taskId, generation, result } = object;
    if (this.#speaking.version() !== 1 || type !== 'task_complete' || !isTaskId(taskId) || result === undefined) return answer();
    const body = { report: 'complete', result: JSON.stringify(result), tokensUsed: null, costUsd: null, details: null } as const;
    const named = { taskId, generation: isGeneration(generation) ? generation : null };
    this.#deps.inbox.post({ kind: 'report', from, ...named, body, unfit: 'validation_failed' }, (outcome) => {
      if (outcome.ok) answer();
      else this.#sayNotStored(taskId, outcome.error);
    });
  }

  /** The session is over: what waits is dropped with it. */
  stop(): void {
    this.#gate.stop();
    this.#settling = null;
  }

  #post(command: ReportCommand): void {
    const spoken = this.#speaksOf(command.taskId);
    this.#deps.inbox.post(command, (outcome) => {
      this.#onReported(command, outcome);
      spoken(showsIt(outcome));
    });
  }

  #onReported(command: ReportCommand, outcome: Settled<ReportCommand>): void {
    const { taskId, generation, body } = command;
    // A hub that cannot commit answers a report with nothing: the sidecar keeps it and sends it again.
    if (!outcome.ok) return this.#sayNotStored(taskId, outcome.error);
    const answer: ReportAnswer = outcome.answer;
    if (answer.kind === 'replaced') this.#deps.refusedFrames.add('replaced_session');
    if (answer.kind === 'refused') {
      this.#deps.refusedFrames.add(answer.code);
      this.#noteRefusal(`${body.report} ${answer.code}`, 'a report was refused', {
        agent_id: command.from.agentId,
        task_id: taskId,
        report: body.report,
        generation,
        reason: answer.code,
      });
    }
    this.#answer(answerFrame(this.#speaking.version(), { kind: body.report, taskId, generation }, answer));
  }

  #onRecovery(frame: RecoveryFrame, from: Reporter): void {
    const taskId = frame.task_id as TaskId;
    const generation = (frame.generation ?? null) as Generation | null;
    const isCrash = frame.type === 'task_recovering';
    const answer = (own: Generation | null): void => {
      if (!isCrash) this.#speaking.send({ type: 'state_report_ack', task_id: taskId, action: own === null ? 'abort' : 'continue' });
      else if (own === null) this.#speaking.send({ type: 'task_reassign', task_id: taskId });
      else this.#speaking.send({ type: 'task_continue', task_id: taskId, generation: own });
    };
    if (isForeign(frame, from)) {
      this.#deps.refusedFrames.add('not_assignee');
      return answer(null);
    }
    const wasWoken = isCrash && WOKEN.includes(frame.last_status ?? '');
    const after = isCrash ? 'crash' : 'reconnect';
    const spoken = this.#speaksOf(taskId);
    this.#deps.inbox.post({ kind: 'recover', from, taskId, generation, after, wasWoken }, (outcome) => {
      spoken(!outcome.ok || outcome.answer.kind === 'continue');
      if (!outcome.ok) return this.#sayNotStored(taskId, outcome.error);
      if (outcome.answer.kind === 'replaced') return this.#deps.refusedFrames.add('replaced_session');
      if (outcome.answer.kind !== 'continue') return answer(null);
      answer(outcome.answer.generation);
    });
  }

  #onStopConfirmed(frame: V2FrameOf<'task_cancel_ack'>, from: Reporter): void {
    const [taskId, generation] = [frame.task_id as TaskId, frame.generation as Generation];
    if (isForeign(frame, from)) {
      this.#deps.refusedFrames.add('not_assignee');
      return this.#answer(nackFrame(taskId, generation, 'not_assignee', { refuses: frame.type, current: null }));
    }
    const { outcome, survivors = [] } = frame;
    this.#deps.inbox.post(
      { kind: 'stop_confirmed', from, taskId, generation, outcome, survivors, used: usageOfStopped(frame) },
      () => undefined,
    );
  }

  #sayNotStored(taskId: TaskId, error: unknown): void {
    this.#deps.log.warn('a report could not be stored', { task_id: taskId, error });
  }

  #answer(frame: Frame | null): void {
    if (frame !== null) this.#speaking.send(frame);
  }
}

const NOT_SETTLING = (): void => undefined;

/** Whether an agent's word about a task counted; one that could not be stored is not its fault. */
const showsIt = (outcome: Settled<ReportCommand>): boolean =>
  !outcome.ok || (outcome.answer.kind !== 'refused' && outcome.answer.kind !== 'replaced');

/** The agent of a frame is its session's: one that names another is refused. */
const isForeign = (frame: TaskTalk, from: Reporter): boolean => frame.agent_id !== undefined && frame.agent_id !== from.agentId;
