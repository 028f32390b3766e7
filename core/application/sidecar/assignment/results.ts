/** What is seen of an agent's files, and what its runner hears as a result. */
import { wellFormedValue } from '../../../domain/encoded-text.ts';
import { isGivenUp, type Slot } from '../../../domain/assignment/slot.ts';
import type { ResultSighting } from '../../../ports/result-inbox.ts';
import { reportedResult, type ReportedResult } from '../report/fit-report.ts';
import { confirmStarted, progress, watchSilence } from './lease.ts';
import { agentFailure, completeReport, failedReport, type EndReport } from '../report/report-frames.ts';
import { asideOf, fail, settle } from './finish-assignment.ts';
import type { Turn } from '../state/step-context.ts';

type Fields = Readonly<Record<string, unknown>>;

export function onSighting(turn: Turn, sighting: ResultSighting): void {
  const slot = turn.slot(sighting.name);
  if (slot === undefined || slot.status === 'reporting') return;
  switch (sighting.kind) {
    case 'started':
      return watchSilence(turn, confirmStarted(turn, slot));
    case 'changed':
      return watchSilence(turn, slot);
    case 'progress': {
      const started = confirmStarted(turn, slot);
      watchSilence(turn, started);
      const { percent, message, tokensUsed } = sighting;
      return progress(turn, started, { percent, message, used: { tokensUsed, costUsd: null } });
    }
    case 'result':
      return onResult(turn, slot, sighting.value, sighting.replaced);
    case 'invalid':
      if (isGivenUp(slot)) return turn.patchLive(slot, { hasUnread: true });
      // What its runner said tells more; the file is kept for who wants to see it.
      return fail(turn, slot, { kind: sighting.reason, error: sighting.message, ...turn.live(slot).failure, keepFiles: true });
  }
}

/**
 * A result of an assignment that the hub has taken away is reported all the same: the hub judges it, and what it refuses
 * is kept. A failure of such an agent, most often the echo of the signal that stopped it, says nothing new.
 */
function onResult(turn: Turn, slot: Slot, result: Fields, isReplaced: boolean): void {
  switch (result['status']) {
    case 'success':
      tellStarted(turn, slot);
      return settle(turn, slot, completed(turn, slot, reportedResult(result, isReplaced), result));
    case 'failed': {
      if (isGivenUp(slot)) return;
      tellStarted(turn, slot);
      return settle(turn, slot, failedReport(slot, agentFailure(result), asideOf(turn, slot, result)));
    }
    default: {
      if (isGivenUp(slot)) return;
      const found = JSON.stringify(result['status'])?.slice(0, 100) ?? 'nothing';
      const error = `the result has no "status" of "success" or "failed": found ${found}`;
      return fail(turn, slot, { kind: 'result_invalid', error, keepFiles: true });
    }
  }
}

/** The runner heard the result of an attached agent. */
export function heardResult(turn: Turn, slot: Slot, output: unknown): void {
  if (slot.status === 'reporting') return;
  const clean = wellFormedValue(output);
  const isReplaced = JSON.stringify(clean) !== JSON.stringify(output);
  tellStarted(turn, slot);
  const report = completed(turn, slot, reportedResult({ output: clean }, isReplaced));
  settle(turn, slot, { ...report, keepStreams: report.keepFiles });
}

/** Whoever has a result has started; the story should not lack it. */
function tellStarted(turn: Turn, slot: Slot): void {
  if (slot.stop === null) confirmStarted(turn, slot);
}

/** `said`: all that the agent wrote. */
function completed(turn: Turn, slot: Slot, result: ReportedResult, said: Fields = {}): EndReport {
  const limits = { frameBytesMax: turn.state.link.policy.max_frame_bytes, sha256: turn.setting.sha256 };
  return completeReport(slot, result, asideOf(turn, slot, said), limits);
}
