/** The judge of the chaos runs detects what it must: the same good evidence, each time with one violation planted in it. */
import t from 'tap';
import { newAgent } from '../../core/domain/agent/agent.ts';
import type { EventName, StoredEvent } from '../../core/domain/task/event.ts';
import { aGeneration, anAgentId, anAssignedTask, aTaskId } from '../product/contracts/fixtures.ts';
import { judge, type Evidence } from './rig/chaos-judge.ts';
import { uptimeSeconds, type LedgerLine } from './rig/chaos-ledger.ts';
import { slopeOf } from './rig/slope.ts';
import type { StoredTask } from './rig/stored.ts';

const TASK = aTaskId(1);
const AGENT = anAgentId('a1');
const TEXT = 'key ok 1';
const BEGAN_MS = Date.now() - 60_000;
const GRACE_MS = 10_000;
/** The same moment as the events, in the ledger's time. */
const nowAt = uptimeSeconds() - 60;

const event = (id: number, name: EventName, more: Partial<StoredEvent> = {}): StoredEvent => ({
  id,
  taskId: TASK,
  seq: id,
  event: name,
  atMs: BEGAN_MS + id,
  agentId: null,
  generation: null,
  session: null,
  details: null,
  ...more,
});
const byAgent = { agentId: AGENT, generation: aGeneration(1), session: 1 };
const EVENTS = [
  event(1, 'submitted'),
  event(2, 'eligible'),
  event(3, 'assigned', { ...byAgent, session: null }),
  event(4, 'accepted', byAgent),
  event(5, 'completed', byAgent),
];
const line = (what: LedgerLine['what'], more: Partial<LedgerLine> = {}): LedgerLine => ({
  what,
  pid: 7,
  began: '70',
  task: TASK,
  generation: 1,
  agent: AGENT,
  at: nowAt,
  beside: [],
  ...more,
});
const COMPLETED: StoredTask = {
  task: anAssignedTask(AGENT, {
    status: 'completed',
    deadlineAtMs: null,
    runDeadlineAtMs: null,
    eligibleAtMs: BEGAN_MS,
    createdAtMs: BEGAN_MS,
    eventSeq: 5,
    outcomes: [{ generation: aGeneration(1), agentId: AGENT, report: 'complete', answer: 'complete' }],
  }),
  description: TEXT,
  result: JSON.stringify({ status: 'success', output: { pid: 7, began: '70', generation: 1 } }),
  events: EVENTS,
};

const GOOD: Evidence = {
  answered: new Map([[TASK, TEXT]]),
  ledger: [line('start'), line('end')],
  streamed: [1, 2, 3, 4, 5],
  stored: {
    tasks: new Map([[TASK, COMPLETED]]),
    agents: [{ ...newAgent(AGENT), sessionNumber: 1 }],
    stops: [],
    keys: [],
    events: EVENTS,
    integrity: 'ok',
  },
  refused: new Set(),
  unanswered: [],
  killed: new Set(),
  absences: [],
  reconnectGraceMs: GRACE_MS,
  wanted: () => 'completed',
};
/** The one task with another history, under the numbers of its position. */
const history = (...events: readonly StoredEvent[]): Evidence => {
  const numbered = events.map((one, index) => ({ ...one, id: index + 1, seq: index + 1 }));
  const task = { ...COMPLETED, task: { ...COMPLETED.task, eventSeq: numbered.length }, events: numbered };
  const stored = { ...GOOD.stored, tasks: new Map([[TASK, task]]), events: numbered };
  return { ...GOOD, stored, streamed: numbered.map(({ id }) => id) };
};
const [submitted, eligible, assigned, accepted, completed] = EVENTS as [StoredEvent, StoredEvent, StoredEvent, StoredEvent, StoredEvent];
const second = { agentId: AGENT, generation: aGeneration(3), session: 1 };
const LOST = event(0, 'lost', { ...byAgent, session: null, details: { reason: 'disconnected' } });
/** Its first attempt was lost, the second produced the result. */
const lostOnce = (loss: StoredEvent, more: Partial<Evidence> = {}): Evidence => {
  const evidence = history(
    submitted,
    eligible,
    assigned,
    accepted,
    loss,
    { ...assigned, ...second, session: null },
    { ...accepted, ...second },
    { ...completed, ...second },
  );
  const made = evidence.stored.tasks.get(TASK) as StoredTask;
  const result = JSON.stringify({ output: { pid: 8, began: '80', generation: 3 } });
  const task = {
    ...made.task,
    generation: aGeneration(3),
    retryCount: 1,
    outcomes: [{ generation: aGeneration(3), agentId: AGENT, report: 'complete', answer: 'complete' } as const],
  };
  const ledger = [
    line('start'),
    line('start', { pid: 8, began: '80', generation: 3 }),
    line('end', { pid: 8, began: '80', generation: 3 }),
  ];
  return { ...evidence, ledger, stored: { ...evidence.stored, tasks: new Map([[TASK, { ...made, task, result }]]) }, ...more };
};

const rulesOf = (evidence: Evidence): readonly string[] => [...new Set(judge(evidence).violations.map(({ rule }) => rule))].sort();

t.test('sound evidence gives no violations', (t) => {
  t.strictSame(judge(GOOD).violations, []);
  t.match(judge(GOOD), { answered: 1, lost: 0, recordedTwice: 0, overlapping: 0, runs: 1, finishedRuns: 1 });
  t.end();
});

const stored = (more: Partial<Evidence['stored']>): Evidence => ({ ...GOOD, stored: { ...GOOD.stored, ...more } });
const other = aTaskId(2);

t.test('J1, J2, J4, J6, J7, R5, R11: the judge finds each planted violation under its rule', (t) => {
  const cases: readonly (readonly [string, string, Evidence])[] = [
    ['an acknowledged task is missing', 'J1', { ...GOOD, answered: new Map([...GOOD.answered, [other, 'key 2 ok 1']]) }],
    ['it has a different text', 'J1', { ...GOOD, answered: new Map([[TASK, 'key ok 2']]) }],
    ['it has not ended as expected', 'J1', { ...GOOD, wanted: () => 'cancelled' }],
    ['its end was recorded twice', 'I5', history(...EVENTS, completed)],
    ['an event is missing from its history', 'I14', stored({ tasks: new Map([[TASK, { ...COMPLETED, events: EVENTS.slice(0, 4) }]]) })],
    [
      'a run began while one of its own generation was alive',
      'J4',
      { ...GOOD, ledger: [line('start'), line('start', { pid: 9, began: '90', beside: [7] }), line('end')] },
    ],
    [
      'a written result is missing',
      'J2',
      { ...GOOD, ledger: [...GOOD.ledger, line('start', { generation: 2, pid: 9 }), line('end', { generation: 2, pid: 9 })] },
    ],
    ['a result is recorded and refused', 'J2', { ...GOOD, refused: new Set([`${TASK}.g1`]) }],
    ['the recorded result belongs to no run', 'J2', { ...GOOD, ledger: [line('start', { pid: 9 })] }],
    ['the stream skipped an event', 'J6', { ...GOOD, streamed: [1, 2, 4, 5] }],
    ['the stream repeated an event', 'J6', { ...GOOD, streamed: [1, 2, 3, 3, 4, 5] }],
    ['an attempt was reclaimed although its agent had not been away', 'J7', lostOnce(LOST)],
    [
      'its agent had been away for less than the grace period',
      'J7',
      lostOnce(LOST, { absences: [{ agent: AGENT, from: nowAt - 5, to: nowAt, why: 'cut off' }] }),
    ],
    ['an attempt failed although it was not killed', 'J7', lostOnce({ ...LOST, event: 'failed', details: { kind: 'lost' } })],
    ['a report was never answered', 'R5', { ...GOOD, unanswered: ['a1/x.json'] }],
    [
      'a stop was never confirmed',
      'R11',
      stored({ stops: [{ agentId: AGENT, taskId: TASK, generation: 1, reason: 'cancelled', requestedAtMs: BEGAN_MS, sentAtMs: null }] }),
    ],
    ['SQLite reports a damaged file', 'store', stored({ integrity: 'row 1 missing from index' })],
  ];
  for (const [what, rule, evidence] of cases) t.ok(rulesOf(evidence).includes(rule), `${what}: ${rule} among ${rulesOf(evidence).join()}`);
  t.end();
});

t.test('J4, J7: losses explained by faults are not violations', (t) => {
  const away = { agent: AGENT, from: nowAt - GRACE_MS / 1_000 - 2, to: nowAt + 1, why: 'cut off' } as const;
  t.strictSame(rulesOf(lostOnce(LOST, { absences: [away] })), [], 'reclaimed from an agent away for longer than the grace period');
  const killed = { ...LOST, event: 'failed', details: { kind: 'lost' } } as const;
  t.strictSame(rulesOf(lostOnce(killed, { killed: new Set(['7.70']) })), [], 'lost with its agent');
  const beside = lostOnce(LOST, { absences: [away] });
  const ledger = beside.ledger.map((one) => (one.what === 'start' && one.generation === 3 ? { ...one, beside: [7], at: nowAt } : one));
  t.match(judge({ ...beside, ledger }), { overlapping: 0, besideCutOff: 1, violations: [] }, 'a second run while the first is cut off');
  t.end();
});

t.test('a slope is found in noise, with its uncertainty', (t) => {
  const hour = 3_600_000;
  const points = Array.from({ length: 600 }, (_, n) => ({ atMs: n * 1_000, value: 100 + (n * 1_000 * 6) / hour + (n % 7) }));
  const { perHour, plusMinus } = slopeOf(points, 30_000);
  t.ok(Math.abs(perHour - 6) < Math.max(plusMinus, 0.5), `${perHour} ± ${plusMinus}`);
  t.ok(plusMinus < 6, 'the slope is distinguishable from zero');
  t.match(slopeOf(points.slice(0, 40), 30_000), { plusMinus: Infinity }, 'two windows are too few');
  // Flat, except for a few windows at the beginning that are far below, which would tilt a least-squares line.
  const dips = points.map(({ atMs }, n) => ({ atMs, value: n < 60 ? 80 : 100 + (n % 3) }));
  t.ok(Math.abs(slopeOf(dips, 10_000).perHour) < 1, 'a few outliers do not count');
  t.end();
});
