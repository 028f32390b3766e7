/** Counts from a list of events: how many tasks were submitted, assigned and ended, and why. */
import { isAgentEventName, type TaskEvent } from './event.ts';

export interface EventTally {
  readonly submitted: number;
  readonly assigned: number;
  /** Tasks that ended: how many with each status and reason. */
  readonly ended: readonly (Ended & Count)[];
  /** Assignments that ended: how many of each kind. */
  readonly assignmentsEnded: readonly (AssignmentEnded & Count)[];
}

interface Count {
  count: number;
}

export interface Ended {
  readonly status: 'completed' | 'dead_letter' | 'cancelled';
  /** `reported`, `adopted`, `operator`, or the `DeadReason` from the event. */
  readonly reason: unknown;
}

export interface AssignmentEnded {
  readonly how: 'completed' | 'failed' | 'rejected' | 'released' | 'reclaimed' | 'lost' | 'cancelled' | 'deadline';
  /** From the event: the `FailureKind` of a failure, the `ReclaimReason` of a reclaim; null if there is none. */
  readonly reason: unknown;
  /** Whether the task went back to the queue. */
  readonly requeued: boolean;
}

/** In the order of the events. */
export function tallyEvents(events: readonly TaskEvent[]): EventTally {
  let [submitted, assigned] = [0, 0];
  const ended: (Ended & Count)[] = [];
  const assignmentsEnded: (AssignmentEnded & Count)[] = [];
  const end = (status: Ended['status'], reason: unknown): void => {
    const known = ended.find((one) => one.status === status && one.reason === reason);
    if (known === undefined) ended.push({ status, reason, count: 1 });
    else known.count += 1;
  };
  const leave = (how: AssignmentEnded['how'], reason: unknown, requeued: boolean): void => {
    const known = assignmentsEnded.find((one) => one.how === how && one.reason === reason && one.requeued === requeued);
    if (known === undefined) assignmentsEnded.push({ how, reason, requeued, count: 1 });
    else known.count += 1;
  };
  for (let index = 0; index < events.length; index += 1) {
    const one = events[index] as TaskEvent;
    if (isAgentEventName(one.event)) continue;
    switch (one.event) {
      case 'submitted':
        submitted += 1;
        break;
      case 'assigned':
        assigned += 1;
        break;
      case 'completed':
        // The event of an adopted result follows `adopted`: its assignment had ended already.
        if (events[index - 1]?.event === 'adopted' && isNextOf(one, events[index - 1])) break;
        end('completed', 'reported');
        leave('completed', null, false);
        break;
      case 'adopted':
        end('completed', 'adopted');
        break;
      case 'cancelled':
        end('cancelled', 'operator');
        // The event names no agent if none had the task.
        if (one.agentId !== null) leave('cancelled', null, false);
        break;
      case 'dead_lettered':
        end('dead_letter', one.details?.['reason']);
        break;
      case 'stop_requested':
        if (one.details?.['reason'] === 'deadline') leave('deadline', null, false);
        break;
      case 'rejected':
      case 'released':
        leave(one.event, null, true);
        break;
      case 'failed':
      case 'lost':
      case 'reclaimed':
        leave(one.event, one.details?.[one.event === 'failed' ? 'kind' : 'reason'], !isDeadLettered(one, events[index + 1]));
        break;
      case 'scheduled':
      case 'blocked':
      case 'eligible':
      case 'accepted':
      case 'woken':
      case 'wake_failed':
      case 'progress':
      case 'retried':
      case 'expired':
      case 'stop_confirmed':
      case 'late_result':
      case 'report_refused':
      case 'parked':
      case 'unparked':
        break;
    }
  }
  return { submitted, assigned, ended, assignmentsEnded };
}

/** Whether the task was dead-lettered in the same transition. */
const isDeadLettered = (event: TaskEvent, next: TaskEvent | undefined): boolean => next?.event === 'dead_lettered' && isNextOf(next, event);

/** Whether it is the very next event of the same task. */
const isNextOf = (event: TaskEvent, before: TaskEvent | undefined): boolean =>
  before !== undefined && event.taskId === before.taskId && event.seq === before.seq + 1;
