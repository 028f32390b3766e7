/** Invariants of each task and its own history. */
import { dueAtMs } from '../transitions/due.ts';
import type { EventName } from '../task/event.ts';
import { isLive, type Task } from '../task/task.ts';
import { toldBy, UNTOLD, type Told } from './history-fold.ts';
import { history, ofTask, type View, type Violation } from './view.ts';

/** I1: the row is what its events tell. */
function isItsHistory(task: Task, view: View): readonly Violation[] {
  const told = history(task, view).reduce<Told>(toldBy, UNTOLD);
  const fields = ['status', 'generation', 'assignedTo', 'retryCount'] as const;
  return fields
    .filter((field) => task[field] !== told[field])
    .map((field) => ofTask('I1', task, `its ${field} is ${String(task[field])}, its history tells ${String(told[field])}`));
}

/** Events that speak of the assignment or the state of the moment; others may speak of one that is past. */
const OF_THE_MOMENT: readonly EventName[] = [
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
    if (generation === null || !OF_THE_MOMENT.includes(event)) continue;
    if (generation < highest) found.push(ofTask('I2', task, `event ${seq} ${event} fell from generation ${highest} to ${generation}`));
    if (event === 'assigned' && generation === highest) found.push(ofTask('I2', task, `generation ${generation} was given out twice`));
    highest = Math.max(highest, generation);
  }
  return found;
}

/** I14, of one task: its events are numbered without a gap, and the row knows the last. */
function historyIsNumbered(task: Task, view: View): readonly Violation[] {
  const events = history(task, view);
  const gap = events.findIndex((event, place) => event.seq !== place + 1);
  const found = gap === -1 ? [] : [ofTask('I14', task, `its event ${gap + 1} has number ${events[gap]?.seq}`)];
  const last = events.at(-1)?.seq ?? 0;
  return task.eventSeq === last ? found : [...found, ofTask('I14', task, `it counts ${task.eventSeq} events, there are ${last}`)];
}

/** I3: exactly live tasks have a deadline, and their agent exists. */
function liveHasDeadline(task: Task, { agents }: View): readonly Violation[] {
  const found: Violation[] = [];
  if (isLive(task) !== (task.deadlineAtMs !== null)) found.push(ofTask('I3', task, `${task.status} with deadline ${task.deadlineAtMs}`));
  if ((task.runDeadlineAtMs !== null) !== (isLive(task) && task.acceptedAtMs !== null))
    found.push(ofTask('I3', task, `${task.status} with run deadline ${task.runDeadlineAtMs}`));
  if (isLive(task) && (task.assignedTo === null || !agents.has(task.assignedTo)))
    found.push(ofTask('I3', task, `it is live, and agent ${task.assignedTo} is not known`));
  return found;
}

/** I5: one end a round, and nothing after one that is final. */
function endsOnce(task: Task, view: View): readonly Violation[] {
  const found: Violation[] = [];
  let told = UNTOLD;
  for (const event of history(task, view)) {
    const isFinal = told.status === 'completed' || told.status === 'cancelled';
    const next = toldBy(told, event);
    if (isFinal && next.status !== told.status)
      found.push(ofTask('I5', task, `event ${event.seq} ${event.event} after it was ${told.status}`));
    if (next.ends > 1 && next.ends > told.ends)
      found.push(ofTask('I5', task, `event ${event.seq} ${event.event} ends a round that had ended`));
    told = next;
  }
  return found;
}

/** Events by which an agent's own frame changes its assignment. */
const BY_FRAME: readonly EventName[] = ['accepted', 'woken', 'wake_failed', 'progress', 'completed', 'failed', 'rejected', 'released'];

/** I6, of one task: what a frame changed was its sender's assignment at that moment. */
function changedByAssignee(task: Task, view: View): readonly Violation[] {
  const found: Violation[] = [];
  let told = UNTOLD;
  for (const event of history(task, view)) {
    const isByFrame = event.session !== null && BY_FRAME.includes(event.event);
    const isItsOwn = told.status === 'assigned' && told.assignedTo === event.agentId && told.generation === event.generation;
    if (isByFrame && !isItsOwn) {
      const found6 = `event ${event.seq} ${event.event} by ${event.agentId} of generation ${event.generation}, while ${told.status} to ${told.assignedTo} in ${told.generation}`;
      found.push(ofTask('I6', task, found6));
    }
    told = toldBy(told, event);
  }
  return found;
}

/** I7: attempts of a round are bounded. */
function attemptsAreBounded(task: Task, view: View): readonly Violation[] {
  const found: Violation[] = [];
  let told = UNTOLD;
  for (const event of history(task, view)) {
    told = toldBy(told, event);
    if (event.event === 'accepted' && told.attempts > task.maxRetries + 1)
      found.push(ofTask('I7', task, `event ${event.seq} begins attempt ${told.attempts} of at most ${task.maxRetries + 1}`));
  }
  return found;
}

/** I8: what is in the dead letter has a reason that leads there. */
function deadForAReason(task: Task): readonly Violation[] {
  const isDead = task.status === 'dead_letter';
  if (isDead !== (task.deadReason !== null)) return [ofTask('I8', task, `${task.status} with reason ${task.deadReason}`)];
  if (isDead && task.deadReason === 'retries_spent' && task.retryCount <= task.maxRetries)
    return [ofTask('I8', task, `dead with ${task.retryCount} of ${task.maxRetries} retries spent`)];
  return [];
}

/** I9: exactly what waits for a dependency is blocked by one, or by the turn of its slice once that is completed. */
function blockedByDependencies(task: Task, { tasks, tombstones }: View): readonly Violation[] {
  // What is final needs its dependencies no more: their tombstones may be gone before it is.
  if (task.status === 'completed' || task.status === 'cancelled') return [];
  const known = (id: Task['id']) => tasks.get(id) ?? tombstones.get(id);
  const isUnblocking = task.dependsOn.some((id) => (tasks.get(id)?.dependentsAfter ?? task.id) < task.id);
  const unknown = task.dependsOn.filter((id) => known(id) === undefined);
  const open = task.dependsOn.filter((id) => known(id)?.status !== 'completed');
  const found = unknown.map((id) => ofTask('I9', task, `it depends on ${id}, which is not stored`));
  if (task.status === 'blocked' && open.length === 0 && !isUnblocking)
    found.push(ofTask('I9', task, 'blocked, and all that it depends on is completed'));
  if ((task.status === 'queued' || isLive(task)) && open.length > 0)
    found.push(ofTask('I9', task, `${task.status}, and ${open.join(', ')} is not completed`));
  return found;
}

/** I11: nothing stays due for two sweeps of a healthy hub. */
function nothingIsOverdue(task: Task, { state, nowMs }: View): readonly Violation[] {
  const dueMs = dueAtMs(task, nowMs);
  // What came back with a time that had passed is due only since then.
  if (dueMs === null || Math.max(dueMs, task.updatedAtMs, state.healthySinceMs) + 2 * state.sweepMs >= nowMs) return [];
  return [ofTask('I11', task, `${task.status}, and due for ${nowMs - dueMs} ms`)];
}

export const TASK_INVARIANTS: readonly ((task: Task, view: View) => readonly Violation[])[] = [
  isItsHistory,
  generationsGrow,
  historyIsNumbered,
  liveHasDeadline,
  endsOnce,
  changedByAssignee,
  attemptsAreBounded,
  deadForAReason,
  blockedByDependencies,
  nothingIsOverdue,
];
