/** What the hub answers for each thing that a returning sidecar says it holds. */
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
    what: 'its own, not accepted yet as far as the hub knows',
    task: STATES.assigned,
    held: held(3, 'accepted'),
    wanted: { action: 'continue' },
  },
  { what: 'its own, lost by the sidecar', task: STATES.accepted, held: held(3, 'unknown'), wanted: { action: 'lost' } },
  { what: 'a finished result, whatever the hub believes', task: STATES.queued, held: held(1, 'reporting'), wanted: { action: 'report' } },
  { what: 'a finished result of an unknown task', task: undefined, held: held(1, 'reporting'), wanted: { action: 'report' } },
  { what: 'an unknown task', task: undefined, held: held(3), wanted: { action: 'abort', reason: 'unknown_task' } },
  { what: 'an older generation', task: STATES.accepted, held: held(2), wanted: { action: 'abort', reason: 'stale_generation' } },
  {
    what: "another agent's",
    task: { ...STATES.accepted, assignedTo: OTHER },
    held: held(3),
    wanted: { action: 'abort', reason: 'not_assignee' },
  },
  { what: 'one that has ended', task: STATES.completed, held: held(3), wanted: { action: 'abort', reason: 'ended' } },
  {
    what: 'a generation above the stored one',
    task: STATES.queued,
    held: held(9),
    wanted: { action: 'abort', reason: 'stale_generation' },
  },
];

for (const { what, task, held: said, wanted } of CASES) t.same(decideHeld(task, said, ME), wanted, what);

t.equal(decideMissing(STATES.assigned), 'resend', 'never accepted: it never saw it');
t.equal(decideMissing(STATES.assigned, true), 'lost', 'it may have run without being accepted');
t.equal(decideMissing(STATES.accepted), 'lost', 'accepted, and not there any more');

t.test('what a held generation above the stored one leads to', (t) => {
  const ofOther = { ...STATES.accepted, assignedTo: OTHER };
  const forOther = { ...STATES.queued, requirement: { capabilities: [], assignTo: OTHER } };
  const cases: readonly (readonly [string, Task | undefined, number, AheadDecision])[] = [
    ['an unknown task', undefined, 9, 'nothing'],
    ['an older one', STATES.accepted, 2, 'nothing'],
    ['the stored one', STATES.accepted, 3, 'nothing'],
    ['its own', STATES.accepted, 4, 'raise'],
    ['a waiting one', STATES.queued, 9, 'raise'],
    ['one that another has', ofOther, 9, 'fence'],
    ['one that is fenced as high already', { ...ofOther, generationFloor: 9 as Generation }, 9, 'nothing'],
    ['one that is for another', forOther, 9, 'nothing'],
    ['one that is completed', STATES.completed, 9, 'nothing'],
    ['the most that a store may have lost', { ...STATES.queued, generation: 3 as Generation }, 1_003, 'raise'],
    ['one more', { ...STATES.queued, generation: 3 as Generation }, 1_004, 'refuse'],
    ['more, of one that another has', ofOther, 1_004, 'refuse'],
    ['a million', { ...STATES.queued, generation: 999_999 as Generation }, 1_000_000, 'raise'],
    ['over a million', { ...STATES.queued, generation: 999_999 as Generation }, 1_000_001, 'refuse'],
    ['the largest there is', STATES.accepted, Number.MAX_SAFE_INTEGER, 'refuse'],
  ];
  for (const [what, task, generation, wanted] of cases) t.equal(decideAhead(task, held(generation), ME), wanted, what);
  t.end();
});

t.test('a generation that the store never gave out raises it, and takes back what is live', async (t) => {
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
