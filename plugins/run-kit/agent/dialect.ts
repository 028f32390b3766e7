/** How the output of an agent program is parsed: pure functions, so that they can be tested with recordings. */
import type { FailureCause, WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { ParsedEvent } from '../output/follow-output.ts';
import type { JsonObject } from '../output/json-lines.ts';
import { emptyAnswer, type AcceptableEnd } from './acceptance.ts';

/** A line of the program's output. */
export interface OutputLine {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  /** The line as a JSON object; null if it is not one, and for standard error, where only text is parsed. */
  readonly json: JsonObject | null;
  /** Milliseconds since 1970, when it was read. */
  readonly readAtMs: number;
}

/** Totals of a whole session, by names that the dialect chooses. */
export type SessionTotals = Readonly<Record<string, number>>;

/** A session to resume. */
export interface Session {
  readonly id: string;
  /** What the session had used before this run, for programs that report only totals. */
  readonly totals: SessionTotals;
}

/**
 * The session to resume no longer exists and nothing was done. Not an outcome: the run ends without one, and the
 * sidecar wakes the agent again in the same attempt, with a fresh session.
 */
export interface SessionGone {
  readonly type: 'session_gone';
  /** The program's message, for the log. */
  readonly message: string;
}

/** What one line of output means. */
export interface LineResult<State> {
  readonly state: State;
  readonly events?: readonly (ParsedEvent | RunOutcome | SessionGone)[] | undefined;
  /** What the session has used so far. */
  readonly totals?: SessionTotals | undefined;
  /**
   * The answer so far, which a later one may replace: the last one settles the attempt when the program ends, or when it
   * prints nothing more for a moment (`isAtWork` false) or for its idle time (true: it works in the background or in
   * another turn). If the run is stopped before, only a success settles it. Omitted: unchanged.
   */
  readonly answer?: { readonly outcome: RunOutcome; readonly isAtWork: boolean } | undefined;
}

/** How the program ended. Passed to `onEnd` if no line has settled the attempt. */
export interface ProgramEnd {
  /** Null if unknown: an adopted run, or one that was killed. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stderrTail: string;
  /** Lines of standard output that were dropped because of their length; the result may have been among them. */
  readonly droppedLines: number;
}

/** Settles an attempt. `acceptable`: the result for tasks that accept such an ending. */
export type RunOutcome =
  | Extract<WakeEvent, { readonly type: 'completed' }>
  | (Extract<WakeEvent, { readonly type: 'failed' }> & { readonly acceptable?: AcceptableEnd | undefined });

/**
 * Parses the output of one program. The first `completed` or `failed` settles the attempt, whatever is printed later
 * and however the program exits; a `session_gone` before it ends the run without an outcome. MUST NOT throw, whatever a
 * program prints.
 */
export interface AgentDialect<State> {
  /** The initial state. `session` is the one being resumed, null for a fresh one. */
  begin(session: Session | null): State;
  onLine(state: State, line: OutputLine): LineResult<State>;
  /**
   * Called in place of a line that started like a JSON object and was dropped because it was too long or held too many
   * values. Its content is lost, and incomplete text is no result. Without this method, no success counts after such a
   * line.
   */
  onDropped?(state: State): State;
  /** The program prints objects that span several lines, so any dropped line may have been part of one. */
  readonly multilineObjects?: true;
  /** The program ended, and no line has settled the attempt. */
  onEnd(state: State, end: ProgramEnd): RunOutcome | SessionGone;
}

/** Causes that a retry cannot fix, or only after an operator has done something. */
const NOT_RETRYABLE: ReadonlySet<FailureCause> = new Set(['auth', 'config', 'limit', 'denied']);

/** A failure that the program itself reported. */
export interface AgentFailure {
  readonly kind: FailureCause;
  readonly message: string;
  /** Whether a tool may have run or a file may have changed. If not, the event has `beforeWork: true`. */
  readonly mayHaveSideEffects: boolean;
  /** Default: false for `auth`, `config`, `limit` and `denied`. */
  readonly retryable?: boolean | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** The result for a task that accepts such an ending; see `incompleteAnswer`. */
  readonly acceptable?: AcceptableEnd | undefined;
}

/** The event for a failure that the agent reported or its runner detected. */
export function agentFailed({ kind, message, mayHaveSideEffects, retryable, retryAfterMs, details, acceptable }: AgentFailure): RunOutcome {
  return {
    type: 'failed',
    phase: 'agent',
    kind,
    message,
    retryable: retryable ?? !NOT_RETRYABLE.has(kind),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(mayHaveSideEffects ? {} : { beforeWork: true }),
    details: { cause: kind, ...details },
    ...(acceptable === undefined ? {} : { acceptable }),
  };
}

/** What is known about a run that ended without an outcome. */
export interface SilentEnd {
  readonly mayHaveSideEffects: boolean;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** The program's own error message, if it had one. */
  readonly message?: string | undefined;
}

/**
 * The program reported success without an answer. If a tool has run, a retry would repeat all of the work and its cost.
 */
export const noAnswer = ({ mayHaveSideEffects, details, message = 'it ended without an answer' }: SilentEnd): RunOutcome =>
  agentFailed({
    kind: 'no_result',
    message,
    mayHaveSideEffects,
    retryable: !mayHaveSideEffects,
    details: { reason: 'nothing_said', ...details },
    acceptable: emptyAnswer(details),
  });

/** A line over the limits was dropped, perhaps the result. Not retryable: the next attempt would print as long a line. */
export const droppedLineFailure = ({ mayHaveSideEffects, details }: SilentEnd): RunOutcome =>
  agentFailed({
    kind: 'limit',
    message: 'it printed a line over the limits (maxLineBytes, 20,000 object members), and the dropped line may have been its result',
    mayHaveSideEffects,
    details: { reason: 'line_too_long', ...details },
  });

/** How the program ended, for people: `exited with code 3`, with the last lines of standard error. */
export function describeEnd({ exitCode, signal, stderrTail, droppedLines }: ProgramEnd): string {
  const how = signal !== null ? `was ended by ${signal}` : exitCode === null ? 'ended' : `exited with code ${String(exitCode)}`;
  const output = lastLines(stderrTail);
  const dropped = droppedLines === 0 ? '' : ` (${String(droppedLines)} lines were dropped, being too long or holding too many values)`;
  return `${how} without a result${dropped}${output === '' ? '' : `: ${output}`}`;
}

/** Maximum length of program output quoted in a message, characters. */
const QUOTE_CHARACTERS_MAX = 500;
// Terminal colors and cursor movements.
const TERMINAL_CODES = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** The last non-blank line, without terminal codes. */
export function lastLine(text: string): string {
  const lines = text.replace(TERMINAL_CODES, '').split('\n');
  return shorten(lines.findLast((line) => line.trim() !== '')?.trim() ?? '');
}

/** Bounds on quoted standard error. */
const END_LINES_MAX = 12;
const END_CHARACTERS_MAX = 800;

/**
 * The last lines with text, joined into one, since the actual error may be some lines above the last. Keeps the newest
 * that fit.
 */
export function lastLines(text: string): string {
  const lines = text
    .replace(TERMINAL_CODES, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /[\p{L}\p{N}]/u.test(line))
    .slice(-END_LINES_MAX);
  let kept = shorten(lines.pop() ?? '');
  for (const line of lines.reverse()) {
    const more = `${shorten(line)} / ${kept}`;
    if (more.length > END_CHARACTERS_MAX) break;
    kept = more;
  }
  return kept;
}

/** The beginning of a text, for a message. */
export const shorten = (text: string): string => (text.length <= QUOTE_CHARACTERS_MAX ? text : `${text.slice(0, QUOTE_CHARACTERS_MAX)} …`);
