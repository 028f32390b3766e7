/** The agents: where each runs, what it does, why it gets no tasks, and what can be done about that. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AgentJson, Page } from '../../client/types.ts';
import { canOperate, get } from '../hub/hub-requests.ts';
import { href, place, setFilters } from '../hub/routing.ts';
import { checkAgent, drainAgent, resumeAgent } from '../hub/task-actions.ts';
import { useLive, type Live } from '../hub/use-live.ts';
import { AgentBulk, DrainWithin, isHeldBack, type AgentBulkAction } from '../lists/agent-bulk.tsx';
import { BulkBar } from '../lists/bulk-bar.tsx';
import { useSelection } from '../lists/use-selection.ts';
import { AgentBadge } from '../parts/badges.tsx';
import { attempt } from '../parts/messages.tsx';
import { Modal } from '../parts/modal.tsx';
import { Ago } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading } from '../parts/notices.tsx';
import { TextFilter } from '../parts/text-filter.tsx';
import { LineText, startOf, visibleText } from '../parts/untrusted-text.tsx';
import { useKeys } from '../parts/use-keys.ts';

const PAGE_ROWS = 500;
/** More agents than this are not listed. */
const AGENTS_MAX = 5_000;
/** As many are drawn at first: each is about forty elements, which change all the time. */
const DRAWN_FIRST = 100;
const GAP_MS = 2_000;
/** A new agent, for one, has no event of its own until it connects, milliseconds. */
const OTHERS_WITHIN_MS = 30_000;

export async function readAgents(stop: AbortSignal): Promise<readonly AgentJson[]> {
  let all: readonly AgentJson[] = [];
  let cursor: string | null = null;
  do {
    const more: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<'agents', AgentJson> = await get(`/api/agents?limit=${PAGE_ROWS}${more}`, stop);
    all = [...all, ...page.agents];
    cursor = page.next_cursor;
  } while (cursor !== null && all.length < AGENTS_MAX);
  return all;
}

/** These end by themselves. */
export const timesOf = (agent: AgentJson): readonly unknown[] => [
  agent.paused_until,
  agent.busy_until,
  agent.conflict_until,
  agent.waiting_for?.until,
];

export const useAgents = (): Live<readonly AgentJson[]> =>
  useLive('agents', readAgents, {
    gapMs: GAP_MS,
    // What changes an agent names it. The progress of a task, which may come often, changes nothing that is shown of its agent.
    concerns: ({ event, agent_id: id }) => typeof id === 'string' && event !== 'progress',
    othersWithinMs: OTHERS_WITHIN_MS,
    changesAt: (agents) => agents.flatMap(timesOf),
  });

/** Why an agent needs attention, in one sentence; null if it does not. */
export function troubleOf(agent: AgentJson): string | null {
  const failed = agent.checks?.failed[0];
  if (failed !== undefined) return `${failed.check}: ${failed.message}`;
  if (agent.status === 'paused') return agent.paused_reason ?? 'It is paused.';
  if (typeof agent.conflict_until === 'number') return 'Two machines seem to use this agent ID.';
  return null;
}

export const slotsTaken = (agent: AgentJson): number => agent.tasks.length + agent.pending_stops;

const FILTERS = ['needs attention', 'working', 'idle', 'paused', 'draining', 'stopping', 'offline'] as const;
type Filter = (typeof FILTERS)[number];
export const ATTENTION_FILTER: Filter = 'needs attention';

const matches = (agent: AgentJson, filter: string): boolean =>
  filter === ATTENTION_FILTER ? troubleOf(agent) !== null : agent.status === filter;

/** Whether its ID, its name or one of its capabilities contains the text, in upper or lower case. */
function isAbout({ agent_id: id, name, capabilities }: AgentJson, text: string): boolean {
  const wanted = text.toLowerCase();
  return [id, name, ...capabilities].some((word) => word.toLowerCase().includes(wanted));
}

export function AgentsPage(): JSX.Element {
  const { data: agents, error, reload } = useAgents();
  const status = place.value.query.get('status');
  const text = place.value.query.get('text') ?? undefined;
  const found = (agents ?? []).filter((agent) => text === undefined || isAbout(agent, text));
  const shown = found.filter((agent) => status === null || matches(agent, status));
  const change = (more: Readonly<Record<string, string | undefined>>): void =>
    setFilters(['agents'], { status: status ?? undefined, text, ...more });
  return (
    <>
      <div class="page-head">
        <h1>Agents</h1>
      </div>
      <ErrorNotice error={error} onRetry={reload} />
      {agents === undefined && error === null && <Loading />}
      {agents?.length === 0 && (
        <Empty title="No agent has connected yet.">
          Start one beside the hub with <code>agentcom sidecar</code>, or on another machine after{' '}
          <code>agentcom tokens create --agent NAME</code>.
        </Empty>
      )}
      {agents !== undefined && agents.length > 0 && (
        <>
          <div class="filters">
            <div class="chips" role="group" aria-label="State">
              {FILTERS.map((each) => (
                <button
                  key={each}
                  type="button"
                  class="chip"
                  aria-pressed={status === each}
                  onClick={() => change({ status: status === each ? undefined : each })}
                >
                  {each}
                  <span class="chip-count">{found.filter((agent) => matches(agent, each)).length}</span>
                </button>
              ))}
            </div>
            <TextFilter label="Name or capability" value={text} onChange={(next) => change({ text: next })} />
          </div>
          <AgentList key={`${status ?? ''} ${text ?? ''}`} agents={agents} shown={shown} onDone={reload} />
        </>
      )}
    </>
  );
}

/** `shown`: those that match the filters. */
function AgentList({ agents, shown, onDone }: AgentListProps): JSX.Element {
  const [all, setAll] = useState(false);
  const { chosen, toggle, clear } = useSelection<AgentJson>(({ agent_id: id }) => id);
  const [bulk, setBulk] = useState<{ readonly action: AgentBulkAction; readonly agents: readonly AgentJson[] } | null>(null);
  const [at, setAt] = useState<string | null>(null);
  const drawn = shown.slice(0, all ? AGENTS_MAX : DRAWN_FIRST);
  const index = drawn.findIndex(({ agent_id: id }) => id === at);

  const moveTo = (next: number): void => {
    const agent = drawn[Math.max(0, Math.min(drawn.length - 1, next))];
    if (agent === undefined) return;
    setAt(agent.agent_id);
    document.getElementById(cardId(agent))?.focus();
  };
  useKeys({
    j: () => moveTo(index + 1),
    k: () => moveTo(index - 1),
    x: () => {
      const agent = drawn[index];
      if (agent !== undefined && canOperate()) toggle(agent);
    },
  });
  /** As they are now; one that is gone, as it was when it was selected. */
  const selected = (): readonly AgentJson[] => [...chosen].map(([id, before]) => agents.find((agent) => agent.agent_id === id) ?? before);
  const begin = (action: AgentBulkAction): void => setBulk({ action, agents: chosen.size > 0 ? selected() : shown });

  return (
    <>
      {shown.length === 0 && (
        <Empty title="No agent matches these filters.">
          <a href={href(['agents'])}>Show all agents</a>
        </Empty>
      )}
      {(shown.length > 0 || chosen.size > 0) && canOperate() && (
        <div class="list-bar">
          <BulkBar
            selected={chosen.size}
            actions={[
              ['Drain', () => begin('drain')],
              ['Resume', () => begin('resume')],
            ]}
            onClear={clear}
          />
        </div>
      )}
      <ul class="agent-list">
        {drawn.map((agent) => (
          <AgentCard
            key={agent.agent_id}
            agent={agent}
            isChosen={chosen.has(agent.agent_id)}
            onToggle={canOperate() ? toggle : null}
            onDone={onDone}
          />
        ))}
      </ul>
      {!all && shown.length > DRAWN_FIRST && (
        <button type="button" class="link" onClick={() => setAll(true)}>
          Show all {shown.length.toLocaleString('en')} agents
        </button>
      )}
      {bulk !== null && (
        <AgentBulk
          {...bulk}
          onClose={() => {
            setBulk(null);
            clear();
            onDone();
          }}
        />
      )}
    </>
  );
}

interface AgentListProps {
  readonly agents: readonly AgentJson[];
  readonly shown: readonly AgentJson[];
  readonly onDone: () => void;
}

const cardId = ({ agent_id: id }: AgentJson): string => `agent-${id}`;

function AgentCard({ agent, isChosen, onToggle, onDone }: AgentCardProps): JSX.Element {
  const trouble = troubleOf(agent);
  return (
    <li class={`agent-card${trouble === null ? '' : ' is-troubled'}`}>
      <div class="agent-card-head">
        {onToggle !== null && (
          <input
            type="checkbox"
            aria-label={`Select ${visibleText(startOf(agent.agent_id, 80))}`}
            checked={isChosen}
            onChange={() => onToggle(agent)}
          />
        )}
        <a id={cardId(agent)} class="agent-name" href={href(['agents', agent.agent_id])}>
          <LineText text={agent.agent_id} max={80} />
        </a>
        <AgentBadge status={agent.status} />
      </div>
      <SlotMeter agent={agent} />
      {trouble !== null && (
        <p class="agent-trouble">
          <LineText text={trouble} max={300} />
        </p>
      )}
      <dl class="agent-facts">
        <div>
          <dt>Runs</dt>
          <dd>
            <TaskNames agent={agent} />
          </dd>
        </div>
        <div>
          <dt>Can</dt>
          <dd>
            {agent.capabilities.length === 0 ? <span class="muted">–</span> : <LineText text={agent.capabilities.join(', ')} max={120} />}
          </dd>
        </div>
        <div>
          <dt>{agent.connected ? 'Connected' : 'Last seen'}</dt>
          <dd>
            <Ago at={agent.connected ? agent.connected_at : agent.last_seen} />
          </dd>
        </div>
      </dl>
      <AgentActions agent={agent} onDone={onDone} />
    </li>
  );
}

interface AgentProps {
  readonly agent: AgentJson;
  readonly onDone: () => void;
}

interface AgentCardProps extends AgentProps {
  readonly isChosen: boolean;
  /** Null: the user may not act on agents. */
  readonly onToggle: ((agent: AgentJson) => void) | null;
}

const TASKS_SHOWN = 3;

function TaskNames({ agent: { tasks } }: { readonly agent: AgentJson }): JSX.Element {
  if (tasks.length === 0) return <span class="muted">nothing</span>;
  return (
    <>
      {tasks.slice(0, TASKS_SHOWN).map(({ task_id: id }) => (
        <a key={id} class="mono task-name" href={href(['tasks', id])}>
          <LineText text={id} max={40} />
        </a>
      ))}
      {tasks.length > TASKS_SHOWN && <span class="muted"> and {tasks.length - TASKS_SHOWN} more</span>}
    </>
  );
}

export function SlotMeter({ agent }: { readonly agent: AgentJson }): JSX.Element {
  const taken = slotsTaken(agent);
  return (
    <div class="slots">
      <meter min={0} max={Math.max(1, agent.slots)} value={Math.min(taken, agent.slots)} aria-label="Slots taken" />
      <span>
        {taken} of {agent.slots} {agent.slots === 1 ? 'slot' : 'slots'}
        {agent.pending_stops > 0 && `, ${agent.pending_stops} stopping`}
      </span>
    </div>
  );
}

export function AgentActions({ agent, onDone }: AgentProps): JSX.Element | null {
  const [isConfirming, setIsConfirming] = useState(false);
  const [within, setWithin] = useState<number | undefined>(undefined);
  if (!canOperate()) return null;
  const { agent_id: id } = agent;
  const run = (done: string, action: () => Promise<unknown>): void => void attempt(done, action).then(onDone);
  return (
    <div class="agent-actions">
      {isHeldBack(agent) ? (
        <button type="button" class="small" onClick={() => run('It gets tasks again if its checks pass.', () => resumeAgent(id))}>
          Resume
        </button>
      ) : (
        <button type="button" class="small" onClick={() => setIsConfirming(true)}>
          Drain…
        </button>
      )}
      <button
        type="button"
        class="small"
        disabled={!agent.connected}
        title={agent.connected ? undefined : 'It is not connected'}
        onClick={() => run('Its sidecar has run its checks.', () => checkAgent(id))}
      >
        Check
      </button>
      {isConfirming && (
        <Modal title="Drain this agent?" onClose={() => setIsConfirming(false)}>
          <p>
            <LineText text={id} max={80} /> finishes what it has and gets no new tasks until it is resumed, even if its sidecar restarts.
          </p>
          <DrainWithin value={within} onChange={setWithin} />
          <div class="modal-end">
            <button
              type="button"
              class="primary"
              onClick={() => {
                setIsConfirming(false);
                run('It gets no new tasks.', () => drainAgent(id, within));
              }}
            >
              Drain
            </button>
          </div>
        </Modal>
      )}
    </div>
  );
}
