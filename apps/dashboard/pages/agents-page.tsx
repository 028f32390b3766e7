/** The agents: where each runs, what it does, why it gets no tasks, and what can be done about that. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AgentJson, Page } from '../../client/types.ts';
import { canOperate, get } from '../hub/hub-requests.ts';
import { href, place, setFilters } from '../hub/routing.ts';
import { checkAgent, drainAgent, resumeAgent } from '../hub/task-actions.ts';
import { useLive, type Live } from '../hub/use-live.ts';
import { AgentBadge } from '../parts/badges.tsx';
import { attempt } from '../parts/messages.tsx';
import { Modal } from '../parts/modal.tsx';
import { Ago } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading, Panel } from '../parts/notices.tsx';
import { JsonText, LineText } from '../parts/untrusted-text.tsx';

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
const timesOf = (agent: AgentJson): readonly unknown[] => [
  agent['paused_until'],
  agent['busy_until'],
  agent['conflict_until'],
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

/** Why an agent needs somebody, in one sentence; null if it does not. */
export function troubleOf(agent: AgentJson): string | null {
  const failed = agent.checks?.failed[0];
  if (failed !== undefined) return `${failed.check}: ${failed.message}`;
  if (agent.status === 'paused') return agent.paused_reason ?? 'It is paused.';
  if (typeof agent['conflict_until'] === 'number') return 'Two machines seem to use this agent ID.';
  return null;
}

export const slotsTaken = (agent: AgentJson): number => agent.tasks.length + agent.pending_stops;

const STATUSES = ['working', 'idle', 'paused', 'draining', 'stopping', 'offline'] as const;

export function AgentsPage(): JSX.Element {
  const { data: agents, error, reload } = useAgents();
  const [all, setAll] = useState(false);
  const status = place.value.query.get('status');
  const shown = (agents ?? []).filter((agent) => status === null || agent.status === status);
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
              {STATUSES.map((each) => (
                <button
                  key={each}
                  type="button"
                  class="chip"
                  aria-pressed={status === each}
                  onClick={() => setFilters(['agents'], { status: status === each ? undefined : each })}
                >
                  {each}
                  <span class="chip-count">{agents.filter((agent) => agent.status === each).length}</span>
                </button>
              ))}
            </div>
          </div>
          {shown.length === 0 && <Empty title="No agent is in this state." />}
          <ul class="agent-list">
            {shown.slice(0, all ? AGENTS_MAX : DRAWN_FIRST).map((agent) => (
              <AgentCard key={agent.agent_id} agent={agent} onDone={reload} />
            ))}
          </ul>
          {!all && shown.length > DRAWN_FIRST && (
            <button type="button" class="link" onClick={() => setAll(true)}>
              Show all {shown.length.toLocaleString('en')} agents
            </button>
          )}
        </>
      )}
    </>
  );
}

function AgentCard({ agent, onDone }: AgentProps): JSX.Element {
  const trouble = troubleOf(agent);
  return (
    <li class={`agent-card${trouble === null ? '' : ' is-troubled'}`}>
      <div class="agent-card-head">
        <a class="agent-name" href={href(['agents', agent.agent_id])}>
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

const DRAIN_WITHIN: readonly (readonly [word: string, ms: number | undefined])[] = [
  ['however long it takes', undefined],
  ['within 1 minute', 60_000],
  ['within 10 minutes', 600_000],
  ['within 1 hour', 3_600_000],
];

function AgentActions({ agent, onDone }: AgentProps): JSX.Element | null {
  const [asks, setAsks] = useState(false);
  const [within, setWithin] = useState(0);
  if (!canOperate()) return null;
  const { agent_id: id } = agent;
  const run = (done: string, action: () => Promise<unknown>): void => void attempt(done, action).then(onDone);
  const isHeldBack = agent['draining'] === true || agent.status === 'paused';
  return (
    <div class="agent-actions">
      {isHeldBack ? (
        <button type="button" class="small" onClick={() => run('It gets tasks again if its checks pass.', () => resumeAgent(id))}>
          Resume
        </button>
      ) : (
        <button type="button" class="small" onClick={() => setAsks(true)}>
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
      {asks && (
        <Modal title="Drain this agent?" onClose={() => setAsks(false)}>
          <p>
            <LineText text={id} max={80} /> finishes what it has and gets no new tasks until it is resumed, even if its sidecar restarts.
          </p>
          <label>
            Finish its runs
            <select value={within} onChange={(event) => setWithin(Number(event.currentTarget.value))}>
              {DRAIN_WITHIN.map(([word], index) => (
                <option key={word} value={index}>
                  {word}
                </option>
              ))}
            </select>
          </label>
          <p class="muted">Runs that are not finished by then are stopped and handed back, which uses up no retry.</p>
          <div class="modal-end">
            <button
              type="button"
              class="primary"
              onClick={() => {
                setAsks(false);
                run('It gets no new tasks.', () => drainAgent(id, DRAIN_WITHIN[within]?.[1]));
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

const NOT_FOUND = 404;

export function AgentPage({ id }: { readonly id: string }): JSX.Element {
  const {
    data: agent,
    error,
    reload,
  } = useLive(id, (stop) => get<AgentJson>(`/api/agents/${encodeURIComponent(id)}`, stop), {
    changesAt: timesOf,
    concerns: (event) => event.agent_id === undefined || event.agent_id === null || event.agent_id === id,
  });
  if (agent === undefined) {
    if (error === null) return <Loading />;
    if (error.status !== NOT_FOUND && error.status !== 400) return <ErrorNotice error={error} onRetry={reload} />;
    return (
      <Empty title="There is no such agent.">
        <a href={href(['agents'])}>All agents</a>
      </Empty>
    );
  }
  return (
    <>
      <ErrorNotice error={error} onRetry={reload} />
      <div class="page-head">
        <div class="page-title">
          <h1>
            <LineText text={agent.agent_id} max={120} />
          </h1>
          <AgentBadge status={agent.status} />
        </div>
        <AgentActions agent={agent} onDone={reload} />
      </div>
      <WhyNoTasks agent={agent} />
      <div class="columns">
        <div class="column-main">
          <Panel title="Runs now" beside={<a href={href(['tasks'], { agent: agent.agent_id })}>All of its tasks</a>}>
            <SlotMeter agent={agent} />
            {agent.tasks.length === 0 ? (
              <p class="muted">Nothing.</p>
            ) : (
              <ul class="plain-list">
                {agent.tasks.map(({ task_id: task, generation }) => (
                  <li key={task}>
                    <a class="mono" href={href(['tasks', task])}>
                      <LineText text={task} />
                    </a>{' '}
                    <span class="muted">generation {generation}</span>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
          <Checks agent={agent} />
          <Panel
            title="Resources"
            beside={
              <button type="button" class="small" onClick={reload}>
                Read again
              </button>
            }
          >
            {agent['resources'] === null || agent['resources'] === undefined ? (
              <p class="muted">Its sidecar has reported none.</p>
            ) : (
              <JsonText value={agent['resources']} />
            )}
          </Panel>
          <details class="panel raw">
            <summary>Everything as JSON</summary>
            <JsonText value={agent} max={20_000} />
          </details>
        </div>
        <aside class="column-side" aria-label="Facts">
          <dl class="facts">
            {factsOf(agent).map(([term, value]) => (
              <div key={term}>
                <dt>{term}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </aside>
      </div>
    </>
  );
}

/** In the words of the hub; an older one says it only of an agent in trouble. */
function WhyNoTasks({ agent }: { readonly agent: AgentJson }): JSX.Element | null {
  const trouble = troubleOf(agent);
  const waiting = agent.waiting_for;
  if (waiting === undefined ? trouble === null : waiting.kind === 'free') return null;
  const isBusy = waiting?.kind === 'slots_taken';
  // Its runs are shown below, and how long they take changes all the time.
  const why = isBusy ? 'All of its slots are taken.' : waiting === undefined ? (trouble ?? '') : `It ${waiting.message}.`;
  return (
    <div class={`callout${trouble !== null ? ' is-bad' : isBusy ? ' is-plain' : ''}`}>
      <strong>Why it gets no tasks now:</strong> <LineText text={why} max={2_000} />
    </div>
  );
}

function factsOf(agent: AgentJson): readonly (readonly [string, JSX.Element | string])[] {
  const until = agent['drain_until'];
  return [
    ['Name', <LineText text={agent.name} max={120} />],
    ['Can', <LineText text={agent.capabilities.join(', ') || '–'} />],
    ...(agent.connected ? [] : [['Last seen', <Ago at={agent.last_seen} />] as const]),
    [
      agent.connected ? 'Connected' : 'Disconnected',
      <Ago at={agent.connected ? agent.connected_at : (agent['disconnected_at'] as number | null)} />,
    ],
    ['Protocol', String(agent['protocol_version'] ?? '–')],
    ...(typeof agent.draining_reason === 'string' ? [['Drains because', <LineText text={agent.draining_reason} />] as const] : []),
    ...(typeof until === 'number' ? [['Drained by', <Ago at={until} />] as const] : []),
    ...(typeof agent.busy_reason === 'string' ? [['Busy because', <LineText text={agent.busy_reason} />] as const] : []),
  ];
}

function Checks({ agent }: { readonly agent: AgentJson }): JSX.Element {
  const { checks } = agent;
  return (
    <Panel title="Checks of its machine" beside={checks ? <Ago at={checks.reported_at} /> : undefined}>
      {!checks && <p class="muted">Its sidecar has reported none. “Check” asks for them.</p>}
      {checks && (
        <ul class="checks">
          {[...checks.failed.map((check) => ({ ...check, ok: false })), ...checks.passed.map((check) => ({ ...check, ok: true }))].map(
            ({ check, message, ok }) => (
              <li key={check} class={ok ? 'is-good' : 'is-bad'}>
                <span class="check-mark">{ok ? 'passed' : 'failed'}</span>
                <strong>
                  <LineText text={check} max={60} />
                </strong>
                <span class="check-message">
                  <LineText text={message} max={1_000} />
                </span>
              </li>
            ),
          )}
        </ul>
      )}
    </Panel>
  );
}
