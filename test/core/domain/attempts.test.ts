/** Retries, hand-backs, deadlines and the dead letter: how often a task returns to the queue, and when it does not. */
import t from 'tap';
import { totalOf } from '../../../core/domain/usage.ts';
import { backoffMs } from '../../../core/domain/backoff.ts';
import { withoutStrikes, withStrike } from '../../../core/domain/agent/breaker.ts';
import { withRejection } from '../../../core/domain/agent/busy-agents.ts';
import { newAgent } from '../../../core/domain/agent/agent.ts';
import { decideSweep, dueAtMs } from '../../../core/domain/transitions/due.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { decideAssign } from '../../../core/domain/transitions/assigning.ts';
import { decideAdopt, decideRetry } from '../../../core/domain/transitions/operating.ts';
import * as reporting from '../../../core/domain/transitions/reporting.ts';
import { decideSubmit } from '../../../core/domain/transitions/submitting.ts';
import { decideReclaim } from '../../../core/domain/transitions/taking-back.ts';
import { aTaskId } from '../../product/contracts/fixtures.ts';
import { made, ME, NOW_MS, RULES, STATES } from './task-states.ts';

const by = { agentId: ME, session: 1 };
const release = { reason: 'no login', tokensUsed: null, costUsd: null };
const failure = { error: 'boom', kind: 'agent_failed', retryable: true, details: null, tokensUsed: null, costUsd: null };
const assign = (task: Task, nowMs: number): Task => {
  const given = decideAssign(task, by, nowMs, RULES);
  if (given.kind === 'refused') throw new Error(`${task.status} cannot be assigned`);
  return given.task;
};
const events = (change: { readonly events: readonly { readonly event: string }[] }): string =>
  change.events.map((one) => one.event).join(' ');

t.test('R12: max_retries 3 is four attempts, with backoff 1, 2, 4 s between them', async (t) => {
  let task: Task = { ...STATES.queued, maxRetries: 3 };
  const waits: (number | string)[] = [];
  for (let attempt = 1; attempt <= 4; attempt += 1) {
    const failed = reporting.decideFail(assign(task, NOW_MS), by, failure, NOW_MS, RULES);
    waits.push(failed.task.eligibleAtMs === null ? events(failed) : failed.task.eligibleAtMs - NOW_MS);
    task = failed.task;
  }
  t.same(waits, [1_000, 2_000, 4_000, 'accepted failed dead_lettered']);
  t.match(task, {
    status: 'dead_letter',
    deadReason: 'retries_spent',
    retryCount: 4,
    lastError: 'boom',
    assignedTo: null,
    deadlineAtMs: null,
  });
});

t.test('R12: a lost attempt counts like a failed one; an assignment never accepted does not', async (t) => {
  const lost = made(decideReclaim(STATES.accepted, { reason: 'lease_expired', stop: false }, NOW_MS, RULES));
  const unseen = decideReclaim(STATES.assigned, { reason: 'not_accepted', stop: false }, NOW_MS, RULES);
  t.match(lost, { task: { retryCount: 1, handBacks: 0, avoid: ME, takenBack: { agentId: ME, generation: 3 } } });
  t.match(unseen, { task: { retryCount: 0, handBacks: 1, avoid: ME } });
});

t.test('a failure the agent marks not retryable dead-letters the task at once; a wake failure does not', async (t) => {
  const dead = reporting.decideFail(STATES.accepted, by, { ...failure, retryable: false }, NOW_MS, RULES);
  const again = reporting.decideFail(STATES.accepted, by, { ...failure, kind: 'wake_failed', retryable: false }, NOW_MS, RULES);
  t.match(dead.task, { status: 'dead_letter', deadReason: 'not_retryable' });
  t.equal(again.task.status, 'queued');
});

t.test('R12: ten hand-backs in a row park the task, and a counted failure resets the count', async (t) => {
  let task: Task = STATES.queued;
  for (let times = 1; times <= 9; times += 1) task = reporting.decideRelease(assign(task, NOW_MS), by, release, NOW_MS, RULES).task;
  t.match(task, { parked: false, handBacks: 9, retryCount: 0 });
  const tenth = reporting.decideRelease(assign(task, NOW_MS), by, release, NOW_MS, RULES);
  t.match(tenth, { task: { parked: true, handBacks: 10 } });
  t.equal(events(tenth), 'released parked');
  t.match(reporting.decideFail(assign(task, NOW_MS), by, failure, NOW_MS, RULES).task, { handBacks: 0, parked: false, retryCount: 1 });
});

t.test('a dead-letter retry starts a new round: fresh retries and ttl, no passed deadline, the next generation', async (t) => {
  const dead: Task = { ...STATES.dead_letter, ttlMs: 5_000, completeByMs: NOW_MS - 1 };
  t.match(decideRetry(dead, 'op', true, NOW_MS), {
    task: { status: 'queued', round: 2, retryCount: 0, generation: 4, expiresAtMs: NOW_MS + 5_000, completeByMs: null, deadReason: null },
  });
  t.match(decideRetry(dead, 'op', false, NOW_MS), { task: { status: 'blocked' } });
});

t.test('the sweep handles every state that time affects', async (t) => {
  const healthy = { agentAway: false, quietUntilMs: 0, quietMs: 300_000, disturbedMs: 0 };
  const past = NOW_MS - 1;
  const cases: readonly { readonly what: string; readonly task: Task; readonly view?: typeof healthy; readonly wanted: string | null }[] = [
    { what: 'nothing is due', task: STATES.accepted, wanted: null },
    { what: 'ttl has expired', task: { ...STATES.queued, expiresAtMs: past }, wanted: 'expired dead_lettered' },
    { what: 'complete_by has passed, waiting', task: { ...STATES.queued, completeByMs: past }, wanted: 'dead_lettered' },
    { what: 'complete_by has passed, blocked', task: { ...STATES.blocked, completeByMs: past }, wanted: 'dead_lettered' },
    { what: 'complete_by has passed, running', task: { ...STATES.accepted, completeByMs: past }, wanted: 'dead_lettered stop_requested' },
    { what: 'complete_by has passed, completed', task: { ...STATES.completed, completeByMs: past }, wanted: null },
    { what: 'run_at reached', task: { ...STATES.scheduled, runAtMs: past }, wanted: 'eligible' },
    { what: 'not accepted in time', task: { ...STATES.assigned, deadlineAtMs: past }, wanted: 'reclaimed stop_requested' },
    { what: 'lease has expired', task: { ...STATES.accepted, deadlineAtMs: past }, wanted: 'lost stop_requested' },
    { what: 'run limit exceeded', task: { ...STATES.accepted, runDeadlineAtMs: past }, wanted: 'lost stop_requested' },
    {
      what: 'lease expired in the quiet period',
      task: { ...STATES.accepted, deadlineAtMs: past },
      view: { agentAway: false, quietUntilMs: NOW_MS + 9, quietMs: 300_000, disturbedMs: 0 },
      wanted: '',
    },
  ];
  for (const { what, task, view, wanted } of cases) {
    const decided = decideSweep(task, view ?? healthy, NOW_MS, RULES);
    t.equal(decided === null ? null : events(decided), wanted, what);
  }
  const quiet = decideSweep(
    { ...STATES.accepted, deadlineAtMs: past },
    { agentAway: false, quietUntilMs: NOW_MS + 9, quietMs: 300_000, disturbedMs: 0 },
    NOW_MS,
    RULES,
  );
  t.match(
    quiet,
    { task: { status: 'assigned', generation: 3, deadlineAtMs: NOW_MS + 9 } },
    'the deadline moves to the end of the quiet period',
  );
  const away = decideSweep(
    { ...STATES.accepted, deadlineAtMs: past },
    { agentAway: true, quietUntilMs: 0, quietMs: 300_000, disturbedMs: 0 },
    NOW_MS,
    RULES,
  );
  t.equal(away?.events[0]?.details?.['reason'], 'disconnected');
});

t.test('the next sweep time of a task', async (t) => {
  t.equal(dueAtMs(STATES.scheduled, NOW_MS), NOW_MS + 5_000);
  t.equal(dueAtMs({ ...STATES.queued, eligibleAtMs: NOW_MS + 7 }, NOW_MS), NOW_MS + 7, 'the end of a backoff');
  t.equal(dueAtMs({ ...STATES.queued, eligibleAtMs: NOW_MS }, NOW_MS), null, 'eligible: it waits for an agent, not for time');
  t.equal(dueAtMs({ ...STATES.accepted, completeByMs: NOW_MS + 1 }, NOW_MS), NOW_MS + 1);
  t.equal(dueAtMs(STATES.completed, NOW_MS), null);
});

t.test('submit: blocked, scheduled or queued; the round expires from its first eligibility', async (t) => {
  const draft = {
    id: aTaskId(5),
    priority: 'high',
    neededCapabilities: ['b', 'a', 'b'],
    assignTo: null,
    maxRetries: 0,
    runAtMs: null,
    ttlMs: 100,
    runMaxMs: null,
    completeByMs: null,
    dependsOn: [],
  } as const;
  t.match(decideSubmit(draft, 'tok-1', true, NOW_MS), {
    task: { status: 'queued', expiresAtMs: NOW_MS + 100, generation: 0, requirement: { capabilities: ['a', 'b'] } },
  });
  t.match(decideSubmit({ ...draft, runAtMs: NOW_MS + 1 }, 'tok-1', true, NOW_MS), { task: { status: 'scheduled', expiresAtMs: null } });
  t.match(decideSubmit({ ...draft, runAtMs: NOW_MS + 1 }, 'tok-1', false, NOW_MS), { task: { status: 'blocked', expiresAtMs: null } });
});

t.test('progress is stored up to its bound, and renews the lease beyond it', async (t) => {
  let task: Task = STATES.accepted;
  const stored: string[] = [];
  for (let n = 1; n <= 5; n += 1) {
    const change = reporting.decideProgress(task, by, { details: { percent: n }, tokensUsed: n, costUsd: null }, NOW_MS + n, RULES);
    stored.push(events(change));
    task = change.task;
  }
  t.same(stored, ['progress', 'progress', 'progress', '', '']);
  t.equal(totalOf(task.usage).tokensUsed, 5);
  t.match(task, { deadlineAtMs: NOW_MS + 5 + RULES.leaseMs, progressCount: 3 });
});

t.test('adopting a late result completes only a task that is still queued', async (t) => {
  const lost = made(decideReclaim(STATES.accepted, { reason: 'disconnected', stop: true }, NOW_MS, RULES));
  const late = { generation: STATES.accepted.generation, result: '{"ok":true}', by: 'op' };
  t.match(decideAdopt(lost.task, late, NOW_MS), { task: { status: 'completed' }, result: '{"ok":true}' });
  t.match(decideAdopt(STATES.queued, late, NOW_MS), { kind: 'refused', code: 'invalid_state' });
});

t.test('the breaker: three different tasks in a row pause the agent, longer each time; success resets it', async (t) => {
  const strike = (agent: ReturnType<typeof newAgent>, n: number) => withStrike(agent, aTaskId(n), 'lost', NOW_MS, RULES.breaker);
  const two = strike(strike(strike(newAgent(ME), 1), 1), 2);
  t.match(two, { brokenUntilMs: null }, 'the same task twice counts once');
  const three = strike(two, 3);
  t.match(three, { brokenUntilMs: NOW_MS + 60_000, strikes: [], breakerTrips: 1 });
  const six = strike(strike(strike(three, 4), 5), 6);
  t.match(six, { brokenUntilMs: NOW_MS + 120_000 });
  t.match(withoutStrikes(six), { strikes: [], breakerTrips: 0 });
  t.match(withRejection(withRejection(newAgent(ME), 'busy', NOW_MS), 'busy', NOW_MS), { rejections: 2, busyUntilMs: NOW_MS + 120_000 });
});

t.test('backoffs double up to their maximum, for any count', async (t) => {
  const times = { firstMs: 1_000, maxMs: 60_000 };
  t.same(
    [1, 2, 3, 6, 7, 100, 1e9].map((count) => backoffMs(times, count)),
    [1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000],
  );
});
