/** What a sidecar has to say of its assignments and was not yet answered: one report for each, its newest. */
import { assignmentKey, isSameAssignment, type Assignment, type SlotInability } from './slot.ts';
import type { AckStatus } from '../task/task.ts';

export const REPORTS = ['accepted', 'complete', 'failed', 'rejected', 'released'] as const;
export type ReportKind = (typeof REPORTS)[number];

/** Reports kept; beyond that no task is taken. */
export const OUTBOX_MAX = 1_000;

export interface OutboxEntry extends Assignment {
  /** `complete` and `failed` have a body of their own beside the journal. */
  readonly report: ReportKind;
  /** Why it was rejected or released; null for the others. */
  readonly reason: string | null;
  readonly storeId: string | null;
  readonly assignedAtMs: number;
  /** Of `released`: why its agent can do nothing, and what the attempt used. */
  readonly aside?: OutboxAside | undefined;
  /** Its result file, or the streams of its run, say more than the report could: they stay until the assignment is forgotten. */
  readonly keepFiles: boolean;
  /** Something of its run could not be stopped, or nobody knows. */
  readonly mayLive?: boolean | undefined;
}

export interface OutboxAside {
  readonly inability?: SlotInability | undefined;
  readonly tokensUsed: number | null;
  readonly costUsd: number | null;
  readonly sessionId?: string | undefined;
}

/** Whether the report has a body in the outbox folder. */
export const hasBody = (entry: OutboxEntry): boolean => entry.report === 'complete' || entry.report === 'failed';

/** Everything but an accept: after it there is nothing more to say of the assignment. */
export type EndEntry = OutboxEntry & { readonly report: Exclude<ReportKind, 'accepted'> };
export const isEnd = (entry: OutboxEntry): entry is EndEntry => entry.report !== 'accepted';

/** Whether it tells the end of an assignment that was accepted. */
export const isEndOfRun = (entry: OutboxEntry): boolean => hasBody(entry) || entry.report === 'released';

export const findReport = (outbox: readonly OutboxEntry[], name: Assignment): OutboxEntry | undefined =>
  outbox.find((entry) => isSameAssignment(entry, name));

/** With this entry, in place of an earlier one of the same assignment. */
export const withReport = (outbox: readonly OutboxEntry[], entry: OutboxEntry): readonly OutboxEntry[] => [
  ...withoutReport(outbox, entry),
  entry,
];

export const withoutReport = (outbox: readonly OutboxEntry[], name: Assignment): readonly OutboxEntry[] =>
  outbox.filter((entry) => assignmentKey(entry) !== assignmentKey(name));

const ANSWERS: Readonly<Record<ReportKind, readonly AckStatus[]>> = {
  accepted: ['accepted'],
  complete: ['complete', 'late'],
  failed: ['retried', 'dead_letter', 'late'],
  rejected: ['rejected'],
  released: ['released'],
};

/**
 * Whether an acknowledgement with this status answers this report. One that does not speaks of another frame: an accept
 * of an assignment that has ended is answered with that end.
 */
export const isAnsweredBy = (report: ReportKind, status: string): boolean => (ANSWERS[report] as readonly string[]).includes(status);
