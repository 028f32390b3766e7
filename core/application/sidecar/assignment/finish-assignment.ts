/** The end of an assignment enters the outbox, and its slot is left once its run is gone. */
import { nameOf, type Slot } from '../../../domain/assignment/slot.ts';
import type { OutboxAside, OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { NO_USAGE, sumOf, usageFields, type Usage } from '../../../domain/usage.ts';
import type { LogFields } from '../../../ports/log.ts';
import type { CancelOutcome } from '../../../protocol/sidecar-frames.ts';
import { LINGER_MS } from '../state/bounds.ts';
import type { Failure } from '../state/failure.ts';
import { loggedWords, withLastWords } from '../run/last-words.ts';
import { failedReport, type Aside, type EndReport } from '../report/report-frames.ts';
import { sendEnd, sendReport } from '../report/outbox-reports.ts';
import { frameName } from '../state/state.ts';
import { UNSETTLED_TIMERS } from '../state/timer-names.ts';
import type { Turn } from '../state/step-context.ts';
import { attemptUsage, withResult } from '../run/run-usage.ts';

/** Survivors that one confirmation names. */
export const SURVIVORS_MAX = 1_000;

/**
 * The first word about the end of an assignment, its one report: written, journalled, sent. Implies its acceptance.
 * If its run still lives, it has a moment to end by itself.
 */
export function settle(turn: Turn, slot: Slot, end: EndReport): void {
  const kind = end.frame.type === 'task_complete' ? 'complete' : 'failed';
  turn.durably({ type: 'writeReport', name: nameOf(slot), text: JSON.stringify(end.frame) });
  enterOutbox(turn, slot, { report: kind, reason: null, keepFiles: end.keepFiles });
  logEnd(turn, slot, kind, reasonOf(end.frame));
  sendEnd(turn, slot, end.frame);
  windDown(turn, end.keepStreams === true ? { ...slot, keepStreams: true } : slot);
}

/** Settles an assignment that no agent finished. One whose run is not over may still write a result, which is kept then. */
export function fail(turn: Turn, slot: Slot, failure: Failure): void {
  const mayWrite = slot.run !== null && turn.live(slot).end === null;
  const report = failedReport(slot, withLastWords(failure, turn.live(slot)), asideOf(turn, slot));
  settle(turn, slot, { ...report, keepFiles: report.keepFiles || mayWrite });
}

/** What goes with its end; `result` is what its agent wrote. */
export const asideOf = (turn: Turn, slot: Slot, result: Readonly<Record<string, unknown>> = {}): Aside => ({
  used: sumOf(slot.spent ?? NO_USAGE, withResult(turn.live(slot).used, result)),
  sessionId: slot.sessionId,
});

/** Hands an assignment back that no agent works on. */
export function release(turn: Turn, slot: Slot, reason: string): void {
  sendReport(turn, enterOutbox(turn, slot, { report: 'released', reason, keepFiles: false, aside: asideOfRelease(turn, slot) }));
  logEnd(turn, slot, 'released', { reason });
  windDown(turn, slot);
}

/** Of what it used by model the hub was told while it worked: the journal keeps the sums. */
function asideOfRelease(turn: Turn, slot: Slot): OutboxAside {
  const { tokensUsed, costUsd } = attemptUsage(turn, slot);
  return {
    tokensUsed,
    costUsd,
    ...(slot.stop?.inability === undefined ? {} : { inability: slot.stop.inability }),
    ...(slot.sessionId === undefined ? {} : { sessionId: slot.sessionId }),
  };
}

function enterOutbox(turn: Turn, slot: Slot, end: Pick<OutboxEntry, 'report' | 'reason' | 'keepFiles' | 'aside'>): OutboxEntry {
  const mayLive = turn.live(slot).mayLive ? { mayLive: true } : {};
  const entry: OutboxEntry = { ...nameOf(slot), ...end, ...mayLive, storeId: slot.storeId, assignedAtMs: slot.assignedAtMs };
  turn.putReport(entry);
  return entry;
}

function logEnd(turn: Turn, slot: Slot, report: OutboxEntry['report'], why: LogFields): void {
  turn.log('info', 'the assignment ended', { task_id: slot.taskId, generation: slot.generation, report, ...why });
}

/** Why it failed: who looks into the log has nothing else. */
const reasonOf = (frame: EndReport['frame']): LogFields =>
  frame.type === 'task_failed' ? { kind: frame.kind, error: frame.error, ...loggedWords(frame.details) } : {};

function windDown(turn: Turn, slot: Slot): void {
  turn.cancelTimersOf(slot, UNSETTLED_TIMERS);
  // An agent that polls could still take it; after the report nobody may.
  if (turn.setting.runner === null) turn.durably({ type: 'withdraw', name: nameOf(slot) });
  const settled: Slot = { ...slot, status: 'reporting' };
  turn.putSlot(settled);
  if (settled.run === null || turn.live(slot).end !== null) wrapUp(turn, settled);
  else if (settled.stop === null) turn.startTimerOf(slot, 'linger', LINGER_MS);
}

/** Its end is in the outbox and its run is gone: the slot is free. */
export function wrapUp(turn: Turn, slot: Slot): void {
  const survivors = turn.live(slot).end?.survivors ?? [];
  const used = attemptUsage(turn, slot);
  const entry = turn.report(slot);
  const ended = turn.ended(slot);
  const isAnswered = entry === undefined;
  const filesKept = (entry?.keepFiles ?? ended?.filesKept) === true;
  if (survivors.length > 0) {
    if (entry !== undefined) turn.patchReport(slot, { mayLive: true });
    else if (ended !== undefined) turn.remember({ ...ended, mayLive: true });
  }
  turn.cancelTimersOf(slot, ['linger']);
  if (slot.expectedSinceMs !== null) turn.durably({ type: 'forget', name: nameOf(slot) });
  if (filesKept) turn.durably({ type: 'keepResult', name: nameOf(slot), streams: slot.keepStreams === true });
  else if (isAnswered) turn.durably({ type: 'removeFiles', name: nameOf(slot) });
  turn.dropSlot(slot);
  confirmCancel(turn, slot, { outcome: 'already_reported', survivors, used });
}

/** Answers the hub's `task_cancelled`, if that is why it was stopped. */
export function confirmCancel(
  turn: Turn,
  slot: Slot,
  { outcome, survivors, used }: { readonly outcome: CancelOutcome; readonly survivors: readonly number[]; readonly used: Usage },
): void {
  if (slot.stop?.cause !== 'cancelled') return;
  turn.send({
    type: 'task_cancel_ack',
    ...frameName(slot),
    outcome,
    ...usageFields(used),
    ...(survivors.length > 0 ? { survivors: survivors.slice(0, SURVIVORS_MAX) } : {}),
  });
}
