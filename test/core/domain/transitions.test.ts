/** Every transition from every state: what is allowed and where it leads, and what is refused with which code. */
import t from 'tap';
import { checkFence } from '../../../core/domain/task/fencing.ts';
import type { Generation } from '../../../core/domain/ids.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { decideAssign } from '../../../core/domain/transitions/assigning.ts';
import type { Change, Transition } from '../../../core/domain/transitions/change.ts';
import { decideLate } from '../../../core/domain/transitions/keeping-results.ts';
import { decideRetry } from '../../../core/domain/transitions/operating.ts';
import * as reporting from '../../../core/domain/transitions/reporting.ts';
import { decideDue, decideUnblock } from '../../../core/domain/transitions/submitting.ts';
import { decideCancel, decideReclaim } from '../../../core/domain/transitions/taking-back.ts';
import { refuse } from '../../../core/domain/task/refusal.ts';
import { made, ME, NOW_MS, OTHER, RULES, STATE_NAMES, STATES, type StateName } from './task-states.ts';

const by = { agentId: ME, session: 7 };
const usage = { tokensUsed: null, costUsd: null };

/** A report of `ME` with the task's own generation, which passes the fence first, as in the hub. */
const fenced =
  (kind: Parameters<typeof checkFence>[1]['kind'], decide: (task: Task) => Transition) =>
  (task: Task): Transition | 'repeat' | 'late' => {
    const judged = checkFence(task, { kind, agentId: ME, generation: task.generation });
    if (judged.kind === 'current') return decide(task);
    return judged.kind === 'refused' ? judged : judged.kind;
  };

const asTransition = (change: Change | null, task: Task): Transition => change ?? refuse('invalid_state', task.generation);

const INPUTS: Readonly<Record<string, (task: Task) => Transition | 'repeat' | 'late'>> = {
  assign: (task) => decideAssign(task, by, NOW_MS, RULES),
  due: (task) => asTransition(decideDue(task, NOW_MS + 10_000), task),
  unblock: (task) => asTransition(decideUnblock(task, NOW_MS), task),
  accept: fenced('accepted', (task) => reporting.decideAccept(task, by, NOW_MS, RULES)),
  progress: fenced('progress', (task) => reporting.decideProgress(task, by, { ...usage, details: { percent: 5 } }, NOW_MS, RULES)),
  complete: fenced('complete', (task) => reporting.decideComplete(task, by, { ...usage, result: '1', details: null }, NOW_MS)),
  fail: fenced('failed', (task) =>
    reporting.decideFail(task, by, { ...usage, error: 'x', kind: 'agent_failed', retryable: true, details: null }, NOW_MS, RULES),
  ),
  reject: fenced('rejected', (task) => reporting.decideReject(task, by, 'busy', NOW_MS, RULES)),
  release: fenced('released', (task) => reporting.decideRelease(task, by, { ...usage, reason: 'no login' }, NOW_MS, RULES)),
  reclaim: (task) => decideReclaim(task, { reason: 'lease_expired', stop: true }, NOW_MS, RULES),
  cancel: (task) => decideCancel(task, 'tok-1', NOW_MS),
  retry: (task) => decideRetry(task, 'tok-1', true, NOW_MS),
};

/** `state generation+n: events`, or `refused: code`. Inputs not listed for a state are `invalid_state` there. */
const ALLOWED: Readonly<Record<StateName, Readonly<Record<string, string>>>> = {
  scheduled: { due: 'queued +0: eligible', cancel: 'cancelled +1: cancelled' },
  blocked: { unblock: 'queued +0: eligible', cancel: 'cancelled +1: cancelled' },
  queued: { assign: 'assigned +1: assigned', cancel: 'cancelled +1: cancelled' },
  parked: { cancel: 'cancelled +1: cancelled', retry: 'queued +0: unparked' },
  assigned: {
    accept: 'assigned +0: accepted',
    progress: 'assigned +0: accepted progress',
    complete: 'completed +0: accepted completed',
    fail: 'queued +1: accepted failed',
    reject: 'queued +1: rejected',
    release: 'queued +1: released',
    reclaim: 'queued +1: reclaimed stop_requested; stop',
    cancel: 'cancelled +1: cancelled stop_requested; stop',
  },
  accepted: {
    accept: 'assigned +0:',
    progress: 'assigned +0: progress',
    complete: 'completed +0: completed',
    fail: 'queued +1: failed',
    release: 'queued +1: released',
    reclaim: 'queued +1: lost stop_requested; stop',
    cancel: 'cancelled +1: cancelled stop_requested; stop',
  },
  completed: { accept: 'repeat', complete: 'repeat' },
  cancelled: {},
  dead_letter: { retry: 'queued +1: retried eligible' },
};

const outcomeOf = (before: Task, outcome: Transition | 'repeat' | 'late'): string => {
  if (typeof outcome === 'string') return outcome;
  if (outcome.kind === 'refused') return `refused: ${outcome.code}`;
  const { task, events, stop } = outcome;
  const names = events.map((event) => ` ${event.event}`).join('');
  return `${task.status} +${task.generation - before.generation}:${names}${stop === null ? '' : '; stop'}`;
};

for (const state of STATE_NAMES) {
  for (const [input, decide] of Object.entries(INPUTS)) {
    const before = STATES[state];
    const wanted = ALLOWED[state][input] ?? 'refused: invalid_state';
    t.equal(outcomeOf(before, decide(before)), wanted, `${state} × ${input}`);
  }
}

t.test('events continue the numbering of the task and carry agent, generation and time', async (t) => {
  const done = reporting.decideComplete(STATES.assigned, by, { ...usage, result: '{"a":1}', details: null }, NOW_MS);
  t.match(done.events, [
    { seq: 2, event: 'accepted', agentId: ME, generation: 3, session: 7, atMs: NOW_MS },
    { seq: 3, event: 'completed', agentId: ME, generation: 3, session: 7, atMs: NOW_MS },
  ]);
  t.equal(done.task.eventSeq, 3);
  t.equal(done.result, '{"a":1}');
});

t.test('R7: the fence refuses reports that are not from the current assignment', async (t) => {
  const generation = (n: number): Generation => n as Generation;
  const cases = [
    { what: 'an unknown task', task: undefined, agentId: ME, generation: 1, wanted: 'unknown_task' },
    { what: 'an older generation', task: STATES.accepted, agentId: ME, generation: 2, wanted: 'stale_generation' },
    { what: 'a generation from the future', task: STATES.accepted, agentId: ME, generation: 4, wanted: 'stale_generation' },
    { what: "another agent's assignment", task: STATES.accepted, agentId: OTHER, generation: 3, wanted: 'not_assignee' },
    { what: 'no generation, another agent', task: STATES.accepted, agentId: OTHER, generation: null, wanted: 'not_assignee' },
    { what: 'no generation, not assigned', task: STATES.queued, agentId: ME, generation: null, wanted: 'invalid_state' },
    { what: 'no generation, the assignee', task: STATES.accepted, agentId: ME, generation: null, wanted: 'current' },
    { what: 'a cancelled task', task: STATES.cancelled, agentId: ME, generation: 3, wanted: 'stale_generation' },
  ];
  for (const kind of ['accepted', 'progress', 'complete', 'failed', 'rejected', 'released'] as const) {
    for (const { what, task, agentId, generation: given, wanted } of cases) {
      const judged = checkFence(task, { kind, agentId, generation: given === null ? null : generation(given) });
      t.equal(judged.kind === 'refused' ? judged.code : judged.kind, wanted, `${kind}: ${what}`);
    }
  }
});

t.test('R9: a repeat is recognized before the fence, even after the generation has moved on', async (t) => {
  const failed = reporting.decideFail(
    STATES.accepted,
    by,
    { ...usage, error: 'x', kind: 'agent_failed', retryable: true, details: null },
    NOW_MS,
    RULES,
  );
  const again = made(decideAssign({ ...failed.task, eligibleAtMs: NOW_MS }, { agentId: OTHER, session: 1 }, NOW_MS, RULES));
  t.same(checkFence(again.task, { kind: 'failed', agentId: ME, generation: STATES.accepted.generation }), {
    kind: 'repeat',
    answer: 'retried',
    generation: STATES.accepted.generation,
  });
  t.same(checkFence(again.task, { kind: 'accepted', agentId: ME, generation: STATES.accepted.generation }), {
    kind: 'repeat',
    answer: 'retried',
    generation: STATES.accepted.generation,
  });
  t.match(checkFence(again.task, { kind: 'complete', agentId: ME, generation: STATES.accepted.generation }), {
    kind: 'refused',
    code: 'stale_generation',
  });
});

t.test('R4: a result is late when its task was reclaimed and not reassigned since', async (t) => {
  const lost = made(decideReclaim(STATES.accepted, { reason: 'disconnected', stop: true }, NOW_MS, RULES));
  const report = { kind: 'complete', agentId: ME, generation: STATES.accepted.generation } as const;
  t.equal(checkFence(lost.task, report).kind, 'late');
  t.match(checkFence(lost.task, { ...report, kind: 'failed' }), { code: 'stale_generation' });
  t.match(checkFence(lost.task, { ...report, agentId: OTHER }), { code: 'stale_generation' });
  const again = made(decideAssign({ ...lost.task, eligibleAtMs: NOW_MS }, { agentId: OTHER, session: 1 }, NOW_MS, RULES));
  t.match(checkFence(again.task, report), { code: 'stale_generation' }, 'another agent has it now');
});

t.test('a late result is an outcome of its task: a repeat of the report gets the same answer', async (t) => {
  const lost = made(decideReclaim(STATES.accepted, { reason: 'disconnected', stop: true }, NOW_MS, RULES));
  const { generation } = STATES.accepted;
  const late = decideLate(lost.task, by, { ...usage, result: '1', details: null, generation }, NOW_MS, (text) => text);
  t.strictSame(late.task.outcomes, [...lost.task.outcomes, { generation, agentId: ME, report: 'complete', answer: 'late' }]);
  t.same(checkFence(late.task, { kind: 'complete', agentId: ME, generation }), { kind: 'repeat', answer: 'late', generation });
  t.match(late, { task: { status: 'queued' }, events: [{ event: 'late_result', generation: 3 }], keptResults: { saved: { result: '1' } } });
});
