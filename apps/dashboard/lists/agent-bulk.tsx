/** Drains or resumes many agents. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AgentJson } from '../../client/types.ts';
import { drainAgent, resumeAgent } from '../hub/task-actions.ts';
import { AgentBadge } from '../parts/badges.tsx';
import { TimeChoice, type TimeChoices } from '../parts/time-choice.tsx';
import { LineText } from '../parts/untrusted-text.tsx';
import { BulkDialog, type BulkPlan } from './bulk-dialog.tsx';

const DRAIN_WITHIN: TimeChoices = [
  ['however long it takes', undefined],
  ['within 1 minute', 60_000],
  ['within 10 minutes', 600_000],
  ['within 1 hour', 3_600_000],
];

/** How long the runs of an agent that is drained may take, milliseconds; undefined: as long as they need. */
export function DrainWithin({ value, onChange }: DrainWithinProps): JSX.Element {
  return (
    <>
      <TimeChoice label="Finish runs" choices={DRAIN_WITHIN} value={value} onChange={onChange} />
      <p class="muted">Runs that are not finished by then are stopped and handed back, which uses up no retry.</p>
    </>
  );
}

interface DrainWithinProps {
  readonly value: number | undefined;
  readonly onChange: (ms: number | undefined) => void;
}

/** Whether it gets no tasks until it is resumed, or until the reason for that has gone. */
export const isHeldBack = (agent: AgentJson): boolean => agent.draining === true || agent.status === 'paused';

export type AgentBulkAction = 'drain' | 'resume';

const PLANS = {
  drain: {
    verb: 'Drain',
    done: 'drained',
    can: (agent) => agent.draining !== true,
    only: 'Only agents that are not drained yet can be drained.',
    more: () => '. A drained agent finishes what it has and gets no new tasks until it is resumed',
  },
  resume: {
    verb: 'Resume',
    done: 'resumed',
    can: isHeldBack,
    only: 'Only drained or paused agents can be resumed.',
    more: () => '. A resumed agent gets tasks again if its checks pass',
  },
} as const satisfies Record<AgentBulkAction, Partial<BulkPlan<AgentJson>>>;

export function AgentBulk({ action, agents, onClose }: AgentBulkProps): JSX.Element {
  const [within, setWithin] = useState<number | undefined>(undefined);
  const plan: BulkPlan<AgentJson> = {
    ...PLANS[action],
    noun: ['agent', 'agents'],
    isDanger: false,
    find: (_stop, onFound) => Promise.resolve(onFound(agents)),
    keyOf: ({ agent_id: id }) => id,
    line: (agent) => (
      <>
        <AgentBadge status={agent.status} /> <LineText text={agent.agent_id} max={80} />
      </>
    ),
    act: ({ agent_id: id }) => (action === 'drain' ? drainAgent(id, within) : resumeAgent(id)),
    options: action === 'drain' ? <DrainWithin value={within} onChange={setWithin} /> : undefined,
  };
  return <BulkDialog plan={plan} onClose={onClose} />;
}

interface AgentBulkProps {
  readonly action: AgentBulkAction;
  readonly agents: readonly AgentJson[];
  readonly onClose: () => void;
}
