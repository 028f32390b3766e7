/** Finished results that do not become the task's own: late and refused ones. They are kept apart; the history tells of them. */
import { utf8Bytes } from '../encoded-text.ts';
import { hasRoomForRefused, RESULT_INLINE_BYTES_MAX, withLate, withRefusal, withRefused, type KeptResult } from '../task/kept-results.ts';
import type { Generation } from '../ids.ts';
import type { Task } from '../task/task.ts';
import { withAttempt, type Usage } from '../usage.ts';
import { change, withUsage, type Change, type EventDraft, type Speaker } from './change.ts';

type Details = Readonly<Record<string, unknown>> | null;
type Sha256 = (text: string) => string;

/** A finished result, as it was reported. `result` is JSON text. */
export interface Finished {
  readonly result: string;
  readonly details: Details;
}

/** One that came after the assignment was taken back, while nobody has the task: a person may adopt it. What it used is counted. */
export function decideLate(
  task: Task,
  by: Speaker,
  said: Finished & Usage & { readonly generation: Generation },
  nowMs: number,
  sha256: Sha256,
): Change {
  const { generation } = said;
  const usage = withAttempt(task.usage, { generation, agentId: by.agentId }, said);
  const late = keptResult(task, by, { ...said, kind: 'late', reason: 'late' }, nowMs, sha256);
  const { kept, keeping } = withLate(task.kept, late);
  const event: EventDraft = {
    event: 'late_result',
    agentId: by.agentId,
    generation,
    session: by.session,
    details: { ...said.details, ...toldOf(late, true) },
  };
  return { ...change(task, { usage, kept }, nowMs, [withUsage(event, usage, generation)]), keeping };
}

/**
 * One of a version 1 sidecar, which deletes its copy whatever the answer. The first of each generation is kept, within
 * bounds; the first few of each agent have an event. Beyond these it is counted, and nothing else of the task changes: whoever
 * repeats it without end makes no history, and keeps no ended task from being removed.
 */
export function decideRefused(
  task: Task,
  by: Speaker,
  said: Finished & { readonly generation: Generation | null; readonly reason: string },
  nowMs: number,
  sha256: Sha256,
): Change {
  const { kept, isTold } = withRefusal(task.kept, by.agentId);
  if (!isTold) return { kind: 'changed', task: { ...task, kept }, events: [], result: null, stop: null, keeping: null };
  const refused = keptResult(task, by, { ...said, generation: said.generation ?? task.generation, kind: 'refused' }, nowMs, sha256);
  const isKept = hasRoomForRefused(kept, refused);
  const event: EventDraft = {
    event: 'report_refused',
    agentId: by.agentId,
    generation: said.generation,
    session: by.session,
    details: { ...said.details, reason: said.reason, ...toldOf(refused, isKept) },
  };
  const changed = change(task, { kept: isKept ? withRefused(kept, refused) : kept }, nowMs, [event]);
  return isKept ? { ...changed, keeping: { saved: refused, dropped: [] } } : changed;
}

function keptResult(
  task: Task,
  by: Speaker,
  said: Finished & Pick<KeptResult, 'generation' | 'kind' | 'reason'>,
  atMs: number,
  sha256: Sha256,
): KeptResult {
  const details = said.details === null ? null : JSON.stringify(said.details);
  return {
    taskId: task.id,
    generation: said.generation,
    agentId: by.agentId,
    kind: said.kind,
    reason: said.reason,
    bytes: utf8Bytes(said.result) + (details === null ? 0 : utf8Bytes(details)),
    sha256: sha256(said.result),
    atMs,
    result: said.result,
    details,
  };
}

/** What an event says of a result. `result_kept` false: another one of its name is kept, or there was no room. */
const toldOf = ({ result, sha256 }: KeptResult, isKept: boolean): Readonly<Record<string, unknown>> => {
  const bytes = utf8Bytes(result);
  return {
    result_bytes: bytes,
    result_sha256: sha256,
    result_kept: isKept,
    ...(bytes <= RESULT_INLINE_BYTES_MAX ? { result } : {}),
  };
};
