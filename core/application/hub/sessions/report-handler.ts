/**
 * The task frames of one session: assignments and stops go out; each frame that arrives becomes a command, and its answer is sent in
 * commit order.
 */
import { isGeneration, isTaskId, type Generation, type TaskId } from '../../../domain/ids.ts';
import type { SidecarFrame, V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import { refusalLog, type NoteRefusal } from '../../refusal-log.ts';
import type { Task, TaskBody } from '../../../domain/task/task.ts';
import type { Outgoing, ReportAnswer, ReportCommand, Reporter, Settled } from '../batch/commands.ts';
import { isWindowFull, Unanswered } from '../batch/send-window.ts';
import { answerFrame, assignmentText, cancelledFrame, nackFrame, type Frame, type ProtocolVersion } from './frames-out.ts';
import { ProgressGate } from './limits/progress-gate.ts';
import { reportFromFrame, usageOfStopped, type ReportFrame } from './report-from-frame.ts';
import type { SessionDeps } from './session-deps.ts';

type RecoveryFrame = Extract<SidecarFrame, { type: 'task_recovering' | 'state_report' }>;
export type TaskFrame = ReportFrame | RecoveryFrame | V2FrameOf<'task_cancel_ack'>;

const TASK_FRAMES: Readonly<Record<TaskFrame['type'], true>> = {
  task_accepted: true,
  task_rejected: true,
  task_released: true,
  task_complete: true,
  task_failed: true,
  task_progress: true,
  task_recovering: true,
  state_report: true,
  task_cancel_ack: true,
  wake_result: true,
};
export const isTaskFrame = (frame: SidecarFrame): frame is TaskFrame => Object.hasOwn(TASK_FRAMES, frame.type);

/** Statuses of a crashed version 1 task whose agent had been woken. */
const WOKEN = ['waking_confirmation', 'working'];

/** How many of the tasks that a settling version 1 agent mentions are recorded: it has one, and repeats frames about a few others. */
const MENTIONED_MAX = 64;

interface Settling {
  readonly mentioned: Set<TaskId>;
  /** Frames that wait for their commit. */
  unanswered: number;
  /** The session, once `SETTLE_MS` have passed. */
  from: Reporter | null;
}

export interface FrameSender {
  readonly version: ProtocolVersion;
  send(frame: Frame): void;
  /** Sends a frame that is already JSON text. */
  sendText(text: string): void;
}

export class ReportHandler {
  readonly #deps: SessionDeps;
  readonly #sender: FrameSender;
  readonly #gate: ProgressGate;
  readonly #noteRefusal: NoteRefusal;
  /** The tasks that a version 1 agent reports after identify; null at any other time, and in version 2. */
  #settling: Settling | null = null;
  #renewedMonotonicMs = -Infinity;
  readonly #unanswered = new Unanswered();

  constructor(deps: SessionDeps, sender: FrameSender) {
    this.#deps = deps;
    this.#sender = sender;
    this.#gate = new ProgressGate(deps.clock);
    this.#noteRefusal = refusalLog(deps);
  }

  get unansweredBytes(): number {
    return this.#unanswered.bytes;
  }

  assign(task: Task, body: TaskBody): void {
    const text = assignmentText(this.#sender.version, task, body, this.#deps.context.rules.runMaxMs);
    this.#unanswered.add(task.id, text);
    this.#sender.sendText(text);
  }

  cancel(stop: Extract<Outgoing, { kind: 'stop' }>): void {
    const { clock, context } = this.#deps;
    // Version 1 never confirms it.
    if (this.#sender.version === 1) this.#answered(stop.taskId);
    this.#sender.send(cancelledFrame(this.#sender.version, stop, clock.nowMs(), context.timing.killGraceMs));
  }

  #answered(taskId: TaskId): void {
    const { limits } = this.#deps.context;
    const wasFull = isWindowFull(this.#unanswered.bytes, limits);
    this.#unanswered.delete(taskId);
    if (wasFull && !isWindowFull(this.#unanswered.bytes, limits)) this.#deps.windowOpened();
  }

  /** `characters`: the length of the frame's text. */
  on(frame: TaskFrame, from: Reporter, characters: number): void {
    if (this.#unanswered.bytes > 0) this.#answered(frame.task_id);
    if (frame.type === 'task_recovering' || frame.type === 'state_report') return this.#onRecovery(frame, from);
    if (frame.type === 'task_cancel_ack') return this.#onStopConfirmed(frame, from);
    const { taskId, generation, body } = reportFromFrame(frame, this.#sender.version);
    const own: ReportCommand = { kind: 'report', from, taskId, generation, body, characters };
    const command = isForeign(frame, from) ? { ...own, rejectReason: 'not_assignee' as const } : own;
    if (body.report === 'progress') return this.#gate.offer(taskId, () => this.#post(command));
    if (body.report !== 'accepted' && body.report !== 'woken') this.#gate.flush(taskId);
    this.#post(command);
  }

  /** Version 1 renews its leases by pings; three times in each lease is enough. */
  onPing(from: Reporter): void {
    const { clock, context, inbox } = this.#deps;
    const now = clock.monotonicMs();
    if (this.#sender.version !== 1 || now - this.#renewedMonotonicMs < context.timing.leaseMs / 3) return;
    this.#renewedMonotonicMs = now;
    inbox.post({ kind: 'presence', from, change: { what: 'ping' } }, () => undefined);
  }

  /** A version 1 agent has identified: from now on it should report the tasks that it holds. */
  startSettling(): void {
    this.#settling = { mentioned: new Set(), unanswered: 0, from: null };
  }

  /** Its time has passed. Takes effect once the frames that it sent before are committed. */
  endSettling(from: Reporter): void {
    if (this.#settling === null) return;
    this.#settling.from = from;
    this.#settleIfAnswered();
  }

  #settleIfAnswered(): void {
    const settling = this.#settling;
    if (settling === null || settling.from === null || settling.unanswered > 0) return;
    this.#settling = null;
    const change = { what: 'settled', mentioned: [...settling.mentioned] } as const;
    this.#deps.inbox.post({ kind: 'presence', from: settling.from, change }, () => undefined);
  }

  /** A frame about a task is being posted. Returns a function to call with whether it shows that the agent has the task. */
  #mention(taskId: TaskId): (hasIt: boolean) => void {
    const settling = this.#settling;
    if (settling === null) return NOT_SETTLING;
    settling.unanswered += 1;
    return (hasIt) => {
      settling.unanswered -= 1;
      if (hasIt && settling.mentioned.size < MENTIONED_MAX) settling.mentioned.add(taskId);
      if (this.#settling === settling) this.#settleIfAnswered();
    };
  }

  /**
   * An invalid frame: version 1 deletes its copy of a result after any answer, so as much of a result as can be read is
   * stored before `answer` is called.
   */
  onInvalid(object: Readonly<Record<string, unknown>>, from: Reporter, answer: () => void): void {
    const { type, task_id: taskId, generation, result } = object;
    if (this.#sender.version !== 1 || type !== 'task_complete' || !isTaskId(taskId) || result === undefined) return answer();
    const body = { report: 'complete', result: JSON.stringify(result), tokensUsed: null, costUsd: null, details: null } as const;
    const named = { taskId, generation: isGeneration(generation) ? generation : null };
    this.#deps.inbox.post({ kind: 'report', from, ...named, body, rejectReason: 'validation_failed' }, (outcome) => {
      if (outcome.ok) answer();
      else this.#logNotStored(taskId, outcome.error);
    });
  }

  /** The session has ended: waiting progress is dropped. */
  stop(): void {
    this.#gate.stop();
    this.#settling = null;
  }

  #post(command: ReportCommand): void {
    const mentioned = this.#mention(command.taskId);
    this.#deps.inbox.post(command, (outcome) => {
      this.#onReported(command, outcome);
      mentioned(isTaken(outcome));
    });
  }

  #onReported(command: ReportCommand, outcome: Settled<ReportCommand>): void {
    const { taskId, generation, body } = command;
    // A hub that cannot commit does not answer a report: the sidecar keeps it and resends it.
    if (!outcome.ok) return this.#logNotStored(taskId, outcome.error);
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
    this.#answer(answerFrame(this.#sender.version, { kind: body.report, taskId, generation }, answer));
  }

  #onRecovery(frame: RecoveryFrame, from: Reporter): void {
    const taskId = frame.task_id;
    const generation = frame.generation ?? null;
    const isCrash = frame.type === 'task_recovering';
    const answer = (own: Generation | null): void => {
      if (!isCrash) this.#sender.send({ type: 'state_report_ack', task_id: taskId, action: own === null ? 'abort' : 'continue' });
      else if (own === null) this.#sender.send({ type: 'task_reassign', task_id: taskId });
      else this.#sender.send({ type: 'task_continue', task_id: taskId, generation: own });
    };
    if (isForeign(frame, from)) {
      this.#deps.refusedFrames.add('not_assignee');
      return answer(null);
    }
    const wasWoken = isCrash && WOKEN.includes(frame.last_status ?? '');
    const after = isCrash ? 'crash' : 'reconnect';
    const mentioned = this.#mention(taskId);
    this.#deps.inbox.post({ kind: 'recover', from, taskId, generation, after, wasWoken }, (outcome) => {
      mentioned(!outcome.ok || outcome.answer.kind === 'continue');
      if (!outcome.ok) return this.#logNotStored(taskId, outcome.error);
      if (outcome.answer.kind === 'replaced') return this.#deps.refusedFrames.add('replaced_session');
      if (outcome.answer.kind !== 'continue') return answer(null);
      answer(outcome.answer.generation);
    });
  }

  #onStopConfirmed(frame: V2FrameOf<'task_cancel_ack'>, from: Reporter): void {
    const [taskId, generation] = [frame.task_id, frame.generation];
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

  #logNotStored(taskId: TaskId, error: unknown): void {
    this.#deps.log.warn('a report could not be stored', { task_id: taskId, error });
  }

  #answer(frame: Frame | null): void {
    if (frame !== null) this.#sender.send(frame);
  }
}

const NOT_SETTLING = (): void => undefined;

/** Whether a report was accepted; one that could not be stored counts as accepted, since that is not the agent's fault. */
const isTaken = (outcome: Settled<ReportCommand>): boolean =>
  !outcome.ok || (outcome.answer.kind !== 'refused' && outcome.answer.kind !== 'replaced');

/** Whether the frame names an agent other than that of its session; if so, it is refused. */
const isForeign = (frame: TaskFrame, from: Reporter): boolean => frame.agent_id !== undefined && frame.agent_id !== from.agentId;
