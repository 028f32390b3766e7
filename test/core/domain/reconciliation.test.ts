/** The hub's answer for each assignment that a returning sidecar reports. */
import t from 'tap';
import type { Generation } from '../../../core/domain/ids.ts';
import { decideAhead, decideHeld, decideMissing, type AheadDecision, type Held } from '../../../core/domain/task/reconciliation.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { decideRaise } from '../../../core/domain/transitions/taking-back.ts';
import { ME, NOW_MS, OTHER, RULES, STATES } from './task-states.ts';

const held = (generation: number, status: Held['status'] = 'working'): Held => ({
  taskId: STATES.accepted.id,
  generation: generation as Generation,
  status,
});

const CASES: readonly { readonly what: string; readonly task: Task | undefined; readonly held: Held; readonly wanted: object }[] = [
  { what: 'its own, running', task: STATES.accepted, held: held(3), wanted: { action: 'continue' } },
  {
    what: 'its own, not accepted yet according to the hub',
    task: STATES.assigned,
    held: held(3, 'accepted'),
    wanted: { action: 'continue' },
  },
  { what: 'its own, lost by the sidecar', task: STATES.accepted, held: held(3, 'unknown'), wanted: { action: 'lost' } },
  {
    what: 'a finished result of a task that is queued again',
    task: STATES.queued,
    held: held(1, 'reporting'),
    wanted: { action: 'report' },
  },
  { what: 'a finished result of an unknown task', task: undefined, held: held(1, 'reporting'), wanted: { action: 'report' } },
  { what: 'an unknown task', task: undefined, held: held(3), wanted: { action: 'abort', reason: 'unknown_task' } },
  { what: 'an older generation', task: STATES.accepted, held: held(2), wanted: { action: 'abort', reason: 'stale_generation' } },
  {
    what: 'a task of another agent',
    task: { ...STATES.accepted, assignedTo: OTHER },
    held: held(3),
    wanted: { action: 'abort', reason: 'not_assignee' },
  },
  { what: 'a task that has ended', task: STATES.completed, held: held(3), wanted: { action: 'abort', reason: 'ended' } },
  {
    what: 'a generation above the stored one',
    task: STATES.queued,
    held: held(9),
    wanted: { action: 'abort', reason: 'stale_generation' },
  },
];

for (const { what, task, held: message, wanted } of CASES) t.same(decideHeld(task, message, ME), wanted, what);

t.equal(decideMissing(STATES.assigned), 'resend', 'never accepted: the sidecar never saw it');
t.equal(decideMissing(STATES.assigned, true), 'lost', 'it may have run without being accepted');
t.equal(decideMissing(STATES.accepted), 'lost', 'accepted, and no longer held');

t.test('a held generation above the stored one is raised, fenced or refused', (t) => {
  const ofOther = { ...STATES.accepted, assignedTo: OTHER };
  const forOther = { ...STATES.queued, requirement: { capabilities: [], assignTo: OTHER } };
  const cases: readonly (readonly [string, Task | undefined, number, AheadDecision])[] = [
    ['an unknown task', undefined, 9, 'nothing'],
    ['an older generation of an accepted task', STATES.accepted, 2, 'nothing'],
    ['the stored generation', STATES.accepted, 3, 'nothing'],
    ['a higher generation of its own task', STATES.accepted, 4, 'raise'],
    ['a waiting task', STATES.queued, 9, 'raise'],
    ['a task of another agent, live', ofOther, 9, 'fence'],
    ['a task already fenced that high', { ...ofOther, generationFloor: 9 as Generation }, 9, 'nothing'],
    ['a task assigned only to another agent', forOther, 9, 'nothing'],
    ['a completed task', STATES.completed, 9, 'nothing'],
    ['the most generations a store may have lost', { ...STATES.queued, generation: 3 as Generation }, 1_003, 'raise'],
    ['one more than that', { ...STATES.queued, generation: 3 as Generation }, 1_004, 'refuse'],
    ['one more than that, live at another agent', ofOther, 1_004, 'refuse'],
    ['a million', { ...STATES.queued, generation: 999_999 as Generation }, 1_000_000, 'raise'],
    ['over a million', { ...STATES.queued, generation: 999_999 as Generation }, 1_000_001, 'refuse'],
    ['the largest number', STATES.accepted, Number.MAX_SAFE_INTEGER, 'refuse'],
  ];
  for (const [what, task, generation, wanted] of cases) t.equal(decideAhead(task, held(generation), ME), wanted, what);
  t.end();
});

t.test('a generation that the store never assigned raises the stored one and reclaims live assignments', async (t) => {
  const by = { agentId: ME, session: 7 };
  const back: Readonly<Record<string, readonly string[]>> = {
    assigned: ['reclaimed', 'stop_requested'],
    accepted: ['lost', 'stop_requested'],
  };
  for (const [name, state] of Object.entries(STATES)) {
    const { task, events, stop } = decideRaise(state, { generation: 9 as Generation, by }, NOW_MS, RULES);
    t.match(task, { generation: 10, status: name in back ? 'queued' : state.status }, name);
    t.same(
      events.map((event) => event.event),
      [...(back[name] ?? []), 'report_refused'],
      name,
    );
    t.equal(stop?.generation, name in back ? 3 : undefined, name);
  }
});
