/**
 * Judges a run by what was reported and what was done, as Jepsen does: what submitters were answered, what agents recorded
 * about their runs, what the event stream delivered, and what the store and the sidecars' folders contain at the end. The
 * rule names are those of docs/promises.md: J1, J2, J4, J6, J7 and the promises behind them.
 */
import { isAgentEvent, type StoredEvent } from '../../../core/domain/task/event.ts';
import { checkInvariants } from '../../../core/domain/invariants/invariants.ts';
import type { LedgerLine } from './chaos-ledger.ts';
import { runOf, uptimeSeconds } from './chaos-ledger.ts';
import type { Stored, StoredTask } from './stored.ts';

export interface Violation {
  /** The invariant or promise that does not hold. */
  readonly rule: string;
  readonly what: string;
  readonly task: string | null;
}

/** A period in which an agent's machine was dead or cut off, in seconds since this host booted. */
export interface Absence {
  readonly agent: string;
  readonly from: number;
  readonly to: number;
  readonly why: 'killed' | 'cut off';
}

export interface Evidence {
  /** The text of each task whose submit was answered. */
  readonly answered: ReadonlyMap<string, string>;
  readonly ledger: readonly LedgerLine[];
  /** Event ids, as a reader of the stream received them. */
  readonly streamed: readonly number[];
  readonly stored: Stored;
  /** `<task_id>.g<generation>` of each result that a sidecar keeps because the hub refused it. */
  readonly refused: ReadonlySet<string>;
  /** Reports that no hub has answered, as `<agent>/<file>`. */
  readonly unanswered: readonly string[];
  /** Runs that were killed by the test, as `pid.began`. */
  readonly killed: ReadonlySet<string>;
  readonly absences: readonly Absence[];
  readonly reconnectGraceMs: number;
  /** How a task must have ended, given its text. */
  readonly wanted: (description: string) => 'completed' | 'cancelled' | 'dead_letter' | 'any';
}

export interface Verdict {
  readonly answered: number;
  /** Tasks whose submit was answered, but that are missing, have another text, or have not ended as they must. */
  readonly lost: number;
  /** Tasks that exist twice, or whose end was recorded twice. */
  readonly recordedTwice: number;
  /** Runs that began while another run of their task was alive, except those that J4 allows. */
  readonly overlapping: number;
  /** Runs of a later generation while one is alive whose machine was away for longer than the grace period: J4 allows these. */
  readonly besideCutOff: number;
  readonly runs: number;
  readonly finishedRuns: number;
  readonly late: number;
  readonly refused: number;
  /** Attempts that ended without a result. Each needs a cause: a killed agent, a killed sidecar, or an absence beyond the grace period. */
  readonly attemptsLost: number;
  readonly violations: readonly Violation[];
}

/** How long the hub may take to notice the end of an absence, seconds. */
const SLACK_SECONDS = 8;

export function judge(evidence: Evidence): Verdict {
  const violations: Violation[] = [];
  const violate = (rule: string, what: string, task: string | null = null): void => void violations.push({ rule, what, task });
  const lost = judgeAnswered(evidence, violate);
  const recordedTwice = judgeRecords(evidence, violate);
  const { overlapping, besideCutOff } = judgeRuns(evidence, violate);
  const { late, finishedRuns } = judgeResults(evidence, violate);
  const attemptsLost = judgeLosses(evidence, violate);
  judgeStream(evidence, violate);
  const { stored } = evidence;
  for (const { invariant, what, taskId, agentId } of invariantsOf(stored)) violate(invariant, `${agentId ?? ''} ${what}`.trim(), taskId);
  if (stored.integrity !== 'ok') violate('store', `the database says: ${stored.integrity}`);
  for (const stop of stored.stops) violate('R11', `a stop of ${stop.agentId} g${stop.generation} was never confirmed`, stop.taskId);
  for (const report of evidence.unanswered) violate('R5', `the report ${report} was never answered`);
  return {
    answered: evidence.answered.size,
    lost,
    recordedTwice,
    overlapping,
    besideCutOff,
    runs: evidence.ledger.filter((line) => line.what === 'start').length,
    finishedRuns,
    late,
    refused: evidence.refused.size,
    attemptsLost,
    violations,
  };
}

/** Checks I1 to I16 over the whole store. Its hub is stopped, so what only a healthy hub must have done by now is not checked. */
export function invariantsOf(stored: Stored): ReturnType<typeof checkInvariants> {
  const nowMs = Date.now();
  const tasks = [...stored.tasks.values()].map(({ task }) => task);
  return checkInvariants({ ...stored, tasks, sweepMs: 1, healthySinceMs: nowMs }, stored.events, nowMs);
}

type Violate = (rule: string, what: string, task?: string | null) => void;

/** J1: submits answered ⊆ tasks; and each has ended as it must. */
function judgeAnswered({ answered, stored, wanted }: Evidence, violate: Violate): number {
  let lost = 0;
  for (const [taskId, description] of answered) {
    const found = stored.tasks.get(taskId);
    const want = wanted(description);
    const fault =
      found === undefined
        ? 'was answered but is missing'
        : found.description !== description
          ? `has the text "${found.description}", was submitted as "${description}"`
          : want !== 'any' && found.task.status !== want
            ? `is ${found.task.status} (${found.task.lastError ?? 'no error'}), not ${want}: ${namesOf(found)}`
            : null;
    if (fault === null) continue;
    lost += 1;
    violate('J1', fault, taskId);
  }
  return lost;
}

/** J1: one task per submit; I2, I5, I14: its history is complete and ends once. */
function judgeRecords({ stored }: Evidence, violate: Violate): number {
  let twice = 0;
  const seen = new Map<string, string>();
  for (const [taskId, record] of stored.tasks) {
    const other = seen.get(record.description);
    seen.set(record.description, taskId);
    if (other !== undefined) {
      twice += 1;
      violate('J1', `"${record.description}" is there twice, also as ${other}`, taskId);
    }
    const ends = record.events.filter(({ event }) => event === 'completed' || event === 'cancelled');
    if (ends.length > 1) {
      twice += 1;
      violate('I5', `has ${ends.length} ends: ${namesOf(record)}`, taskId);
    }
    const seqs = record.events.map(({ seq }) => seq);
    if (seqs.some((seq, index) => seq !== index + 1) || seqs.length !== record.task.eventSeq) {
      violate('I14', `its events are numbered ${seqs.join()}, its newest is ${record.task.eventSeq}`, taskId);
    }
    const given = record.events.filter(({ event }) => event === 'assigned').map(({ generation }) => generation ?? 0);
    if (given.some((generation, index) => generation <= (given[index - 1] ?? 0))) violate('I2', `was assigned as ${given.join()}`, taskId);
  }
  return twice;
}

/** J4: runs of one generation never overlap; runs of two overlap only while the machine of the first is cut off or dead. */
function judgeRuns({ ledger, absences, reconnectGraceMs }: Evidence, violate: Violate): { overlapping: number; besideCutOff: number } {
  let overlapping = 0;
  let besideCutOff = 0;
  const starts = ledger.filter((line) => line.what === 'start');
  const byTask = groupBy(starts, (line) => line.task);
  for (const start of starts) {
    for (const pid of start.beside) {
      const first = byTask.get(start.task)?.findLast((line) => line.pid === pid);
      const isAway =
        first !== undefined &&
        first.generation < start.generation &&
        absences.some(
          ({ agent, from, to }) =>
            agent === first.agent && from + reconnectGraceMs / 1_000 <= start.at + 1 && to + SLACK_SECONDS >= start.at,
        );
      if (isAway) {
        besideCutOff += 1;
        continue;
      }
      overlapping += 1;
      violate(
        'J4',
        `g${start.generation} on ${start.agent} began beside g${first?.generation ?? '?'} on ${first?.agent ?? '?'}`,
        start.task,
      );
    }
  }
  return { overlapping, besideCutOff };
}

/** J2: finished results ⊆ recorded ∪ late ∪ refused, each in exactly one of them, under the assignment whose run made it. */
function judgeResults({ ledger, stored, refused }: Evidence, violate: Violate): { late: number; finishedRuns: number } {
  const started = new Set(ledger.filter((line) => line.what === 'start').map((line) => `${line.task}.g${line.generation} ${runOf(line)}`));
  const kept = new Map<string, string[]>();
  const keep = (assignment: string, where: string): void => void kept.set(assignment, [...(kept.get(assignment) ?? []), where]);
  let late = 0;
  for (const [taskId, record] of stored.tasks) {
    for (const event of record.events) {
      if (event.event === 'late_result') {
        late += 1;
        keep(`${taskId}.g${event.generation}`, 'late');
      }
      if (event.event !== 'completed') continue;
      keep(`${taskId}.g${event.generation}`, 'recorded');
      const made = madeBy(record);
      if (made === null || made.generation !== event.generation || !started.has(`${taskId}.g${made.generation} ${runOf(made)}`)) {
        violate('J2', `completed as g${event.generation} with a result that no run of it made: ${record.result ?? 'none'}`, taskId);
      }
    }
  }
  for (const assignment of refused) keep(assignment, 'refused');
  let finishedRuns = 0;
  for (const { what, task, generation } of ledger) {
    if (what !== 'end') continue;
    finishedRuns += 1;
    const where = kept.get(`${task}.g${generation}`) ?? [];
    const record = stored.tasks.get(task);
    const failed = record?.events.filter((event) => event.generation === generation && isAsTold(record.description, event)) ?? [];
    if (where.length + failed.length !== 1)
      violate('J2', `the result of g${generation} is ${where.length === 0 ? 'nowhere' : `in ${where.join(' and ')}`}`, task);
  }
  return { late, finishedRuns };
}

/** J7, R15, R10: an attempt is lost only if its agent or its sidecar was killed, or by an absence longer than the grace period. */
function judgeLosses({ ledger, stored, absences, killed, reconnectGraceMs }: Evidence, violate: Violate): number {
  const runs = groupBy(
    ledger.filter((line) => line.what === 'start'),
    (line) => `${line.task}.g${line.generation}`,
  );
  const bootMs = Date.now() - uptimeSeconds() * 1_000;
  let attemptsLost = 0;
  for (const [taskId, { events, description }] of stored.tasks) {
    for (const event of events) {
      const { generation } = event;
      if (!['lost', 'reclaimed', 'failed', 'rejected', 'released'].includes(event.event) || isAsTold(description, event)) continue;
      attemptsLost += 1;
      const assigned = events.find((one) => one.event === 'assigned' && one.generation === generation);
      const [from, to] = [((assigned?.atMs ?? 0) - bootMs) / 1_000, (event.atMs - bootMs) / 1_000];
      const wasKilled = runs.get(`${taskId}.g${generation}`)?.some((run) => killed.has(runOf(run))) === true;
      const away = absences.filter(
        (absence) => absence.agent === event.agentId && absence.from <= to && absence.to + SLACK_SECONDS >= from,
      );
      // Its sidecar reconnected twice as a new process without it: a kill explains that, however short the absence was.
      const isRestarted = event.details?.['reason'] === 'sidecar_restarted';
      const isTakenBack = (event.event === 'reclaimed' && !isRestarted) || event.details?.['reason'] === 'disconnected';
      const isExplained = isTakenBack
        ? away.some((absence) => Math.min(to, absence.to) - absence.from >= reconnectGraceMs / 1_000 - 1)
        : wasKilled || away.some(({ why }) => why === 'killed');
      if (isExplained) continue;
      violate(
        'J7',
        `g${generation} on ${event.agentId} ended as ${event.event} ${JSON.stringify(event.details)} although nothing had happened to it`,
        taskId,
      );
    }
  }
  return attemptsLost;
}

const isAsTold = (description: string, event: StoredEvent): boolean => event.event === 'failed' && / fail /.test(description);

/** J6: the stream that was read equals the store's events, each once and in order. Agents disconnect when the run ends, after the last read. */
function judgeStream({ streamed, stored }: Evidence, violate: Violate): void {
  const lastId = streamed.at(-1) ?? 0;
  const wanted = stored.events.filter((event) => !isAgentEvent(event) || event.id <= lastId).map(({ id }) => id);
  if (streamed.length === wanted.length && wanted.every((id, index) => id === streamed[index])) return;
  const missing = wanted.filter((id) => !new Set(streamed).has(id));
  violate('J6', `the stream delivered ${streamed.length} events of ${wanted.length}; missing ${missing.slice(0, 10).join()}`);
}

interface MadeBy {
  readonly pid: number;
  readonly began: string;
  readonly generation: number;
}

/** The run that a stored result claims to be from. */
function madeBy({ result }: StoredTask): MadeBy | null {
  const value = JSON.parse(result ?? 'null') as { readonly output?: Partial<MadeBy> } | null;
  const { pid, began, generation } = value?.output ?? {};
  return pid === undefined || began === undefined || generation === undefined ? null : { pid, began, generation };
}

const namesOf = ({ events }: StoredTask): string =>
  events.map(({ event, generation }) => `${event}${generation === null ? '' : `.g${generation}`}`).join(' ');

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
