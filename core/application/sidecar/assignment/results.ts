/** Handles file events of an assignment and results parsed by its runner. */
import { wellFormedValue } from '../../../domain/encoded-text.ts';
import { isRevoked, type Slot } from '../../../domain/assignment/slot.ts';
import type { ResultFileEvent } from '../../../ports/result-inbox.ts';
import { reportedResult, type ReportedResult } from '../report/fit-report.ts';
import { confirmStarted, progress, resetSilenceTimer } from './lease.ts';
import { agentFailure, completeReport, failedReport, type EndReport } from '../report/report-frames.ts';
import { attemptInfo, reportFailure, reportEnd } from './finish-assignment.ts';
import type { StepContext } from '../state/step-context.ts';

type Fields = Readonly<Record<string, unknown>>;

export function onFileEvent(step: StepContext, event: ResultFileEvent): void {
  const slot = step.slot(event.assignment);
  if (slot === undefined || slot.status === 'reporting') return;
  switch (event.kind) {
    case 'started':
      return resetSilenceTimer(step, confirmStarted(step, slot));
    case 'changed':
      return resetSilenceTimer(step, slot);
    case 'progress': {
      const started = confirmStarted(step, slot);
      resetSilenceTimer(step, started);
      const { percent, message, tokensUsed } = event;
      return progress(step, started, { percent, message, used: { tokensUsed, costUsd: null } });
    }
    case 'result':
      return onResult(step, slot, event.value, event.replaced);
    case 'invalid':
      if (isRevoked(slot)) return step.patchLive(slot, { hasUnreadableResult: true });
      // The runner's error says more; the file is kept for inspection.
      return reportFailure(step, slot, { kind: event.reason, error: event.message, ...step.liveSlot(slot).failure, keepFiles: true });
  }
}

/**
 * A result is reported even if the assignment was revoked: the hub decides, and a refused report is kept. A failure
 * after a revocation is usually caused by our stop signal and not worth reporting.
 */
function onResult(step: StepContext, slot: Slot, result: Fields, isReplaced: boolean): void {
  switch (result['status']) {
    case 'success':
      ensureStarted(step, slot);
      return reportEnd(step, slot, completed(step, slot, reportedResult(result, isReplaced), result));
    case 'failed': {
      if (isRevoked(slot)) return;
      ensureStarted(step, slot);
      return reportEnd(step, slot, failedReport(slot, agentFailure(result), attemptInfo(step, slot, result)));
    }
    default: {
      if (isRevoked(slot)) return;
      const found = JSON.stringify(result['status'])?.slice(0, 100) ?? 'nothing';
      const error = `the "status" of the result must be "success" or "failed", found ${found}`;
      return reportFailure(step, slot, { kind: 'result_invalid', error, keepFiles: true });
    }
  }
}

/** The runner parsed the result of an attached agent. */
export function onRunnerResult(step: StepContext, slot: Slot, output: unknown): void {
  if (slot.status === 'reporting') return;
  const text = JSON.stringify(output);
  // In JSON text, a character that cannot be sent is escaped.
  const clean = text.includes('\\u') ? wellFormedValue(output) : output;
  const isReplaced = clean !== output && JSON.stringify(clean) !== text;
  ensureStarted(step, slot);
  const report = completed(step, slot, reportedResult({ output: clean }, isReplaced));
  reportEnd(step, slot, report.keepFiles ? { ...report, keepStreams: true } : report);
}

/** A result implies a start, which the task's history should show. */
function ensureStarted(step: StepContext, slot: Slot): void {
  if (slot.stop === null) confirmStarted(step, slot);
}

/** `written`: all fields that the agent wrote. */
function completed(step: StepContext, slot: Slot, result: ReportedResult, written: Fields = {}): EndReport {
  const limits = { frameBytesMax: step.state.link.policy.max_frame_bytes, sha256: step.settings.sha256 };
  return completeReport(slot, result, attemptInfo(step, slot, written), limits);
}
