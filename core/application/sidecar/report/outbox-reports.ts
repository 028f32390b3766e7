/**
 * The outbox. A report is journalled before it is first sent, sent again after every `identified` and, while unanswered,
 * after growing waits, and forgotten only after the hub's answer, its files first.
 */
import { backoffMs } from '../../../domain/backoff.ts';
import { utf8Bytes } from '../../../domain/encoded-text.ts';
import { hasBody, type EndEntry, type OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { assignmentKey, nameOf, type Assignment } from '../../../domain/assignment/slot.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import { RETRY_AFTER_MS_MAX } from '../state/bounds.ts';
import { keptResult } from './fit-report.ts';
import { asideFields, bodyMissingReport, fitFrame, type EndFrame } from './report-frames.ts';
import { frameName } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

/** Puts a report without a body into the outbox and sends it. */
export function report(turn: Turn, name: Assignment, kind: 'accepted' | 'rejected', about: ReportAbout): void {
  const entry: OutboxEntry = {
    ...nameOf(name),
    report: kind,
    reason: about.reason,
    storeId: about.storeId,
    assignedAtMs: about.assignedAtMs,
    keepFiles: false,
  };
  turn.putReport(entry);
  sendReport(turn, entry);
}

export interface ReportAbout {
  readonly reason: string | null;
  readonly storeId: string | null;
  readonly assignedAtMs: number;
}

/** After `identified`: everything that is unanswered, in the order in which it was said. */
export function sendAllReports(turn: Turn): void {
  turn.state = { ...turn.state, sendings: {} };
  for (const entry of turn.state.journal.outbox) sendReport(turn, entry);
}

/** Sends it, or asks for its body first, and plans the next sending. */
export function sendReport(turn: Turn, entry: OutboxEntry): void {
  if (turn.state.link.phase !== 'identified') return;
  const name = nameOf(entry);
  planRepeat(turn, name);
  if (hasBody(entry)) return turn.outwardly({ type: 'readReport', name });
  if (entry.report === 'accepted') return turn.sendOf(name, { type: 'task_accepted', ...frameName(name) });
  turn.send(bodylessEnd(entry, turn.nowMs));
}

function bodylessEnd(entry: OutboxEntry, nowMs: number): V2Frame {
  const reason = entry.reason ?? '';
  if (entry.report !== 'released') return { type: 'task_rejected', ...frameName(entry), reason };
  const { inability, sessionId, tokensUsed = null, costUsd = null } = entry.aside ?? {};
  const retryAtMs = inability?.retryAtMs ?? null;
  return {
    type: 'task_released',
    ...frameName(entry),
    reason,
    ...(inability === undefined ? {} : { cause: inability.cause }),
    ...(inability?.afterWork === true ? { after_work: true } : {}),
    ...(retryAtMs === null ? {} : { retry_after_ms: Math.min(RETRY_AFTER_MS_MAX, Math.max(1, Math.ceil(retryAtMs - nowMs))) }),
    ...asideFields({ used: { tokensUsed, costUsd }, sessionId }),
  };
}

/** The body of a report that is to be sent again was read. */
export function onReportRead(
  turn: Turn,
  input: { readonly name: Assignment; readonly text: string | null; readonly error: string | null },
): void {
  const entry = turn.report(input.name);
  if (entry === undefined || !hasBody(entry)) return;
  const fields = { task_id: entry.taskId, generation: entry.generation };
  // It is read again when the next sending is due.
  if (input.error !== null) return turn.log('error', 'a report cannot be read', { ...fields, error: input.error });
  const frame = input.text === null ? null : parseEnd(input.text);
  if (frame === null) turn.log('error', 'a report is missing or damaged; its assignment is reported as lost', fields);
  if (frame === null) return turn.send(bodyMissingReport(entry));
  const fit = fitted(turn, frame, input.text ?? '');
  if (fit !== frame) keepWhatIsCut(turn, entry);
  turn.send(fit);
}

/** It was whole when it was made, so nothing of its files was to stay; the hub of today gets less. */
function keepWhatIsCut(turn: Turn, entry: OutboxEntry): void {
  if (entry.keepFiles) return;
  turn.patchReport(entry, { keepFiles: true });
  const slot = turn.slot(entry);
  if (slot === undefined) turn.durably({ type: 'keepResult', name: nameOf(entry), streams: true });
  else turn.putSlot({ ...slot, keepStreams: true });
}

/** The hub of today may take smaller frames than the one for which the report was made. */
function fitted(turn: Turn, frame: EndFrame, text: string): EndFrame {
  const frameBytesMax = turn.state.link.policy.max_frame_bytes;
  if (frame.type !== 'task_complete' || utf8Bytes(text) <= frameBytesMax) return frame;
  return fitFrame(frame, keptResult(frame.result), { frameBytesMax, sha256: turn.setting.sha256 });
}

function parseEnd(text: string): EndFrame | null {
  try {
    return JSON.parse(text) as EndFrame;
  } catch {
    return null; // Not what was written: the disk's fault, and said as such by the caller.
  }
}

/** Sends an end whose body is at hand. */
export function sendEnd(turn: Turn, name: Assignment, frame: EndFrame): void {
  if (turn.state.link.phase !== 'identified') return;
  planRepeat(turn, nameOf(name));
  turn.send(frame);
}

function planRepeat(turn: Turn, name: Assignment): void {
  const key = assignmentKey(name);
  const sendings = turn.state.sendings[key] ?? 0;
  turn.state = { ...turn.state, sendings: { ...turn.state.sendings, [key]: sendings + 1 } };
  turn.startTimerOf(name, 'repeat', backoffMs(turn.setting.timing.reportRepeat, sendings + 1));
}

export function onRepeatTimer(turn: Turn, name: Assignment): void {
  const entry = turn.report(name);
  if (entry !== undefined) sendReport(turn, entry);
}

/**
 * The hub has answered: the report's files go, then the report, and the assignment is remembered. `refusal`: the hub
 * would not have it, so its body is put where the operator sees it.
 */
export function closeReport(turn: Turn, entry: EndEntry, refusal: string | null): void {
  const name = nameOf(entry);
  if (hasBody(entry)) turn.durably(refusal === null ? { type: 'removeReport', name } : { type: 'refuseReport', name, reason: refusal });
  const slot = turn.slot(name);
  if (slot === undefined && !entry.keepFiles && entry.report !== 'rejected') turn.durably({ type: 'removeFiles', name });
  turn.dropReport(name);
  turn.remember({ ...name, fate: refusal === null ? entry.report : 'refused', filesKept: entry.keepFiles, mayLive: entry.mayLive });
  turn.patchLink({ talkedOf: turn.state.link.talkedOf.filter((key) => key !== assignmentKey(name)) });
  if (refusal !== null)
    turn.log('warn', 'the hub refused a report', {
      task_id: name.taskId,
      generation: name.generation,
      report: entry.report,
      reason: refusal,
    });
}
