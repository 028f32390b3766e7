/** One task in each state that the transitions distinguish, for tables of cases. */
import type { AgentId, Generation } from '../../../core/domain/ids.ts';
import type { Rules } from '../../../core/domain/task/rules.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { Change, Transition } from '../../../core/domain/transitions/change.ts';
import { aTask, aTaskId, A_MOMENT_MS } from '../../product/contracts/fixtures.ts';

export const NOW_MS = A_MOMENT_MS + 1_000;
export const ME = 'me' as AgentId;
export const OTHER = 'other' as AgentId;

export const RULES: Rules = {
  acceptMs: 60_000,
  leaseMs: 300_000,
  runMaxMs: 86_400_000,
  runMarginMs: 25_000,
  backoff: { firstMs: 1_000, maxMs: 60_000 },
  breaker: { firstMs: 60_000, maxMs: 1_800_000 },
  progressPerAttempt: 3,
};

const generation = (n: number): Generation => n as Generation;
const assigned: Partial<Task> = {
  status: 'assigned',
  generation: generation(3),
  assignedTo: ME,
  assignedAtMs: A_MOMENT_MS,
  deadlineAtMs: NOW_MS + 60_000,
};
const accepted: Partial<Task> = { ...assigned, acceptedAtMs: A_MOMENT_MS, runDeadlineAtMs: NOW_MS + 1_000_000 };
const complete = { generation: generation(3), agentId: ME, report: 'complete', answer: 'complete' } as const;

export const STATES = {
  scheduled: aTask({ status: 'scheduled', eligibleAtMs: null, runAtMs: NOW_MS + 5_000 }),
  blocked: aTask({ status: 'blocked', eligibleAtMs: null, dependsOn: [aTaskId(9)] }),
  queued: aTask({ generation: generation(2) }),
  parked: aTask({ generation: generation(2), parked: true, handBacks: 10 }),
  assigned: aTask(assigned),
  accepted: aTask(accepted),
  completed: aTask({ ...accepted, status: 'completed', deadlineAtMs: null, runDeadlineAtMs: null, outcomes: [complete] }),
  cancelled: aTask({ status: 'cancelled', generation: generation(4), eligibleAtMs: null }),
  dead_letter: aTask({ status: 'dead_letter', generation: generation(3), eligibleAtMs: null, deadReason: 'retries_spent', retryCount: 4 }),
} satisfies Record<string, Task>;
export type StateName = keyof typeof STATES;
export const STATE_NAMES = Object.keys(STATES) as readonly StateName[];

/** A transition that the test expects to succeed. */
export const made = (transition: Transition): Change => {
  if (transition.kind === 'refused') throw new Error(`refused: ${transition.code}`);
  return transition;
};
