/** The judges of what comes in at the edges: each rule passes what obeys it, and fails what breaks it. */
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import type { StoredEvent, TaskEvent } from '../../../core/domain/task/event.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  anAgent,
  anAgentId,
  anAssignedTask,
  anEvent,
  aTask,
  changes,
} from '../../product/contracts/fixtures.ts';
import { BoundsJudge } from './bounds-judge.ts';
import { Ledger } from './sim-ledger.ts';
import { OutageJudge, SERVICE_AWAY } from './outage-judge.ts';
import { LOOK_MS, PatienceJudge } from './patience-judge.ts';
import { RightsJudge } from './rights-judge.ts';

const [ME, OTHER] = [anAgentId(), anAgentId('agent-2')];
const MINUTE_MS = 60_000;

let eventId = 0;
const event = (patch: Partial<TaskEvent>): StoredEvent => ({ ...anEvent(patch), id: (eventId += 1) });
const ASSIGNED = { event: 'assigned', agentId: ME, generation: aGeneration(1), session: 1 } as const;

function aCourt() {
  const clock = virtualClock();
  const database = memoryDatabase('judged');
  const found: string[] = [];
  const violated = (rule: string): void => void found.push(rule);
  /** What was found since the last call. */
  const verdicts = (): readonly string[] => found.splice(0);
  return { clock, database, violated, verdicts };
}

t.test('J7: an agent heard a moment before is not silent; a repeated accept renews nothing', (t) => {
  const { clock, database, violated, verdicts } = aCourt();
  const ledger = new Ledger({ clock, database, timing: HUB_TIMING, violated });
  const keep = (task: Task): unknown => database.tasks.set(task.id, { task, dueAtMs: null, body: aBody() });
  const fresh = anAssignedTask(ME, { acceptedAtMs: null, runDeadlineAtMs: null });
  const says = (type: string): void => ledger.arrived(ME, JSON.stringify({ type, task_id: fresh.id, generation: fresh.generation }), 'hub');
  const taken = (): void => {
    clock.advance(1_000);
    const reclaimed = { event: 'lost', agentId: ME, generation: fresh.generation, details: { reason: 'lease_expired' } } as const;
    ledger.committed([event({ ...reclaimed, taskId: fresh.id })], clock.monotonicMs(), 'hub');
    clock.advance(MINUTE_MS);
  };
  keep(fresh);
  says('task_accepted');
  taken();
  t.strictSame(verdicts(), ['J7'], 'its accept');
  keep(anAssignedTask(ME));
  says('task_progress');
  taken();
  t.strictSame(verdicts(), ['J7'], 'a report of its work');
  says('task_accepted');
  taken();
  t.strictSame(verdicts(), [], 'a repeat of the accept');
  t.end();
});

t.test('J7: the grace period of an agent whose connection only the store knew begins with its end', (t) => {
  const { clock, database, violated, verdicts } = aCourt();
  const ledger = new Ledger({ clock, database, timing: HUB_TIMING, violated });
  const task = anAssignedTask(ME);
  database.tasks.set(task.id, { task, dueAtMs: null, body: aBody() });
  const commit = (patch: Partial<TaskEvent>): void => ledger.committed([event({ agentId: ME, ...patch })], clock.monotonicMs(), 'hub');
  const reclaimed = { event: 'lost', taskId: task.id, generation: task.generation, details: { reason: 'disconnected' } } as const;
  commit(reclaimed);
  t.strictSame(verdicts(), ['J7'], 'it was never away');
  commit({ event: 'agent_disconnected' });
  clock.advance(HUB_TIMING.reconnectGraceMs / 2);
  commit(reclaimed);
  t.strictSame(verdicts(), ['J7'], 'too early');
  clock.advance(HUB_TIMING.reconnectGraceMs / 2);
  commit(reclaimed);
  t.strictSame(verdicts(), []);
  t.end();
});

t.test('I6: an end that no agent sent is a violation, except one caused by a frame over the limit, of the agent that sent it', (t) => {
  const { clock, database, violated, verdicts } = aCourt();
  const ledger = new Ledger({ clock, database, timing: HUB_TIMING, violated });
  const failed = (kind: string): void => {
    const its = { event: 'failed', agentId: ME, generation: aGeneration(1), session: 1, details: { kind } } as const;
    ledger.committed([event(its)], clock.monotonicMs(), 'hub');
  };
  failed('result_too_large');
  t.strictSame(verdicts(), ['I6'], 'it sent no such frame');
  ledger.saidTooMuch(OTHER);
  failed('result_too_large');
  t.strictSame(verdicts(), ['I6'], 'nor did this one');
  ledger.saidTooMuch(ME);
  failed('result_too_large');
  t.strictSame(verdicts(), []);
  failed('agent_failed');
  t.strictSame(verdicts(), ['I6'], 'and no other end');
  t.end();
});

t.test('J9: only its agent can end an assignment, and no agent can raise a generation', (t) => {
  const { clock, database, violated, verdicts } = aCourt();
  const judge = new RightsJudge({ clock, database, violated });
  judge.committed([event(ASSIGNED)]);
  judge.committed([event({ event: 'stop_confirmed', agentId: ME, generation: aGeneration(1), session: 1 })]);
  judge.returned(ME);
  judge.committed([event({ event: 'lost', agentId: ME, generation: aGeneration(1), details: { reason: 'not_held' } })]);
  t.strictSame(verdicts(), []);
  judge.committed([event({ event: 'stop_confirmed', agentId: OTHER, generation: aGeneration(1), session: 1 })]);
  t.strictSame(verdicts(), ['J9'], 'a stop of another');
  judge.committed([event({ event: 'late_result', agentId: OTHER, generation: aGeneration(1), session: 1 })]);
  t.strictSame(verdicts(), ['J9'], 'a result of another');
  const raise = (to: number): StoredEvent => event({ event: 'report_refused', agentId: OTHER, details: { raised_to: to } });
  judge.committed([raise(10)]);
  t.strictSame(verdicts(), [], 'a task that no agent has');
  judge.committed([raise(5_000)]);
  t.strictSame(verdicts(), ['J9'], 'a large raise');
  judge.committed([event({ event: 'lost', agentId: ME, details: { reason: 'store_rolled_back' } }), raise(20)]);
  t.strictSame(verdicts(), ['J9'], 'a raise of a task that another has');
  clock.advance(10 * MINUTE_MS);
  judge.committed([event({ ...ASSIGNED, generation: aGeneration(3) })]);
  judge.committed([event({ event: 'lost', agentId: ME, generation: aGeneration(3), details: { reason: 'not_held' } })]);
  t.strictSame(verdicts(), ['J9'], 'reclaimed for a report that its agent did not send');
  t.end();
});

t.test('J10 J11: an accepted assignment is not pushed again, an unaccepted one only a few times', (t) => {
  const { clock, database, violated, verdicts } = aCourt();
  const judge = new RightsJudge({ clock, database, violated });
  const keep = (task: Task): unknown => database.tasks.set(task.id, { task, dueAtMs: null, body: aBody() });
  const task = anAssignedTask(ME, { acceptedAtMs: null, runDeadlineAtMs: null });
  keep(task);
  for (let time = 1; time <= 3; time += 1) judge.pushed(task.id, task.generation, false);
  t.strictSame(verdicts(), []);
  judge.pushed(task.id, task.generation, false);
  t.strictSame(verdicts(), ['J11']);
  keep(anAssignedTask(OTHER));
  judge.pushed(task.id, task.generation, false);
  t.strictSame(verdicts(), ['J10']);
  t.end();
});

t.test('J15: an identity goes from one open connection to another a few times a minute', (t) => {
  const { clock, database, violated, verdicts } = aCourt();
  const judge = new RightsJudge({ clock, database, violated });
  for (let time = 1; time <= 20; time += 1) {
    judge.replaced(ME);
    clock.advance(MINUTE_MS / 7);
  }
  t.strictSame(verdicts(), []);
  for (let time = 1; time <= 4; time += 1) judge.replaced(ME);
  t.ok(verdicts().includes('J15'));
  t.end();
});

function aPatience() {
  const court = aCourt();
  const { clock, database, violated } = court;
  const away = new Map<string, number>();
  const hub = { hubId: 'hub-1', wellSinceMs: 0 };
  const judge = new PatienceJudge({
    clock,
    database,
    timing: HUB_TIMING,
    hubs: () => [hub],
    awaySinceMs: (agentId) => away.get(agentId),
    violated,
  });
  const put = (task: Task): void => {
    const kept = { task, dueAtMs: null, body: aBody() };
    database.tasks.set(task.id, kept);
    database.current.set(task.id, kept);
    judge.committed(changes({ updated: [{ task, dueAtMs: null }] }), A_MOMENT_MS);
  };
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= LOOK_MS) {
      clock.advance(LOOK_MS);
      judge.look();
    }
  };
  return { ...court, judge, away, hub, put, pass };
}

t.test('J11: no task is queued for long next to a free agent, whatever a clock says', (t) => {
  const { database, put, pass, hub, verdicts } = aPatience();
  database.agents.set(ME, anAgent({ hubId: 'hub-1', connected: true, slots: 1 }));
  put(aTask({ status: 'queued', eligibleAtMs: A_MOMENT_MS }));
  pass(MINUTE_MS);
  t.strictSame(verdicts(), [], 'not yet');
  hub.wellSinceMs = MINUTE_MS;
  pass(MINUTE_MS);
  t.strictSame(verdicts(), [], 'its hub was not healthy');
  pass(2 * MINUTE_MS);
  t.ok(verdicts().includes('J11'));
  database.agents.set(ME, anAgent({ hubId: 'hub-1', connected: true, slots: 1, draining: true }));
  pass(5 * MINUTE_MS);
  t.strictSame(verdicts(), [], 'it is not free');
  t.end();
});

t.test('J12: tasks of a disconnected agent go to others', (t) => {
  const { database, put, pass, away, clock, verdicts } = aPatience();
  database.agents.set(ME, anAgent({ hubId: 'hub-1', connected: false }));
  put(anAssignedTask(ME));
  pass(30 * MINUTE_MS);
  t.strictSame(verdicts(), [], 'it is connected');
  away.set(ME, clock.monotonicMs());
  pass(HUB_TIMING.reconnectGraceMs + HUB_TIMING.quietAfterStartMs);
  t.strictSame(verdicts(), [], 'not yet');
  pass(5 * MINUTE_MS);
  t.ok(verdicts().includes('J12'));
  t.end();
});

t.test('J13: what is stored of a report is bounded, in bytes and in number', (t) => {
  const { violated, verdicts } = aCourt();
  const judge = new BoundsJudge({ violated });
  const refused = { event: 'report_refused', agentId: OTHER, generation: aGeneration(1) } as const;
  judge.committed([event({ ...refused, details: { result: 'x'.repeat(16_000) } })]);
  for (let time = 2; time <= 16; time += 1) judge.committed([event({ ...refused, generation: aGeneration(time) })]);
  t.strictSame(verdicts(), []);
  judge.committed([event(refused)]);
  t.strictSame(verdicts(), ['J13'], 'refused too often');
  judge.committed([event({ ...refused, event: 'late_result' })]);
  t.strictSame(verdicts(), []);
  judge.committed([event({ ...refused, event: 'late_result' })]);
  t.strictSame(verdicts(), ['J13'], 'late twice');
  judge.committed([event({ event: 'progress', details: { text: 'x'.repeat(16_384) } })]);
  t.strictSame(verdicts(), ['J13'], 'too large');
  t.end();
});

t.test('J16: what an outage of the model service ends uses up no retry', (t) => {
  const { violated, verdicts } = aCourt();
  const judge = new OutageJudge({ violated });
  const ending = { agentId: ME, generation: aGeneration(1), session: 1 } as const;
  judge.committed([event({ ...ending, event: 'released', details: { reason: SERVICE_AWAY, cause: 'model_unavailable' } })]);
  judge.committed([event({ ...ending, event: 'failed', details: { error: 'could not', kind: 'agent_failed' } })]);
  t.strictSame(verdicts(), []);
  judge.committed([
    event({
      ...ending,
      event: 'failed',
      details: { error: `all 4 attempts to wake the agent failed: ${SERVICE_AWAY}`, kind: 'wake_failed' },
    }),
  ]);
  t.strictSame(verdicts(), ['J16']);
  t.end();
});
