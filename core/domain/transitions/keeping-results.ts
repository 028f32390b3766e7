/** Results that do not become the result of their task: late and refused ones. They are stored separately, with an event in the history. */
import { utf8Bytes } from '../encoded-text.ts';
import { hasRoomForRefused, RESULT_INLINE_BYTES_MAX, withLate, withRefusal, withRefused, type KeptResult } from '../task/kept-results.ts';
import type { Generation } from '../ids.ts';
import type { Task } from '../task/task.ts';
import { withAttempt, type Usage } from '../usage.ts';
import { change, withOutcome, withUsage, type Change, type EventDraft, type Reporter } from './change.ts';

type Details = Readonly<Record<string, unknown>> | null;
type Sha256 = (text: string) => string;

/** A result as reported. `result` is JSON text. */
export interface FinishedResult {
  readonly result: string;
  readonly details: Details;
}

/** A result that came after its assignment was reclaimed, while the task is unassigned: an operator may adopt it. Its usage counts. */
export function decideLate(
  task: Task,
  by: Reporter,
  report: FinishedResult & Usage & { readonly generation: Generation },
  nowMs: number,
  sha256: Sha256,
): Change {
  const { generation } = report;
  const usage = withAttempt(task.usage, { generation, agentId: by.agentId }, report);
  const late = keptResult(task, by, { ...report, kind: 'late', reason: 'late' }, nowMs, sha256);
  const { kept, rows } = withLate(task.kept, late);
  const event: EventDraft = {
    event: 'late_result',
    agentId: by.agentId,
    generation,
    session: by.session,
    details: { ...report.details, ...resultDetails(late, true) },
  };
  const outcomes = withOutcome(task, { generation, agentId: by.agentId, report: 'complete', answer: 'late' });
  return { ...change(task, { usage, kept, outcomes }, nowMs, [withUsage(event, usage, generation)]), keptResults: rows };
}

/**
 * A refused result of a version 1 sidecar, which deletes its copy after any answer. The first of each generation is kept, within
 * bounds; the first few of each agent get an event. Further ones are only counted: endless repeats must neither grow the history
 * nor delay the removal of an ended task.
 */
export function decideRefused(
  task: Task,
  by: Reporter,
  report: FinishedResult & { readonly generation: Generation | null; readonly reason: string },
  nowMs: number,
  sha256: Sha256,
): Change {
  const { kept, hasEvent } = withRefusal(task.kept, by.agentId);
  if (!hasEvent) return { kind: 'changed', task: { ...task, kept }, events: [], result: null, stop: null, keptResults: null };
  const refused = keptResult(task, by, { ...report, generation: report.generation ?? task.generation, kind: 'refused' }, nowMs, sha256);
  const isKept = hasRoomForRefused(kept, refused);
  const event: EventDraft = {
    event: 'report_refused',
    agentId: by.agentId,
    generation: report.generation,
    session: by.session,
    details: { ...report.details, reason: report.reason, ...resultDetails(refused, isKept) },
  };
  const changed = change(task, { kept: isKept ? withRefused(kept, refused) : kept }, nowMs, [event]);
  return isKept ? { ...changed, keptResults: { saved: refused, dropped: [] } } : changed;
}

function keptResult(
  task: Task,
  by: Reporter,
  report: FinishedResult & Pick<KeptResult, 'generation' | 'kind' | 'reason'>,
  atMs: number,
  sha256: Sha256,
): KeptResult {
  const details = report.details === null ? null : JSON.stringify(report.details);
  return {
    taskId: task.id,
    generation: report.generation,
    agentId: by.agentId,
    kind: report.kind,
    reason: report.reason,
    bytes: utf8Bytes(report.result) + (details === null ? 0 : utf8Bytes(details)),
    sha256: sha256(report.result),
    atMs,
    result: report.result,
    details,
  };
}

/** The event details of a result. `result_kept` false: another one with its key is kept, or there was no room. */
const resultDetails = ({ result, sha256 }: KeptResult, isKept: boolean): Readonly<Record<string, unknown>> => {
  const bytes = utf8Bytes(result);
  return {
    result_bytes: bytes,
    result_sha256: sha256,
    result_kept: isKept,
    ...(bytes <= RESULT_INLINE_BYTES_MAX ? { result } : {}),
  };
};
