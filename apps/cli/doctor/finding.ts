/** What the doctor is asked for and what it reports: what it examined, what is wrong, and what to do about it. */
import { AgentcomError, messageOf, withoutStop } from '../../../core/errors/agentcom-error.ts';
import { adviceFor, isNotice, type DoctorCheck } from './advice.ts';

export interface Finding {
  readonly check: DoctorCheck;
  /** `notice`: nothing is broken. */
  readonly severity: 'error' | 'notice';
  /** One sentence, without its period. */
  readonly what: string;
  /** What to do: a command, an edit, or a sentence or two about them. */
  readonly hint: string;
  readonly taskId: string | null;
  readonly agentId: string | null;
}

/** What was examined: `what` names it, `seen` says how much of it. */
export interface Examined {
  readonly what: string;
  readonly seen: string;
}

export interface ExamineOptions {
  /** Reads every row of the hub's store. */
  readonly fsck: boolean;
  /** The config file. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onFinding: (finding: Finding) => void;
  /** Reports progress. */
  readonly onProgress: (seen: string) => void;
}

export type FindingMore = Partial<Pick<Finding, 'hint' | 'taskId' | 'agentId'>>;

/** The default hint is that of its check. */
export const finding = (check: DoctorCheck, what: string, more: FindingMore = {}): Finding => ({
  check,
  severity: isNotice(check) ? 'notice' : 'error',
  what,
  hint: more.hint ?? adviceFor(check),
  taskId: more.taskId ?? null,
  agentId: more.agentId ?? null,
});

/** A finding from an error. A coded error says what it found and what to do. */
export function findingOf(check: DoctorCheck, thrown: unknown, more: FindingMore = {}): Finding {
  const { found = messageOf(thrown), hint } = AgentcomError.is(thrown) ? thrown : {};
  return finding(check, withoutStop(found), hint === undefined ? more : { ...more, hint });
}
