/** The invariants find nothing in a clean store, and each finds its planted violations. */
import t from 'tap';
import { newAgent, type Agent, type PendingStop } from '../../../core/domain/agent/agent.ts';
import { agentHistoryId, type AgentEventName, type StoredEvent } from '../../../core/domain/task/event.ts';
import type { Generation } from '../../../core/domain/ids.ts';
import { checkInvariants, type StoreState } from '../../../core/domain/invariants/invariants.ts';
import { NO_TERMS, type Task } from '../../../core/domain/task/task.ts';
import { decideAssign } from '../../../core/domain/transitions/assigning.ts';
import type { Transition } from '../../../core/domain/transitions/change.ts';
import * as reporting from '../../../core/domain/transitions/reporting.ts';
import { decideSubmit, type TaskDraft } from '../../../core/domain/transitions/submitting.ts';
import { decideCancel, decideReclaim } from '../../../core/domain/transitions/taking-back.ts';
import { aTaskId } from '../../product/contracts/fixtures.ts';
import { made, ME, NOW_MS, RULES } from './task-states.ts';

const by = { agentId: ME, session: 1 };
const failure = { error: 'boom', kind: 'agent_failed', retryable: true, details: null, tokensUsed: null, costUsd: null };
const success = { result: '1', details: null, tokensUsed: null, costUsd: null };
const SWEEP_MS = 30_000;

/** A store made by transitions alone. */
class Small {
  readonly tasks = new Map<string, Task>();
  readonly events: StoredEvent[] = [];
  stops: PendingStop[] = [];

  put(decided: Transition): Task {
    const { task, events, stop } = made(decided);
    this.tasks.set(task.id, task);
    for (const event of events) this.events.push({ ...event, id: this.events.length + 1 });
    if (stop !== null) this.stops.push(stop);
    return task;
  }
}

const draft = (n: number, over: Partial<TaskDraft> = {}): Omit<TaskDraft, 'body'> => ({
  id: aTaskId(n),
  priority: 'normal',
  neededCapabilities: [],
  assignTo: null,
  maxRetries: 1,
  ...NO_TERMS,
  dependsOn: [],
  ...over,
});

const agent: Agent = { ...newAgent(ME), slots: 3, sessionNumber: 1, connected: true, connectedAtMs: NOW_MS, hubId: 'hub-1' };

/** 1 failed once and runs again, 2 is completed, 3 waits for 1, 4 was cancelled while running and its stop is pending. */
function aStore(): { state: StoreState; events: StoredEvent[] } {
  const small = new Small();
  const nowMs = NOW_MS;
  const first = small.put(decideSubmit(draft(1), 'tok-1', true, nowMs));
  const second = small.put(decideSubmit(draft(2), 'tok-1', true, nowMs));
  small.put(decideSubmit(draft(3, { dependsOn: [first.id] }), 'tok-1', false, nowMs));
  const fourth = small.put(decideSubmit(draft(4), 'tok-1', true, nowMs));
  const failed = small.put(reporting.decideFail(small.put(decideAssign(first, by, nowMs, RULES)), by, failure, nowMs, RULES));
  const given = small.put(decideAssign(second, by, nowMs, RULES));
  small.put(reporting.decideComplete(given, by, success, nowMs));
  small.put(reporting.decideAccept(small.put(decideAssign({ ...failed, eligibleAtMs: nowMs }, by, nowMs, RULES)), by, nowMs, RULES));
  small.put(decideCancel(small.put(decideAssign(fourth, by, nowMs, RULES)), 'op', nowMs));
  const keys = [{ owner: 'tok-1', key: 'k', taskIds: [first.id] }];
  const tasks = [...small.tasks.values()];
  return { state: { tasks, agents: [agent], stops: small.stops, keys, sweepMs: SWEEP_MS, healthySinceMs: 0 }, events: small.events };
}

const found = (state: StoreState, events: readonly StoredEvent[], nowMs = NOW_MS): string =>
  [...new Set(checkInvariants(state, events, nowMs).map((violation) => violation.invariant))].sort().join(' ');

/** The store with one of its tasks changed. */
const withTask = (n: number, patch: Partial<Task>) => {
  const { state, events } = aStore();
  return { state: { ...state, tasks: state.tasks.map((task) => (task.id === aTaskId(n) ? { ...task, ...patch } : task)) }, events };
};
/** The store with the events of one of its tasks edited; those of the others come after them. */
const withEvents = (n: number, edit: (own: readonly StoredEvent[]) => readonly Partial<StoredEvent>[]) => {
  const { state, events } = aStore();
  const own = edit(events.filter((event) => event.taskId === aTaskId(n)));
  const others = events.filter((event) => event.taskId !== aTaskId(n));
  const numbered = own.map((event, place) => ({ ...(event as StoredEvent), seq: place + 1 }));
  return { state, events: [...others, ...numbered].map((event, place) => ({ ...event, id: place + 1 })) };
};

t.test('a clean store breaks no invariant', async (t) => {
  const { state, events } = aStore();
  t.same(checkInvariants(state, events, NOW_MS), []);
});

t.test('I9: a task stays blocked until its turn comes after its dependencies completed', async (t) => {
  const { state, events } = aStore();
  const found = (dependentsAfter: Task['dependentsAfter']) => {
    const patches: Readonly<Record<string, Partial<Task>>> = {
      [aTaskId(3)]: { dependsOn: [aTaskId(2)] },
      [aTaskId(2)]: { dependentsAfter },
    };
    const tasks = state.tasks.map((task) => ({ ...task, ...patches[task.id] }));
    return checkInvariants({ ...state, tasks }, events, NOW_MS).filter(({ invariant }) => invariant === 'I9').length;
  };
  t.strictSame([found(''), found(aTaskId(2)), found(aTaskId(3)), found(null)], [0, 0, 1, 1]);
});

const spare = (over: Partial<Agent>): Agent => ({ ...agent, id: 'spare' as never, connectedAtMs: NOW_MS - 100_000, ...over });

const PLANTED: readonly {
  readonly what: string;
  readonly wanted: string;
  readonly plant: () => { state: StoreState; events: readonly StoredEvent[] };
  readonly atMs?: number;
}[] = [
  { what: 'a retry without an event', wanted: 'I1', plant: () => withTask(1, { retryCount: 0 }) },
  {
    what: 'a generation raised without an event',
    wanted: 'I1 I15',
    plant: () => withTask(4, { generation: 1 as Generation, status: 'queued' }),
  },
  {
    what: 'an assignment with a lower generation',
    wanted: 'I1 I2 I6',
    plant: () =>
      withEvents(1, (own) =>
        own.map((event) => (event.event === 'assigned' && event.generation === 3 ? { ...event, generation: 0 as Generation } : event)),
      ),
  },
  {
    what: 'a generation assigned twice',
    wanted: 'I1 I2 I6',
    plant: () =>
      withEvents(1, (own) =>
        own.map((event) => (event.event === 'assigned' && event.generation === 3 ? { ...event, generation: 1 as Generation } : event)),
      ),
  },
  { what: 'a live task without a deadline', wanted: 'I3', plant: () => withTask(1, { deadlineAtMs: null }) },
  { what: 'a task with a deadline that is not live', wanted: 'I3', plant: () => withTask(2, { deadlineAtMs: NOW_MS + 1 }) },
  {
    what: 'a live task of a missing agent',
    wanted: 'I3',
    plant: () => ({ ...aStore(), state: { ...aStore().state, agents: [] } }),
  },
  {
    what: 'an assignment over the slots',
    wanted: 'I4',
    plant: () => ({ ...aStore(), state: { ...aStore().state, agents: [{ ...agent, slots: 1 }] } }),
  },
  {
    what: 'a second final event',
    wanted: 'I1 I14 I5',
    plant: () => withEvents(2, (own) => [...own, { ...own.at(-1), event: 'cancelled', session: null }]),
  },
  {
    what: 'an accepted report of another agent',
    wanted: 'I6',
    plant: () =>
      withEvents(2, (own) => own.map((event) => (event.event === 'completed' ? { ...event, agentId: 'other' as never } : event))),
  },
  {
    what: 'a report of a replaced session',
    wanted: 'I6',
    plant: () =>
      withEvents(1, (own) => own.map((event) => (event.event === 'accepted' && event.generation === 1 ? { ...event, session: 2 } : event))),
  },
  { what: 'more attempts than the round allows', wanted: 'I7', plant: () => withTask(1, { maxRetries: 0 }) },
  { what: 'a dead letter with retries left', wanted: 'I8', plant: deadTooEarly },
  { what: 'a dead letter without a reason', wanted: 'I1 I8', plant: () => withTask(2, { status: 'dead_letter', assignedTo: null }) },
  { what: 'blocked by a completed dependency', wanted: 'I9', plant: () => withTask(3, { dependsOn: [aTaskId(2)] }) },
  { what: 'blocked by a missing dependency', wanted: 'I9', plant: () => withTask(3, { dependsOn: [aTaskId(9)] }) },
  { what: 'live with an open dependency', wanted: 'I9', plant: () => withTask(1, { dependsOn: [aTaskId(3)] }) },
  {
    what: 'a duplicate idempotency key',
    wanted: 'I10',
    plant: () => ({ ...aStore(), state: { ...aStore().state, keys: [...aStore().state.keys, ...aStore().state.keys] } }),
  },
  {
    what: 'an idempotency key of a missing task',
    wanted: 'I10',
    plant: () => ({ ...aStore(), state: { ...aStore().state, keys: [{ owner: 'o', key: 'k', taskIds: [aTaskId(9)] }] } }),
  },
  { what: 'an expired lease that no sweep handles', wanted: 'I11', plant: aStore, atMs: NOW_MS + RULES.leaseMs + 2 * SWEEP_MS + 1 },
  { what: 'a waiting task next to a free agent', wanted: 'I12', plant: waitingBeside },
  {
    what: 'two events with the same ID',
    wanted: 'I14',
    plant: () => ({ ...aStore(), events: aStore().events.map((event) => ({ ...event, id: 1 })) }),
  },
  { what: 'an uncounted event', wanted: 'I14', plant: () => withTask(2, { eventSeq: 2 }) },
  {
    what: 'a lost event',
    wanted: 'I14',
    plant: () => ({ ...aStore(), events: aStore().events.filter((event) => event.taskId !== aTaskId(2) || event.event !== 'eligible') }),
  },
  { what: 'a duplicate agent', wanted: 'I14', plant: () => ({ ...aStore(), state: { ...aStore().state, agents: [agent, agent] } }) },
  { what: 'a stop of the current assignment', wanted: 'I15', plant: () => ({ ...aStore(), state: { ...aStore().state, stops: aStore().state.stops.map((stop) => ({ ...stop, taskId: aTaskId(1), generation: 3 })) } }) }, // prettier-ignore
  ...(
    [
      ['an agent that is disconnected by its events', { connected: true }, ['agent_connected', 'agent_disconnected']],
      ['an agent that is connected by its events', { connected: false }, ['agent_connected']],
      ['a drain without an event', { draining: true }, ['agent_connected']],
      ['the end of a drain without an event', {}, ['agent_connected', 'agent_draining']],
      ['a pause without an event', { pausedUntilMs: NOW_MS + 1 }, ['agent_connected', 'agent_paused', 'agent_resumed']],
      ['a missing event', { eventSeq: 2 }, ['agent_connected']],
    ] as const
  ).map(([what, over, names]) => ({ what, wanted: 'I16', plant: () => withAgentEvents(over, names) })),
];

/** The store with its agent changed, and with these events of the agent after all others. */
function withAgentEvents(over: Partial<Agent>, names: readonly AgentEventName[]) {
  const { state, events } = aStore();
  const own = names.map((event, place): StoredEvent => ({
    id: events.length + place + 1,
    taskId: agentHistoryId(ME),
    seq: place + 1,
    event,
    atMs: NOW_MS,
    agentId: ME,
    generation: null,
    session: 1,
    details: null,
  }));
  return { state: { ...state, agents: [{ ...agent, eventSeq: own.length, ...over }] }, events: [...events, ...own] };
}

/** Its history is valid: it failed once, of two allowed times. */
function deadTooEarly(): ReturnType<typeof aStore> {
  const small = new Small();
  const task = small.put(decideSubmit(draft(1), 'tok-1', true, NOW_MS));
  const dead = small.put(
    reporting.decideFail(small.put(decideAssign(task, by, NOW_MS, RULES)), by, { ...failure, retryable: false }, NOW_MS, RULES),
  );
  const state = { ...aStore().state, tasks: [{ ...dead, deadReason: 'retries_spent' as const }], stops: [], keys: [] };
  return { state, events: small.events };
}

function waitingBeside(): ReturnType<typeof aStore> {
  const small = new Small();
  const task = small.put(decideSubmit(draft(1), 'tok-1', true, NOW_MS - 100_000));
  small.put(
    decideReclaim(small.put(decideAssign(task, by, NOW_MS - 100_000, RULES)), { reason: 'not_held', stop: false }, NOW_MS - 90_000, RULES),
  );
  const state = { ...aStore().state, tasks: [...small.tasks.values()], agents: [agent, spare({})], stops: [], keys: [] };
  return { state, events: small.events };
}

t.test('I1 to I16: each planted violation is found', async (t) => {
  for (const { what, wanted, plant, atMs } of PLANTED) {
    const { state, events } = plant();
    t.equal(found(state, events, atMs), wanted, `${wanted}: ${what}`);
  }
});

t.test('I6 ignores removed agents, and events of an earlier agent with the same ID', async (t) => {
  const small = new Small();
  const assigned = small.put(decideAssign(small.put(decideSubmit(draft(1), 'tok-1', true, NOW_MS)), by, NOW_MS, RULES));
  small.put(reporting.decideComplete(assigned, by, success, NOW_MS));
  const foundOf = (agents: readonly Agent[]): string =>
    found({ ...aStore().state, tasks: [...small.tasks.values()], agents, stops: [], keys: [] }, small.events);
  const again: Agent = { ...newAgent(ME), sessionNumber: 0 };
  t.equal(foundOf([]), '');
  t.equal(foundOf([{ ...again, madeAtMs: NOW_MS + 1 }]), '');
  t.equal(foundOf([{ ...again, madeAtMs: NOW_MS }]), 'I6');
  t.equal(foundOf([again]), 'I6');
});

t.test('I16 accepts agents with consistent events, expired pauses, and agents without events', async (t) => {
  const foundOf = (over: Partial<Agent>, names: readonly AgentEventName[]): string => {
    const { state, events } = withAgentEvents(over, names);
    return found(state, events);
  };
  t.equal(foundOf({}, ['agent_connected']), '');
  t.equal(foundOf({ connected: false, draining: true }, ['agent_connected', 'agent_draining', 'agent_disconnected']), '');
  t.equal(foundOf({ pausedUntilMs: NOW_MS + 1 }, ['agent_connected', 'agent_paused']), '');
  t.equal(foundOf({}, ['agent_connected', 'agent_paused']), '', 'the pause has expired');
  t.equal(foundOf({ eventSeq: undefined }, []), '', 'a store from before agent events were stored');
});

t.test('I12 accepts every valid reason to wait', async (t) => {
  const { state, events } = waitingBeside();
  const excuses: readonly Partial<Agent>[] = [
    { connected: false },
    { draining: true },
    { slots: 0 },
    { pausedUntilMs: NOW_MS + 1 },
    { brokenUntilMs: NOW_MS - 1 },
    { busyUntilMs: NOW_MS + 1 },
    { connectedAtMs: NOW_MS - 1_000 },
  ];
  for (const excuse of excuses) t.equal(found({ ...state, agents: [agent, spare(excuse)] }, events), '', JSON.stringify(excuse));
  t.equal(found({ ...state, healthySinceMs: NOW_MS - 1_000 }, events), '', 'the hub was not healthy');
  t.equal(found({ ...state, tasks: state.tasks.map((task) => ({ ...task, parked: true })) }, events), '', 'parked');
});
