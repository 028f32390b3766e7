/** Which events follow from a change of an agent's row. */
import t from 'tap';
import { newAgent, type Agent } from '../../../core/domain/agent/agent.ts';
import { recordAgent } from '../../../core/domain/agent/agent-events.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { isAgentEvent } from '../../../core/domain/task/event.ts';

const NOW_MS = 1_800_000_000_000;
const ME = 'a1' as AgentId;
const away: Agent = newAgent(ME);
const here: Agent = { ...away, connected: true, sessionNumber: 3, hubId: 'hub-1', slots: 2, eventSeq: 7 };

const CASES: readonly (readonly [
  what: string,
  before: Agent | undefined,
  after: Agent,
  events: readonly (readonly [string, unknown])[],
])[] = [
  ['a new agent', undefined, away, []],
  ['a first connection', undefined, here, [['agent_connected', { hub_id: 'hub-1', slots: 2 }]]],
  ['a connection', { ...here, connected: false }, here, [['agent_connected', { hub_id: 'hub-1', slots: 2 }]]],
  ['a connection in place of another', here, { ...here, sessionNumber: 4 }, [['agent_connected', { hub_id: 'hub-1', slots: 2 }]]],
  [
    'the end of a connection',
    here,
    { ...here, connected: false, disconnectedAtMs: NOW_MS - 5 },
    [['agent_disconnected', { disconnected_at: NOW_MS - 5 }]],
  ],
  ['a drain by an operator', here, { ...here, draining: true }, [['agent_draining', { by: 'operator', until: null }]]],
  ['a drain by the agent itself', here, { ...here, ownDrain: 'reboot' }, [['agent_draining', { by: 'agent', reason: 'reboot' }]]],
  ['the end of a drain', { ...here, draining: true }, here, [['agent_resumed', null]]],
  [
    'a pause',
    here,
    { ...here, pausedUntilMs: NOW_MS + 9, pausedReason: 'quota', pausedCause: 'rate_limited' },
    [['agent_paused', { cause: 'rate_limited', reason: 'quota', until: NOW_MS + 9 }]],
  ],
  [
    'a longer pause',
    { ...here, brokenUntilMs: NOW_MS + 1, brokenReason: 'x' },
    { ...here, brokenUntilMs: NOW_MS + 9, brokenReason: 'x' },
    [['agent_paused', { cause: 'breaker', reason: 'x', until: NOW_MS + 9 }]],
  ],
  [
    'a failed check',
    here,
    { ...here, checks: { atMs: NOW_MS, failed: [{ check: 'program', message: 'There is no "claude".' }], passed: [] } },
    [['agent_paused', { cause: 'checks', reason: 'program: There is no "claude".', until: null }]],
  ],
  ['a pause that has ended by time and is cleared', { ...here, pausedUntilMs: NOW_MS }, here, []],
  ['a pause that is cleared', { ...here, pausedUntilMs: NOW_MS + 1 }, here, [['agent_resumed', null]]],
  [
    'the end of a drain amid a pause',
    { ...here, draining: true, pausedUntilMs: NOW_MS + 1 },
    { ...here, pausedUntilMs: NOW_MS + 1 },
    [['agent_paused', { cause: 'agent', reason: null, until: NOW_MS + 1 }]],
  ],
  [
    'a connection of an agent that drains itself',
    { ...here, connected: false },
    { ...here, ownDrain: 'reboot' },
    [
      ['agent_connected', { hub_id: 'hub-1', slots: 2 }],
      ['agent_draining', { by: 'agent', reason: 'reboot' }],
    ],
  ],
  [
    'any change of a row without events',
    { ...here, draining: true, eventSeq: undefined },
    { ...here, draining: true, assignedCount: 1 },
    [
      ['agent_connected', { hub_id: 'hub-1', slots: 2 }],
      ['agent_draining', { by: 'operator', until: null }],
    ],
  ],
  [
    'changes that are not events',
    here,
    { ...here, assignedCount: 9, resources: {}, reportedStatus: 'working', busyUntilMs: NOW_MS + 1 },
    [],
  ],
];

t.test('each change of presence or availability is an event, and nothing else is', async (t) => {
  for (const [what, before, after, wanted] of CASES) {
    const { agent, events } = recordAgent(before, after, NOW_MS);
    t.strictSame(
      events.map(({ event, details }) => [event, details]),
      wanted,
      what,
    );
    t.ok(events.every((event) => isAgentEvent(event) && event.agentId === ME && event.atMs === NOW_MS));
    t.strictSame({ ...agent, eventSeq: null }, { ...after, eventSeq: null }, 'the row is unchanged except for the count');
  }
});

t.test('event numbers only grow, whichever row the change started from', async (t) => {
  const first = recordAgent(here, { ...here, connected: false }, NOW_MS);
  t.equal(first.events[0]?.seq, 8);
  // A row from before the change, with a lower count.
  const second = recordAgent(first.agent, here, NOW_MS);
  t.strictSame([second.events[0]?.seq, second.agent.eventSeq], [9, 9]);
  t.equal(recordAgent(second.agent, { ...here, slots: 1 }, NOW_MS).agent.eventSeq, 9, 'a change without an event does not lower it');
  const remade = recordAgent(undefined, { ...here, eventSeq: undefined, madeAtMs: NOW_MS }, NOW_MS);
  t.equal(remade.events[0]?.seq, NOW_MS + 1, 'above those of a removed agent with the same id');
});
