/** The sidecar's unanswered reports: per assignment only the newest. */
import type { AssignmentId, SlotInability } from './slot.ts';
import type { AckStatus } from '../task/task.ts';

export const OUTBOX_REPORTS = ['accepted', 'complete', 'failed', 'rejected', 'released'] as const;
export type OutboxReportKind = (typeof OUTBOX_REPORTS)[number];

/** Maximum number of reports; above it no task is accepted. */
export const OUTBOX_MAX = 1_000;

export interface OutboxEntry extends AssignmentId {
  /** `complete` and `failed` have a body, stored next to the journal. */
  readonly report: OutboxReportKind;
  /** Why it was rejected or released; null otherwise. */
  readonly reason: string | null;
  readonly storeId: string | null;
  readonly assignedAtMs: number;
  /** For `released`: why the agent cannot work, and what the attempt used. */
  readonly aside?: ReleaseDetails | undefined;
  /** Its result file or streams hold more than the report; they are kept until the assignment is forgotten. */
  readonly keepFiles: boolean;
  /** Part of its run may still be alive: it could not be stopped, or it is not known whether it was. */
  readonly mayLive?: boolean | undefined;
}

export interface ReleaseDetails {
  readonly inability?: SlotInability | undefined;
  readonly tokensUsed: number | null;
  readonly costUsd: number | null;
  readonly sessionId?: string | undefined;
}

/** Whether the report has a body in the outbox folder. */
export const hasBody = (entry: OutboxEntry): boolean => entry.report === 'complete' || entry.report === 'failed';

/** Everything but `accepted`: no report follows it. */
export type EndEntry = OutboxEntry & { readonly report: Exclude<OutboxReportKind, 'accepted'> };
export const isEnd = (entry: OutboxEntry): entry is EndEntry => entry.report !== 'accepted';

/** Whether it reports the end of an accepted assignment. */
export const isEndOfRun = (entry: OutboxEntry): boolean => hasBody(entry) || entry.report === 'released';

const ANSWERS: Readonly<Record<OutboxReportKind, readonly AckStatus[]>> = {
  accepted: ['accepted'],
  complete: ['complete', 'late'],
  failed: ['retried', 'dead_letter', 'late'],
  rejected: ['rejected'],
  released: ['released'],
};

/**
 * Whether an acknowledgement with this status answers this report. Otherwise it answers another frame: a repeated
 * accept of an ended assignment, for example, is acknowledged with its end.
 */
export const isAnsweredBy = (report: OutboxReportKind, status: string): boolean => (ANSWERS[report] as readonly string[]).includes(status);
