/** How the output of one agent program is read: pure functions, so that they can be tried on recordings. */
import type { FailureCause, WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { SaidEvent } from '../output/follow-output.ts';
import type { SaidObject } from '../output/json-lines.ts';
import { emptyAnswer, type AcceptableEnd } from './acceptance.ts';

/** A line of the program's output. */
export interface HeardLine {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  /** The line as a JSON object; null when it is not one, and for every line of standard error: there, words are read. */
  readonly json: SaidObject | null;
  /** Milliseconds since 1970, when it was read. */
  readonly heardAtMs: number;
}

/** Figures of a whole session, by names that the dialect chooses. */
export type SessionTotals = Readonly<Record<string, number>>;

/** A session that the run goes on with. */
export interface Session {
  readonly id: string;
  /** What the session had used before this run, for programs that only tell totals. */
  readonly totals: SessionTotals;
}

/**
 * The session that was to be gone on with is not there any more, and nothing was done. It is no verdict: the run ends
 * without one, so that the sidecar wakes once more in the same attempt, and that begins afresh.
 */
export interface SessionGone {
  readonly type: 'session_gone';
  /** As the program says it, for the log. */
  readonly message: string;
}

export interface Heard<State> {
  readonly state: State;
  readonly events?: readonly (SaidEvent | Verdict | SessionGone)[] | undefined;
  /** What the session has used by now. */
  readonly totals?: SessionTotals | undefined;
  /**
   * Its answer, unless it goes on: the last one settles the attempt when the program ends, or when nothing more is said for a moment
   * (`isAtWork` false) or for its idle time (true: in the background, or in another turn). Left out: as before.
   */
  readonly answer?: { readonly verdict: Verdict; readonly isAtWork: boolean } | undefined;
}

/** How the program ended without having settled the attempt by a line. */
export interface ProgramEnd {
  /** Null when it cannot be known: a run of an earlier sidecar, or one that was killed. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stderrTail: string;
  /** Lines of standard output that were too long and are left out; the result may have been among them. */
  readonly droppedLines: number;
}

/** What settles an attempt. `acceptable`: a result instead, for tasks that take such an end. */
export type Verdict =
  | Extract<WakeEvent, { readonly type: 'completed' }>
  | (Extract<WakeEvent, { readonly type: 'failed' }> & { readonly acceptable?: AcceptableEnd | undefined });

/**
 * The first `completed` or `failed` settles the attempt, whatever is said later and however the program exits; a
 * `session_gone` before them ends the run without a verdict. MUST NOT throw for anything that a program may print.
 */
export interface AgentDialect<State> {
  /** Before the first line. `session` is the one that is gone on with, null for a fresh one. */
  begin(session: Session | null): State;
  hear(state: State, line: HeardLine): Heard<State>;
  /**
   * A line that began as a JSON object was too long, or held too many values, and is left out; it stood here. What it may have said is lost, and text that is not whole is
   * no result. Left out: no success counts after such a line.
   */
  dropped?(state: State): State;
  /** What it says is an object over many lines: any of them that is left out may have been a part of it. */
  readonly spreadsObjects?: true;
  /** It ended, and no line has settled the attempt. */
  ended(state: State, end: ProgramEnd): Verdict | SessionGone;
}

/** Causes that trying again cannot mend: not without a person, or never. */
const NOT_RETRYABLE: ReadonlySet<FailureCause> = new Set(['auth', 'config', 'limit', 'denied']);

export interface AgentFailure {
  readonly kind: FailureCause;
  readonly message: string;
  /** Whether a tool may have run or a file may have changed. */
  readonly hasWorked: boolean;
  /** Default: false for `auth`, `config`, `limit` and `denied`. */
  readonly retryable?: boolean | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** What a task gets that takes such an end as its result; see `shortAnswer`. */
  readonly acceptable?: AcceptableEnd | undefined;
}

/** The event of a failure that the agent told or its runner saw. */
export function agentFailed({ kind, message, hasWorked, retryable, retryAfterMs, details, acceptable }: AgentFailure): Verdict {
  return {
    type: 'failed',
    phase: 'agent',
    kind,
    message,
    retryable: retryable ?? !NOT_RETRYABLE.has(kind),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(hasWorked ? {} : { beforeWork: true }),
    details: { cause: kind, ...details },
    ...(acceptable === undefined ? {} : { acceptable }),
  };
}

export interface WordlessEnd {
  readonly hasWorked: boolean;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** Its complaint about itself, if it had one. */
  readonly message?: string | undefined;
}

/** It says that all went well, and nothing more. Once a tool has run, another attempt would do and cost all of it again. */
export const nothingSaid = ({ hasWorked, details, message = 'it ended without a word' }: WordlessEnd): Verdict =>
  agentFailed({
    kind: 'no_result',
    message,
    hasWorked,
    retryable: !hasWorked,
    details: { reason: 'nothing_said', ...details },
    acceptable: emptyAnswer(details),
  });

/** What it said is not whole; another run would say as much in one line, so that trying again mends nothing. */
export const cutShort = ({ hasWorked, details }: WordlessEnd): Verdict =>
  agentFailed({
    kind: 'limit',
    message:
      'it said more in one line than may be read (maxLineBytes, and 20,000 members of objects), and what was left out may have been its result',
    hasWorked,
    details: { reason: 'line_too_long', ...details },
  });

/** How it ended, in words: `exited with code 3`, with the end of standard error. */
export function endInWords({ exitCode, signal, stderrTail, droppedLines }: ProgramEnd): string {
  const how = signal !== null ? `was ended by ${signal}` : exitCode === null ? 'ended' : `exited with code ${String(exitCode)}`;
  const said = endOfWords(stderrTail);
  const dropped = droppedLines === 0 ? '' : ` (${String(droppedLines)} lines were too long, or held too many values, to be read)`;
  return `${how} without a result${dropped}${said === '' ? '' : `: ${said}`}`;
}

/** What a program says in at most so many characters of an error or a message. */
const WORDS_MAX = 500;
// Colours and cursor movements of a terminal.
const TERMINAL_CODES = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** The last line that says something, without the colours of a terminal. */
export function lastWords(text: string): string {
  const lines = text.replace(TERMINAL_CODES, '').split('\n');
  return shortened(lines.findLast((line) => line.trim() !== '')?.trim() ?? '');
}

/** Of standard error, in a message. */
const END_LINES_MAX = 12;
const END_CHARACTERS_MAX = 800;

/** The last lines that say something, as one: what is wrong may stand some lines above the last. The newest are kept, within bounds. */
export function endOfWords(text: string): string {
  const lines = text
    .replace(TERMINAL_CODES, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /[\p{L}\p{N}]/u.test(line))
    .slice(-END_LINES_MAX);
  let kept = shortened(lines.pop() ?? '');
  for (const line of lines.reverse()) {
    const more = `${shortened(line)} / ${kept}`;
    if (more.length > END_CHARACTERS_MAX) break;
    kept = more;
  }
  return kept;
}

/** The beginning of a text, for a message. */
export const shortened = (text: string): string => (text.length <= WORDS_MAX ? text : `${text.slice(0, WORDS_MAX)} …`);
