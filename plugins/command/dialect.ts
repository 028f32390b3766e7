/**
 * Parses a program whose last JSON line is its result, with the fields of a result file, and whose exit code counts.
 */
import {
  agentFailed,
  amountOf,
  countOf,
  describeEnd,
  shorten,
  textOf,
  type AgentDialect,
  type FailureCause,
  type ProgramEnd,
  type JsonObject,
  type RunOutcome,
} from '../plugin.ts';

/** Failure causes by exit code. */
export type ExitCodes = Readonly<Record<string, FailureCause>>;

interface LastLine {
  readonly last: JsonObject | null;
}

/**
 * `{"status": "success", "output": …}` or an object without a status is a result if the program exits with code 0. An adopted
 * run, whose exit code is unknown, needs the status. `{"status": "failed", "reason": …}` is a failure. A line with
 * `percent` or `message` and no status is also reported as progress.
 */
export const lastLineDialect = (exitCodes: ExitCodes): AgentDialect<LastLine> => ({
  begin: () => ({ last: null }),
  onLine(state, { stream, json }) {
    if (stream === 'stderr' || json === null) return { state };
    const percent = typeof json['percent'] === 'number' ? json['percent'] : undefined;
    const message = textOf(json['message']) ?? undefined;
    const isProgress = json['status'] === undefined && (percent !== undefined || message !== undefined);
    return { state: { last: json }, events: isProgress ? [{ type: 'progress', percent, message }] : [] };
  },
  // The dropped line may have been the last one.
  onDropped: () => ({ last: null }),
  onEnd: ({ last }, end) => (last === null ? withoutResult(withoutLine(end), end, exitCodes) : withLine(last, end, exitCodes)),
});

function withLine(last: JsonObject, end: ProgramEnd, exitCodes: ExitCodes): RunOutcome {
  const { status } = last;
  if (status === 'failed') {
    const kind = causeOf(end, exitCodes) ?? 'agent_failed';
    const message = shorten(textOf(last['reason']) ?? textOf(last['error']) ?? 'it gave no reason');
    return agentFailed({ kind, message, mayHaveSideEffects: true, retryable: last['retryable'] === false ? false : undefined });
  }
  const hasSucceeded = end.exitCode === 0 || (end.exitCode === null && end.signal === null && status === 'success');
  if (!hasSucceeded) return withoutResult(describeEnd(end), end, exitCodes);
  if (status !== undefined && status !== 'success') {
    const message = `the "status" in its last line must be "success" or "failed", or be left out; found ${shorten(JSON.stringify(status))}`;
    return agentFailed({ kind: 'agent_failed', message, mayHaveSideEffects: true });
  }
  const tokensUsed = last['tokens_used'] === undefined ? {} : { tokensUsed: countOf(last['tokens_used']) };
  const costUsd = last['cost_usd'] === undefined ? {} : { costUsd: amountOf(last['cost_usd']) };
  return { type: 'completed', output: status === 'success' ? (last['output'] ?? null) : last, ...tokensUsed, ...costUsd };
}

/** If it has ended as if all were well, says what was expected of it. */
function withoutLine(end: ProgramEnd): string {
  const how = describeEnd(end);
  return end.exitCode === 0 && end.droppedLines === 0 ? `none of the lines that it printed is a JSON object; it ${how}` : how;
}

function withoutResult(message: string, end: ProgramEnd, exitCodes: ExitCodes): RunOutcome {
  const known = causeOf(end, exitCodes);
  // A program that prints nothing may have done anything, so assume side effects.
  return agentFailed({
    kind: known ?? 'no_result',
    message,
    mayHaveSideEffects: true,
    details: { exit_code: end.exitCode },
  });
}

const causeOf = ({ exitCode }: ProgramEnd, exitCodes: ExitCodes): FailureCause | undefined =>
  exitCode === null || exitCode === 0 ? undefined : exitCodes[String(exitCode)];
