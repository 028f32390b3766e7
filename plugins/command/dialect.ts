/** Reads a program whose last line of JSON is its result, in the words of a result file, and whose exit code counts. */
import {
  agentFailed,
  amountOf,
  countOf,
  endInWords,
  shortened,
  textOf,
  type AgentDialect,
  type FailureCause,
  type ProgramEnd,
  type SaidObject,
  type Verdict,
} from '../plugin.ts';

/** What exit codes mean, by their number. */
export type ExitCodes = Readonly<Record<string, FailureCause>>;

interface LastLine {
  readonly last: SaidObject | null;
}

/**
 * `{"status": "success", "output": …}` or any other object is a result if the program ends with code 0 (a run of an earlier
 * sidecar, whose code nobody is told, needs the status); `{"status": "failed", "reason": …}` is none. A line with `percent`
 * or `message` and no status is also told as progress.
 */
export const lastLineDialect = (exitCodes: ExitCodes): AgentDialect<LastLine> => ({
  begin: () => ({ last: null }),
  hear(state, { stream, json }) {
    if (stream === 'stderr' || json === null) return { state };
    const percent = typeof json['percent'] === 'number' ? json['percent'] : undefined;
    const message = textOf(json['message']) ?? undefined;
    const isProgress = json['status'] === undefined && (percent !== undefined || message !== undefined);
    return { state: { last: json }, events: isProgress ? [{ type: 'progress', percent, message }] : [] };
  },
  // It may have been the last one.
  dropped: () => ({ last: null }),
  ended: ({ last }, end) => (last === null ? withoutResult(end, exitCodes) : withLine(last, end, exitCodes)),
});

function withLine(last: SaidObject, end: ProgramEnd, exitCodes: ExitCodes): Verdict {
  const { status } = last;
  if (status === 'failed') {
    const kind = causeOf(end, exitCodes) ?? 'agent_failed';
    const message = shortened(textOf(last['reason']) ?? textOf(last['error']) ?? 'it gave no reason');
    return agentFailed({ kind, message, hasWorked: true, retryable: last['retryable'] === false ? false : undefined });
  }
  const isKnownToEndWell = end.exitCode === 0 || (end.exitCode === null && end.signal === null && status === 'success');
  if (!isKnownToEndWell) return withoutResult(end, exitCodes);
  const tokensUsed = last['tokens_used'] === undefined ? {} : { tokensUsed: countOf(last['tokens_used']) };
  const costUsd = last['cost_usd'] === undefined ? {} : { costUsd: amountOf(last['cost_usd']) };
  return { type: 'completed', output: status === 'success' ? (last['output'] ?? null) : last, ...tokensUsed, ...costUsd };
}

function withoutResult(end: ProgramEnd, exitCodes: ExitCodes): Verdict {
  const known = causeOf(end, exitCodes);
  // Whether it had begun to work is not known of a program that says nothing.
  return agentFailed({ kind: known ?? 'no_result', message: endInWords(end), hasWorked: true, details: { exit_code: end.exitCode } });
}

const causeOf = ({ exitCode }: ProgramEnd, exitCodes: ExitCodes): FailureCause | undefined =>
  exitCode === null || exitCode === 0 ? undefined : exitCodes[String(exitCode)];
