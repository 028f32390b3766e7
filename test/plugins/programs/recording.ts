/** Output of agent programs that were driven by a machine, as fixtures; and how a dialect reads it. */
import { readdirSync, readFileSync } from 'node:fs';
import type {
  AgentDialect,
  ProgramEnd,
  RunUsage,
  ParsedEvent,
  Session,
  SessionGone,
  SessionTotals,
  RunOutcome,
} from '../../../plugins/plugin.ts';
import { objectIn } from '../../../plugins/run-kit/output/json-lines.ts';

export interface Recording {
  /** What was tried. */
  readonly about: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** In order. */
  readonly lines: readonly { readonly stream: 'stdout' | 'stderr'; readonly text: string }[];
}

/** `recorded('claude', '429-once')`. */
export function recorded(program: string, name: string): Recording {
  const path = new URL(`./fixtures/${program}/${name}.jsonl`, import.meta.url);
  const [head = '', ...rest] = readFileSync(path, 'utf8').trimEnd().split('\n');
  const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  return {
    ...(JSON.parse(head) as Pick<Recording, 'about' | 'exitCode' | 'signal'>),
    lines: rest.map((line) => {
      const entry = JSON.parse(line) as { readonly stdout?: unknown; readonly stderr?: unknown };
      return entry.stderr === undefined
        ? { stream: 'stdout', text: textOf(entry.stdout) }
        : { stream: 'stderr', text: textOf(entry.stderr) };
    }),
  };
}

/** Every line of every recording of a program, as in the fixture. */
export function everyLine(program: string): readonly string[] {
  const folder = new URL(`./fixtures/${program}/`, import.meta.url);
  return readdirSync(folder).flatMap((name) => readFileSync(new URL(name, folder), 'utf8').trimEnd().split('\n').slice(1));
}

export interface Reading {
  /** Everything reported before the outcome. */
  readonly events: readonly ParsedEvent[];
  readonly outcome: RunOutcome | SessionGone;
  /** The outcome, or the answer that became it, came from a line and not from the end of the program. */
  readonly isSettledByLine: boolean;
  /** Of the session, as last reported; null if nothing was. */
  readonly totals: SessionTotals | null;
  /** Its last message. */
  readonly usage: RunUsage;
}

export const READ_AT_MS = Date.UTC(2026, 10, 20);

/** Reads a recording like a run. */
export function read<State>(
  dialect: AgentDialect<State>,
  recording: Recording,
  { session = null, end = {} }: { readonly session?: Session | null; readonly end?: Partial<ProgramEnd> } = {},
): Reading {
  let state = dialect.begin(session);
  let totals: SessionTotals | null = null;
  let answer: RunOutcome | null = null;
  const events: ParsedEvent[] = [];
  const reading = (outcome: Reading['outcome'], isSettledByLine: boolean): Reading => ({
    events,
    outcome,
    isSettledByLine,
    totals,
    usage: usageIn(outcome.type === 'session_gone' ? events : [...events, outcome]),
  });
  for (const { stream, text } of recording.lines) {
    const lineResult = dialect.onLine(state, { stream, text, json: stream === 'stdout' ? objectIn(text) : null, readAtMs: READ_AT_MS });
    state = lineResult.state;
    totals = lineResult.totals ?? totals;
    answer = lineResult.answer?.outcome ?? answer;
    for (const event of lineResult.events ?? []) {
      if (event.type === 'completed' || event.type === 'failed' || event.type === 'session_gone') return reading(event, true);
      events.push(event);
    }
  }
  if (answer !== null) return reading(answer, true);
  const stderrTail = recording.lines.flatMap(({ stream, text }) => (stream === 'stderr' ? [text] : [])).join('\n');
  return reading(
    dialect.onEnd(state, { exitCode: recording.exitCode, signal: recording.signal, stderrTail, droppedLines: 0, ...end }),
    false,
  );
}

function usageIn(events: readonly ParsedEvent[]): RunUsage {
  const last = events.findLast((event) => (event.type === 'usage' || event.type === 'completed') && event.tokensUsed !== undefined);
  return last?.type === 'usage' || last?.type === 'completed'
    ? { tokensUsed: last.tokensUsed, costUsd: last.costUsd, byModel: last.byModel }
    : {};
}

/** A recording with custom lines. */
export const saying = (
  lines: readonly (string | object)[],
  end: { readonly exitCode?: number | null; readonly signal?: string | null } = {},
): Recording => ({
  about: 'made up',
  exitCode: 0,
  signal: null,
  ...end,
  lines: lines.map((line) => ({ stream: 'stdout', text: typeof line === 'string' ? line : JSON.stringify(line) })),
});
