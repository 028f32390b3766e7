/** Listens to the output of one agent run: settles the run, runs its timers, and decides when to end it. */
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import { afterSilence } from '../../../core/ports/timing/after-silence.ts';
import type { Acceptable } from '../../../core/domain/task/task.ts';
import type { RunUsage, WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { ParsedEvent } from '../output/follow-output.ts';
import { objectIn, type JsonObject } from '../output/json-lines.ts';
import type { RunListener } from '../started-program.ts';
import type { Emit } from '../events/wake-events.ts';
import {
  agentFailed,
  droppedLineFailure,
  type AgentDialect,
  type LineResult,
  type OutputLine,
  type Session,
  type SessionGone,
  type SessionTotals,
  type RunOutcome,
} from './dialect.ts';

/** The silence of a program is measured this exactly, milliseconds. */
const WATCH_EACH_MS = 1;

/** How long the program of a run may be silent, milliseconds. */
export interface AgentTimes {
  /**
   * From the start of the process to its first output; undefined for a program that prints nothing before it has an
   * answer.
   */
  readonly startWithinMs: number | undefined;
  /** Between two lines of the program; undefined: no limit. */
  readonly idleMs: number | undefined;
  /** From the result until what is left of the run is stopped. */
  readonly resultGraceMs: number;
}

/** What the listener of one run needs. */
export interface OutputListenerOptions<State> {
  readonly dialect: AgentDialect<State>;
  readonly session: Session | null;
  /** Endings that count as results for this task. */
  readonly accepts: ReadonlySet<Acceptable>;
  readonly times: AgentTimes;
  /** Whether standard error counts as a sign of life, for programs that print nothing while they work. */
  readonly stderrIsLife: boolean;
  readonly lineBytesMax?: number | undefined;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Completes the message of a failure: adds the program, the machine and how to fix it. */
  readonly explain: (outcome: RunOutcome) => RunOutcome;
  /** Called when the session gets an id and when its usage grows; resolves when that is stored. */
  readonly onSession: (sessionId: string, totals: SessionTotals) => Promise<void>;
  /** Called with the run's outcome; not for a run that was stopped before it had a result. */
  readonly onSettled: (outcome: RunOutcome) => Promise<void>;
  /** Called if the session cannot be resumed; resolves when that is stored. */
  readonly onSessionGone: (gone: SessionGone) => Promise<void>;
}

/** Turns what the program of one run prints into events. */
export interface OutputListener extends RunListener {
  /** For a program that exchanges messages: handles a message object like a line of standard output. */
  onMessage(message: JsonObject): Promise<readonly ParsedEvent[]>;
}

/** Emits what the dialect makes of each line; the first outcome counts, later ones are dropped. */
export function outputListener<State>(options: OutputListenerOptions<State>): OutputListener {
  const { dialect, times, clock, emit, explain } = options;
  const ending = new AbortController();
  let state = dialect.begin(options.session);
  let sessionId: string | null = null;
  let droppedLines = 0;
  let isIncomplete = false;
  let hasPrinted = false;
  let hasPrintedError = false;
  let isSettled = false;
  let isSessionGone = false;
  let pendingEnd: Promise<void> = Promise.resolve();
  let answer: NonNullable<LineResult<State>['answer']> | null = null;
  let deadline: Timer | null = null;
  /** What `deadline` waits for, and since when. */
  let watched: { readonly what: string; readonly allowedMs: number | undefined; readonly fromMs: number } | null = null;
  let used: RunUsage = {};

  const endIn = (delayMs: number): void => {
    deadline?.cancel();
    deadline = clock.after(delayMs, () => {
      ending.abort();
    });
  };
  /** Incomplete text is not a result; and if the program succeeded without a result, the result was in a dropped line. */
  const rejectIncomplete = (found: RunOutcome, endedWell: boolean): RunOutcome => {
    const isLost = found.type === 'completed' ? isIncomplete : endedWell && found.kind === 'no_result' && droppedLines > 0;
    return isLost ? droppedLineFailure({ mayHaveSideEffects: found.type === 'completed' || found.beforeWork !== true }) : found;
  };
  /** A failure that the task accepts as its result becomes one. */
  const applyAcceptance = (found: RunOutcome): RunOutcome => {
    if (found.type === 'completed') return found;
    const { acceptable, ...failure } = found;
    const isAccepted = acceptable !== undefined && !isIncomplete && acceptable.needs.every((end) => options.accepts.has(end));
    return isAccepted ? { type: 'completed', output: acceptable.output, ...used } : failure;
  };
  const outcomeOf = (found: RunOutcome, endedWell: boolean): RunOutcome => applyAcceptance(rejectIncomplete(found, endedWell));
  const settle = async (found: RunOutcome, endedWell = false): Promise<RunOutcome> => {
    const outcome = outcomeOf(found, endedWell);
    isSettled = true;
    deadline?.cancel();
    await options.onSettled(outcome);
    return explain(outcome);
  };
  const endWithoutOutcome = async (gone: SessionGone): Promise<void> => {
    if (isSettled) return;
    isSettled = true;
    isSessionGone = true;
    await options.onSessionGone(gone);
    endIn(times.resultGraceMs);
  };
  const endWith = async (outcome: RunOutcome): Promise<void> => {
    await emit(await settle(outcome));
    ending.abort();
  };
  const giveUp = async (message: string): Promise<void> => {
    await endWith(agentFailed({ kind: 'unresponsive', message, mayHaveSideEffects: hasPrinted }));
  };
  const watch = (withinMs: number | undefined, what: string): void => {
    if (isSettled) return;
    const allowedMs = answer?.isAtWork === false ? times.resultGraceMs : withinMs;
    const fromMs = clock.monotonicMs();
    // A timer for each line of a flood would take half of the time that the flood takes.
    if (watched?.what === what && watched.allowedMs === allowedMs && fromMs - watched.fromMs < WATCH_EACH_MS) return;
    watched = { what, allowedMs, fromMs };
    const onSilent = (): void => {
      pendingEnd = answer === null ? giveUp(`${what} within ${String(withinMs)} ms, and was stopped`) : endWith(answer.outcome);
    };
    deadline?.cancel();
    deadline = allowedMs === undefined ? null : afterSilence(clock, allowedMs, onSilent);
  };
  const processEvent = async (event: ParsedEvent | RunOutcome): Promise<WakeEvent | null> => {
    if (event.type === 'usage') {
      const { type: _usage, ...figures } = event;
      used = figures;
    }
    if (event.type === 'started' && event.sessionId !== undefined && sessionId !== event.sessionId) {
      sessionId = event.sessionId;
      await options.onSession(sessionId, options.session?.id === sessionId ? options.session.totals : {});
    }
    if (event.type !== 'completed' && event.type !== 'failed') return event;
    if (isSettled) return null;
    const outcome = await settle(event);
    // The sidecar's own limit is enforced at once; a program that has finished may exit by itself.
    endIn(outcome.type === 'failed' && outcome.kind === 'limit' ? 0 : times.resultGraceMs);
    return outcome;
  };
  /** The lost line may have been a later answer. */
  const loseLine = (): void => {
    if (isSettled) return;
    answer = null;
    isIncomplete ||= dialect.onDropped === undefined;
    state = dialect.onDropped?.(state) ?? state;
  };
  const handleLine = async (line: Omit<OutputLine, 'readAtMs'>): Promise<readonly ParsedEvent[]> => {
    const result = dialect.onLine(state, { ...line, readAtMs: clock.nowMs() });
    state = result.state;
    answer = result.answer ?? answer;
    hasPrinted ||= line.stream === 'stdout';
    const isLife = line.stream === 'stdout' || options.stderrIsLife || (result.events ?? []).length > 0;
    // Anything may write to standard error, even next to a program that hangs, so of standard error only the first line
    // counts, as a sign that the program is starting.
    if (isLife || !(hasPrinted || hasPrintedError)) watch(times.idleMs, 'printed nothing');
    hasPrintedError = true;
    const events: ParsedEvent[] = [];
    for (const event of result.events ?? []) {
      const processed = event.type === 'session_gone' ? await endWithoutOutcome(event) : await processEvent(event);
      if (processed !== null && processed !== undefined) events.push(processed as ParsedEvent);
    }
    if (result.totals !== undefined && sessionId !== null) await options.onSession(sessionId, result.totals);
    return events;
  };
  // Anything may write JSON to standard error, such as the log of an MCP server, so it is parsed as text only.
  const onLine = (stream: 'stdout' | 'stderr') => (text: string) =>
    handleLine({ stream, text, json: stream === 'stdout' ? objectIn(text) : null });

  return {
    onLine: onLine('stdout'),
    onErrorLine: onLine('stderr'),
    onMessage: (message) => handleLine({ stream: 'stdout', text: '', json: message }),
    lineBytesMax: options.lineBytesMax,
    onDropped({ isObject }) {
      droppedLines += 1;
      hasPrinted = true;
      if (isObject || dialect.multilineObjects === true) loseLine();
      watch(times.idleMs, 'printed nothing');
    },
    onRewritten: loseLine,
    endSignal: ending.signal,
    onStarted() {
      watch(times.startWithinMs ?? times.idleMs, 'did not start');
    },
    async onEnd({ exitCode, signal, stderrTail }, isWhole) {
      await pendingEnd;
      if (isSettled || !isWhole) return undefined;
      if (answer !== null) return settle(answer.outcome);
      const outcome = dialect.onEnd(state, { exitCode, signal, stderrTail, droppedLines });
      if (outcome.type === 'session_gone') {
        await endWithoutOutcome(outcome);
        return undefined;
      }
      // Nobody saw how it ended, so the missing result says more about the machine than about the agent.
      const isLost = exitCode === null && signal === null && outcome.type === 'failed' && outcome.kind === 'no_result';
      return isLost ? undefined : settle(outcome, exitCode === 0);
    },
    async onStopped(isWhole) {
      await pendingEnd;
      if (isSettled || !isWhole || answer === null) return undefined;
      // The stop has a reason of its own, so a failure would add nothing, and the session stays resumable.
      return outcomeOf(answer.outcome, false).type === 'completed' ? settle(answer.outcome) : undefined;
    },
    isSessionGone: () => isSessionGone,
    close() {
      isSettled = true;
      deadline?.cancel();
    },
  };
}
