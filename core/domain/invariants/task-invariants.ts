/** Invariants of each task and its history. */
import { dueAtMs } from '../transitions/due.ts';
import type { EventName } from '../task/event.ts';
import { isLive, type Task } from '../task/task.ts';
import { foldHistory, EMPTY_HISTORY, type FoldedHistory } from './history-fold.ts';
import { history, ofTask, type View, type Violation } from './view.ts';

/** I1: the row agrees with its folded history. */
function agreesWithHistory(task: Task, view: View): readonly Violation[] {
  const folded = history(task, view).reduce<FoldedHistory>(foldHistory, EMPTY_HISTORY);
  const fields = ['status', 'generation', 'assignedTo', 'retryCount'] as const;
  return fields
    .filter((field) => task[field] !== folded[field])
    .map((field) => ofTask('I1', task, `its ${field} is ${String(task[field])}, but its history has ${String(folded[field])}`));
}

/** Events that belong to the current assignment or state; others may belong to a past one. */
const OF_CURRENT_STATE: readonly EventName[] = [
  'assigned',
  'accepted',
  'woken',
  'wake_failed',
  'progress',
  'failed',
  'rejected',
  'released',
  'reclaimed',
  'lost',
  'cancelled',
];

/** I2: generations never fall, those of assignments rise. */
function generationsGrow(task: Task, view: View): readonly Violation[] {
  const found: Violation[] = [];
  let highest = -1;
  for (const { event, generation, seq } of history(task, view)) {
    if (generation === null || !OF_CURRENT_STATE.includes(event)) continue;
    if (generation < highest) found.push(ofTask('I2', task, `event ${seq} ${event} has generation ${generation}, after ${highest}`));
    if (event === 'assigned' && generation === highest) found.push(ofTask('I2', task, `generation ${generation} was assigned twice`));
    highest = Math.max(highest, generation);
  }
  return found;
}

/** I14, for one task: its events are numbered without a gap, and the row has the last number. */
function historyIsNumbered(task: Task, view: View): readonly Violation[] {
  const events = history(task, view);
  const gap = events.findIndex((event, place) => event.seq !== place + 1);
  const found = gap === -1 ? [] : [ofTask('I14', task, `its event ${gap + 1} has number ${events[gap]?.seq}`)];
  const last = events.at(-1)?.seq ?? 0;
  return task.eventSeq === last ? found : [...found, ofTask('I14', task, `it counts ${task.eventSeq} events, but has ${last}`)];
}

/** I3: live tasks, and only these, have a deadline, and their agent exists. */
function liveHasDeadline(task: Task, { agents }: View): readonly Violation[] {
  const found: Violation[] = [];
  if (isLive(task) !== (task.deadlineAtMs !== null)) found.push(ofTask('I3', task, `${task.status} with deadline ${task.deadlineAtMs}`));
  if ((task.runDeadlineAtMs !== null) !== (isLive(task) && task.acceptedAtMs !== null))
    found.push(ofTask('I3', task, `${task.status} with run deadline ${task.runDeadlineAtMs}`));
  if (isLive(task) && (task.assignedTo === null || !agents.has(task.assignedTo)))
    found.push(ofTask('I3', task, `it is live, but agent ${task.assignedTo} is unknown`));
  return found;
}

/** I5: a round ends once, and nothing follows a final end. */
function endsOnce(task: Task, view: View): readonly Violation[] {
  const found: Violation[] = [];
  let folded = EMPTY_HISTORY;
  for (const event of history(task, view)) {
    const isFinal = folded.status === 'completed' || folded.status === 'cancelled';
    const next = foldHistory(folded, event);
    if (isFinal && next.status !== folded.status)
      found.push(ofTask('I5', task, `event ${event.seq} ${event.event} after it was ${folded.status}`));
    if (next.ends > 1 && next.ends > folded.ends)
      found.push(ofTask('I5', task, `event ${event.seq} ${event.event} ends a round that had ended`));
    folded = next;
  }
  return found;
}

/** Events in which a frame changes the assignment of its sender. */
const BY_FRAME: readonly EventName[] = ['accepted', 'woken', 'wake_failed', 'progress', 'completed', 'failed', 'rejected', 'released'];

/** I6, for one task: a frame changes only the current assignment of its sender. */
function changedByAssignee(task: Task, view: View): readonly Violation[] {
  const found: Violation[] = [];
  let folded = EMPTY_HISTORY;
  for (const event of history(task, view)) {
    const isByFrame = event.session !== null && BY_FRAME.includes(event.event);
    const isItsOwn = folded.status === 'assigned' && folded.assignedTo === event.agentId && folded.generation === event.generation;
    if (isByFrame && !isItsOwn) {
      const found6 = `event ${event.seq} ${event.event} by ${event.agentId} of generation ${event.generation}, while ${folded.status} to ${folded.assignedTo} in ${folded.generation}`;
      found.push(ofTask('I6', task, found6));
    }
    folded = foldHistory(folded, event);
  }
  return found;
}

/** I7: attempts of a round are bounded. */
function attemptsAreBounded(task: Task, view: View): readonly Violation[] {
  const found: Violation[] = [];
  let folded = EMPTY_HISTORY;
  for (const event of history(task, view)) {
    folded = foldHistory(folded, event);
    if (event.event === 'accepted' && folded.attempts > task.maxRetries + 1)
      found.push(ofTask('I7', task, `event ${event.seq} begins attempt ${folded.attempts} of at most ${task.maxRetries + 1}`));
  }
  return found;
}

/** I8: a task in the dead-letter queue has a valid reason. */
function deadForAReason(task: Task): readonly Violation[] {
  const isDead = task.status === 'dead_letter';
  if (isDead !== (task.deadReason !== null)) return [ofTask('I8', task, `${task.status} with reason ${task.deadReason}`)];
  if (isDead && task.deadReason === 'retries_spent' && task.retryCount <= task.maxRetries)
    return [ofTask('I8', task, `dead with ${task.retryCount} of ${task.maxRetries} retries spent`)];
  return [];
}

/** I9: a task is blocked while a dependency is not completed; after that only until its slice of the dependents is unblocked. */
function blockedByDependencies(task: Task, { tasks, tombstones }: View): readonly Violation[] {
  // A final task no longer needs its dependencies: their tombstones may be removed before it is.
  if (task.status === 'completed' || task.status === 'cancelled') return [];
  const known = (id: Task['id']) => tasks.get(id) ?? tombstones.get(id);
  const isUnblocking = task.dependsOn.some((id) => (tasks.get(id)?.dependentsAfter ?? task.id) < task.id);
  const unknown = task.dependsOn.filter((id) => known(id) === undefined);
  const open = task.dependsOn.filter((id) => known(id)?.status !== 'completed');
  const found = unknown.map((id) => ofTask('I9', task, `it depends on ${id}, which is not stored`));
  if (task.status === 'blocked' && open.length === 0 && !isUnblocking)
    found.push(ofTask('I9', task, 'blocked, but all its dependencies are completed'));
  if ((task.status === 'queued' || isLive(task)) && open.length > 0)
    found.push(ofTask('I9', task, `${task.status}, but ${open.join(', ')} is not completed`));
  return found;
}

/** I11: no task stays due for two sweeps of a healthy hub. */
function nothingIsOverdue(task: Task, { state, nowMs }: View): readonly Violation[] {
  const dueMs = dueAtMs(task, nowMs);
  // A task that was given a time in the past is due only since it was updated.
  if (dueMs === null || Math.max(dueMs, task.updatedAtMs, state.healthySinceMs) + 2 * state.sweepMs >= nowMs) return [];
  return [ofTask('I11', task, `${task.status}, overdue by ${nowMs - dueMs} ms`)];
}

type TaskInvariant = (task: Task, view: View) => readonly Violation[];
export const HISTORY_INVARIANTS: readonly TaskInvariant[] = [
  // They need the whole history of the task.
  agreesWithHistory,
  generationsGrow,
  historyIsNumbered,
  endsOnce,
  changedByAssignee,
  attemptsAreBounded,
];
export const ROW_INVARIANTS: readonly TaskInvariant[] = [
  // They need no history.
  liveHasDeadline,
  deadForAReason,
  blockedByDependencies,
  nothingIsOverdue,
];
