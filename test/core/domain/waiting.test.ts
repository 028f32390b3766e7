import t from 'tap';
import type { Agent } from '../../../core/domain/agent/agent.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { AgentLoad } from '../../../core/domain/waiting/agent-waiting.ts';
import { explainWaiting, type WaitingFor } from '../../../core/domain/waiting/waiting-for.ts';
import { NAMED_MAX } from '../../../core/domain/waiting/words.ts';
import { A_MOMENT_MS as NOW, aRequirement, aTask, aTaskId, anAgent, anAgentId, anAssignedTask } from '../../product/contracts/fixtures.ts';

const load = (name: string, over: Partial<Agent> = {}, liveCount = 0, stopCount = 0): AgentLoad => ({
  agent: anAgent({ id: anAgentId(name), ...over }),
  liveCount,
  stopCount,
});
const offline = { connected: false, disconnectedAtMs: NOW - 300_000 };
const blocked = (...dependsOn: readonly number[]): Task => aTask({ status: 'blocked', dependsOn: dependsOn.map(aTaskId) });
const needs = (...capabilities: readonly string[]): Task => aTask({ requirement: aRequirement(capabilities) });
const forA1 = (...capabilities: readonly string[]): Task => aTask({ requirement: aRequirement(capabilities, 'a1') });

type Told = Omit<WaitingFor, 'kind' | 'agents'> & { readonly agents?: readonly Omit<NonNullable<WaitingFor['agents']>[number], 'kind'>[] };

interface Case {
  readonly name: string;
  readonly task: Task;
  readonly dependencies?: readonly Pick<Task, 'id' | 'status'>[];
  readonly agents?: readonly AgentLoad[];
  /** Partial: situations.test.ts covers every kind. */
  readonly want: Told | null;
}

const CASES: readonly Case[] = [
  { name: 'an assigned task waits for nothing', task: anAssignedTask(anAgentId()), want: null },
  { name: 'an assigned task not yet accepted waits for nothing', task: anAssignedTask(anAgentId(), { acceptedAtMs: null }), want: null },
  { name: 'a completed task waits for nothing', task: aTask({ status: 'completed' }), want: null },
  { name: 'a cancelled task waits for nothing', task: aTask({ status: 'cancelled' }), want: null },
  { name: 'a dead letter waits for nothing', task: aTask({ status: 'dead_letter' }), want: null },
  {
    name: 'a scheduled task waits for its time',
    task: aTask({ status: 'scheduled', runAtMs: NOW + 7_200_000 }),
    want: { reason: 'scheduled', message: 'It is scheduled to start in 2 h (run_at).', untilMs: NOW + 7_200_000 },
  },
  {
    name: 'a scheduled task whose time has come waits for the next sweep',
    task: aTask({ status: 'scheduled', runAtMs: NOW }),
    want: { reason: 'scheduled', message: 'Its run_at has passed: the next sweep queues it.' },
  },
  {
    name: 'a blocked task names its open dependencies only',
    task: blocked(2, 3, 4),
    dependencies: [
      { id: aTaskId(2), status: 'completed' },
      { id: aTaskId(3), status: 'assigned' },
      { id: aTaskId(4), status: 'queued' },
    ],
    want: {
      reason: 'dependency',
      message: `It waits for ${aTaskId(3)} (assigned) and ${aTaskId(4)} (queued) to complete.`,
      tasks: [aTaskId(3), aTaskId(4)],
    },
  },
  {
    name: 'an unknown dependency counts as open',
    task: blocked(2),
    want: { reason: 'dependency', message: `It waits for ${aTaskId(2)} (unknown) to complete.`, tasks: [aTaskId(2)] },
  },
  {
    name: 'a dependency in the dead letter can be retried',
    task: blocked(2, 3),
    dependencies: [
      { id: aTaskId(2), status: 'dead_letter' },
      { id: aTaskId(3), status: 'queued' },
    ],
    want: {
      reason: 'dependency_failed',
      message: `It depends on ${aTaskId(2)} (dead_letter), which did not complete: retry what failed, or cancel this task.`,
      tasks: [aTaskId(2)],
    },
  },
  {
    name: 'a cancelled dependency never completes',
    task: blocked(2),
    dependencies: [{ id: aTaskId(2), status: 'cancelled' }],
    want: {
      reason: 'dependency_failed',
      message: `It depends on ${aTaskId(2)} (cancelled), which did not complete: cancel this task, since a cancelled one never completes.`,
      tasks: [aTaskId(2)],
    },
  },
  {
    name: 'with all dependencies completed it waits for the next sweep',
    task: blocked(2),
    dependencies: [{ id: aTaskId(2), status: 'completed' }],
    want: { reason: 'dependency', message: 'All its dependencies have completed: the next sweep queues it.' },
  },
  {
    name: 'parked is reported before anything about agents',
    task: aTask({ parked: true, handBacks: 10, eligibleAtMs: NOW + 60_000 }),
    agents: [load('a1')],
    want: { reason: 'parked', message: 'It was handed back or not accepted 10 times in a row and is parked: retry requeues it.' },
  },
  {
    name: 'a backoff ends by itself',
    task: aTask({ eligibleAtMs: NOW + 8_000 }),
    agents: [load('a1')],
    want: { reason: 'backoff', message: 'It is retried in 8 s, after a backoff.', untilMs: NOW + 8_000 },
  },
  { name: 'no agents', task: aTask(), want: { reason: 'agent_unknown', message: 'No agent is known to this hub yet.' } },
  {
    name: 'the named agent is unknown',
    task: forA1(),
    agents: [load('b1')],
    want: { reason: 'agent_unknown', message: 'It may run only on agent a1, which this hub does not know.' },
  },
  {
    name: 'names the capability that no agent has, and no other',
    task: needs('code', 'gpu'),
    agents: [load('a1', { capabilities: ['code'] })],
    want: {
      reason: 'capabilities',
      message: 'No agent has "gpu": the only agent lacks it. The nearest agent, a1, lacks only "gpu".',
      capabilities: ['gpu'],
    },
  },
  {
    name: 'no single agent has all capabilities',
    task: needs('code', 'gpu'),
    agents: [load('a1', { capabilities: ['code'] }), load('b1', { capabilities: ['gpu'] })],
    want: {
      reason: 'capabilities',
      message: 'No single agent has all of "code" and "gpu". The nearest agent, a1, lacks only "gpu".',
      capabilities: ['code', 'gpu'],
    },
  },
  {
    name: 'the named agent lacks a capability',
    task: forA1('code', 'gpu'),
    agents: [load('a1', { capabilities: ['code'] }), load('b1', { capabilities: ['code', 'gpu'] })],
    want: { reason: 'capabilities', message: 'It may run only on agent a1, which lacks "gpu".', capabilities: ['gpu'] },
  },
  {
    name: 'the named agent is offline, while others are free',
    task: forA1(),
    agents: [load('a1', offline), load('b1')],
    want: {
      reason: 'agent_offline',
      message: 'Only a1 may run it, and a1 has been offline for 5 min.',
      agents: [{ agentId: anAgentId('a1'), blocker: 'offline', message: 'has been offline for 5 min' }],
    },
  },
  {
    name: 'the named agent has never connected',
    task: forA1(),
    agents: [load('a1', { connected: false, disconnectedAtMs: null })],
    want: {
      reason: 'agent_offline',
      message: 'Only a1 may run it, and a1 has never connected.',
      agents: [{ agentId: anAgentId('a1'), blocker: 'offline', message: 'has never connected' }],
    },
  },
  {
    name: 'the named agent is paused, with the reason',
    task: forA1(),
    agents: [load('a1', { pausedUntilMs: NOW + 60_000, pausedReason: 'not logged in' })],
    want: {
      reason: 'agent_paused',
      message: 'Only a1 may run it, and a1 is paused for 60 s (not logged in).',
      untilMs: NOW + 60_000,
      agents: [{ agentId: anAgentId('a1'), blocker: 'paused', message: 'is paused for 60 s (not logged in)' }],
    },
  },
  {
    name: 'the named agent is draining',
    task: forA1(),
    agents: [load('a1', { draining: true })],
    want: {
      reason: 'agent_draining',
      message: 'Only a1 may run it, and a1 is draining and accepts no new tasks.',
      agents: [{ agentId: anAgentId('a1'), blocker: 'draining', message: 'is draining and accepts no new tasks' }],
    },
  },
  {
    name: 'the only able agent is busy, a stop counting as a slot',
    task: needs('gpu'),
    agents: [load('a1', { capabilities: ['gpu'], slots: 2 }, 1, 1), load('b1')],
    want: {
      reason: 'agent_busy',
      message: 'Only one agent can run it: a1 has 1 of 2 slots in use and waits for 1 to stop.',
      agents: [{ agentId: anAgentId('a1'), blocker: 'busy', message: 'has 1 of 2 slots in use and waits for 1 to stop' }],
    },
  },
  {
    name: 'all able agents blocked, the soonest to clear first',
    task: aTask(),
    agents: [load('a1', offline), load('b1', { draining: true }), load('c1', { pausedUntilMs: NOW + 4_000 }), load('d1', {}, 1)],
    want: {
      reason: 'agents_unavailable',
      message:
        '4 agents can run it; none is free: d1 has 1 of 1 slots in use, c1 is paused for 4 s, b1 is draining and accepts no new tasks and a1 has been offline for 5 min.',
      untilMs: NOW + 4_000,
      agents: [
        { agentId: anAgentId('d1'), blocker: 'busy', message: 'has 1 of 1 slots in use' },
        { agentId: anAgentId('c1'), blocker: 'paused', message: 'is paused for 4 s' },
        { agentId: anAgentId('b1'), blocker: 'draining', message: 'is draining and accepts no new tasks' },
        { agentId: anAgentId('a1'), blocker: 'offline', message: 'has been offline for 5 min' },
      ],
    },
  },
  {
    name: 'an expired pause blocks no agent',
    task: aTask(),
    agents: [load('a1', offline), load('b1', { pausedUntilMs: NOW })],
    want: { reason: 'about_to_be_assigned', message: 'Agent b1 can run it and has a free slot: it is about to be assigned.' },
  },
  {
    name: 'an assigned task that its agent has started waits for nothing',
    task: anAssignedTask(anAgentId('a1'), { wokenAtMs: NOW }),
    agents: [load('a1')],
    want: null,
  },
  {
    name: 'an assigned task whose agent is away reports since when and until when',
    task: anAssignedTask(anAgentId('a1'), { deadlineAtMs: NOW + 180_000 }),
    agents: [load('a1', offline)],
    want: {
      reason: 'agent_away',
      message: 'Its agent a1 has been away for 5 min: unless it reconnects, the task is reclaimed in 3 min.',
      untilMs: NOW + 180_000,
      agents: [{ agentId: anAgentId('a1'), blocker: 'offline', message: 'has been away for 5 min' }],
    },
  },
  {
    name: 'once that time has passed, it reports what it waits for next',
    task: anAssignedTask(anAgentId('a1'), { deadlineAtMs: NOW - 1 }),
    agents: [load('a1', offline)],
    want: {
      reason: 'agent_away',
      message:
        'Its agent a1 has been away for 5 min: its deadline has passed, and the task is reclaimed by the next sweep, or when the quiet period after a hub disturbance ends.',
      untilMs: NOW - 1,
      agents: [{ agentId: anAgentId('a1'), blocker: 'offline', message: 'has been away for 5 min' }],
    },
  },
];

t.test('the reason is one true sentence', async (t) => {
  for (const { name, task, dependencies = [], agents = [], want } of CASES) {
    const waiting = explainWaiting(task, { dependencies, agents, nowMs: NOW });
    if (want === null) t.equal(waiting, null, name);
    else t.match(waiting, want, name);
    for (const field of ['untilMs', 'tasks', 'capabilities', 'agents'] as const)
      t.equal(waiting?.[field] === undefined, want?.[field] === undefined, `${name}: ${field}`);
  }
});

t.test('agents beyond the bound are counted, not named', async (t) => {
  const agents = Array.from({ length: NAMED_MAX + 5 }, (_, n) => load(`a${n}`, {}, 1));
  const waiting = explainWaiting(aTask(), { dependencies: [], agents, nowMs: NOW });
  t.equal(waiting?.reason, 'agent_busy');
  t.equal(waiting?.agents?.length, NAMED_MAX);
  t.match(waiting?.message, /^15 agents can run it; none is free: a0 .* and 5 more\.$/);
});

t.test('durations use the largest meaningful unit', async (t) => {
  const messageAfter = (ms: number): string | undefined =>
    explainWaiting(aTask({ eligibleAtMs: NOW + ms }), { dependencies: [], agents: [], nowMs: NOW })?.message;
  for (const [ms, words] of [
    [1, '1 ms'],
    [1_999, '1999 ms'],
    [2_000, '2 s'],
    [119_999, '120 s'],
    [120_000, '2 min'],
    [7_200_000, '2 h'],
    [172_800_000, '2 d'],
  ] as const) {
    t.equal(messageAfter(ms), `It is retried in ${words}, after a backoff.`);
  }
});
