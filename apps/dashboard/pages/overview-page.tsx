/** The state of everything on one page, what needs attention first. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { PRIORITIES } from '../../../core/domain/task/task.ts';
import type { AgentJson, Page, TaskDetail, TaskJson } from '../../client/types.ts';
import { canSubmit, get } from '../hub/hub-requests.ts';
import { BUCKET_MS, figures } from '../hub/figures.ts';
import { href } from '../hub/routing.ts';
import { readTask } from '../hub/task-actions.ts';
import { useLive } from '../hub/use-live.ts';
import { Ago, clockText } from '../parts/moments.tsx';
import { ErrorNotice, Panel } from '../parts/notices.tsx';
import { TimeChart, type Series } from '../parts/time-chart.tsx';
import { LineText, visibleText } from '../parts/untrusted-text.tsx';
import { ATTENTION_FILTER, slotsTaken, troubleOf, useAgents } from './agents-page.tsx';

export interface HubStats {
  readonly scheduled: number;
  readonly blocked: number;
  readonly queued: number;
  readonly assigned: number;
  readonly completed: number;
  readonly cancelled: number;
  readonly dead_letter: number;
  readonly queued_by_priority: Readonly<Record<(typeof PRIORITIES)[number], number>>;
  readonly agents: Readonly<Record<string, number>>;
}

const ATTENTION_GAP_MS = 5_000;

export function OverviewPage(): JSX.Element {
  const stats = useLive<HubStats>('stats', (stop) => get('/api/tasks/stats', stop));
  const agents = useAgents();
  const stuck = useLive('stuck', readStuck, {
    gapMs: ATTENTION_GAP_MS,
    changesAt: ({ found }) => found.map(({ task }) => task.waiting_for?.['until']),
  });
  return (
    <>
      <h1 class="visually-hidden">Overview</h1>
      <ErrorNotice error={stats.error ?? agents.error} onRetry={stats.reload} />
      <Tiles stats={stats.data} agents={agents.data} />
      <div class="columns is-overview">
        <div class="column-main">
          <Attention stats={stats.data} agents={agents.data} stuck={stuck.data} />
          <Charts />
        </div>
        <div class="column-side">
          <QueuePanel stats={stats.data} />
          <AgentsPanel agents={agents.data} />
          <FailuresPanel />
        </div>
      </div>
    </>
  );
}

function Tiles({
  stats,
  agents,
}: {
  readonly stats: HubStats | undefined;
  readonly agents: readonly AgentJson[] | undefined;
}): JSX.Element {
  const connected = (agents ?? []).filter(({ connected }) => connected).length;
  return (
    <ul class="tiles">
      <Tile word="With an agent" value={stats?.assigned} link={href(['tasks'], { status: 'assigned' })} tone="assigned" />
      <Tile word="Queued" value={stats?.queued} link={href(['tasks'], { status: 'queued' })} tone="queued" />
      <Tile word="Scheduled" value={stats?.scheduled} link={href(['tasks'], { status: 'scheduled' })} tone="scheduled" />
      <Tile word="Blocked" value={stats?.blocked} link={href(['tasks'], { status: 'blocked' })} tone="blocked" />
      <Tile word="Dead letters" value={stats?.dead_letter} link={href(['dead-letters'])} tone="dead_letter" />
      <Tile word="Completed" value={stats?.completed} link={href(['tasks'], { status: 'completed' })} tone="completed" />
      <Tile
        word={
          agents === undefined || agents.length === 0
            ? 'Agents connected'
            : `of ${agents.length} ${agents.length === 1 ? 'agent' : 'agents'} connected`
        }
        value={agents === undefined ? undefined : connected}
        link={href(['agents'])}
        tone="idle"
      />
    </ul>
  );
}

function Tile({ word, value, link, tone }: TileProps): JSX.Element {
  return (
    <li>
      <a class={`tile is-${tone}${value === 0 ? ' is-zero' : ''}`} href={link}>
        <span class="tile-value">{value === undefined ? '–' : value.toLocaleString('en')}</span>
        <span class="tile-word">{word}</span>
      </a>
    </li>
  );
}

interface TileProps {
  readonly word: string;
  readonly value: number | undefined;
  readonly link: string;
  readonly tone: string;
}

/** Queued, and blocked, tasks that the newest page shows, of which the reason for waiting is read for one of each kind. */
const STUCK_ROWS = 100;
const STUCK_KINDS = 6;
/** Reasons that do not pass by themselves within minutes. */
const STUCK_REASONS = new Set([
  'capabilities',
  'rejected',
  'agent_unknown',
  'agent_offline',
  'agent_paused',
  'agent_draining',
  'agents_unavailable',
  'parked',
  'dependency_failed',
]);

/** A busy agent becomes free by itself; the others need attention. */
function isStuck({ waiting_for: waiting }: TaskDetail): boolean {
  const someAreBusy = waiting?.agents?.some(({ blocker }) => blocker === 'busy') === true;
  return STUCK_REASONS.has(waiting?.reason ?? '') && !someAreBusy;
}

interface Stuck {
  readonly found: readonly {
    readonly task: TaskDetail;
    /** How many of the waiting tasks that were read are of its kind. */
    readonly count: number;
    /** There may be more of its kind. */
    readonly isLeast: boolean;
  }[];
  /** Whether all waiting tasks were read, and one of each kind was checked. */
  readonly isAll: boolean;
}

/** What decides why a task waits: tasks that are alike in it wait for the same reason. A parked task has a last error. */
function kindOf(task: TaskJson): string {
  if (task.status === 'blocked') return JSON.stringify([...task.depends_on].sort());
  return JSON.stringify([task.needed_capabilities, task.assign_to, task['rejected_by'], task.last_error !== null]);
}

async function readStuck(stop: AbortSignal): Promise<Stuck> {
  const parts = await Promise.all(['queued', 'blocked'].map((status) => stuckIn(status, stop)));
  return { found: parts.flatMap(({ found }) => found), isAll: parts.every(({ isAll }) => isAll) };
}

async function stuckIn(status: string, stop: AbortSignal): Promise<Stuck> {
  const list = await get<Page<'tasks', TaskJson>>(`/api/tasks?status=${status}&limit=${STUCK_ROWS}`, stop);
  const kinds = new Map<string, TaskJson[]>();
  for (const task of list.tasks) {
    const kind = kindOf(task);
    const known = kinds.get(kind);
    if (known === undefined) kinds.set(kind, [task]);
    else known.push(task);
  }
  const found: Stuck['found'][number][] = [];
  for (const tasks of [...kinds.values()].slice(0, STUCK_KINDS)) {
    const oldest = tasks.at(-1);
    if (oldest === undefined) continue;
    const task = await readTask(oldest.id, stop);
    if (isStuck(task)) found.push({ task, count: tasks.length, isLeast: list.next_cursor !== null });
  }
  return { found, isAll: list.next_cursor === null && kinds.size <= STUCK_KINDS };
}

/** When nothing needs attention. */
function wellText(agents: number, isAll: boolean): string {
  if (agents === 0) return 'Nothing. No agent has connected yet.';
  if (isAll) return 'Nothing. All agents can work, and every task can run.';
  return `Nothing found. All agents can work, and the tasks that were checked can run: up to ${STUCK_KINDS} kinds each among the newest ${STUCK_ROWS} queued and ${STUCK_ROWS} blocked ones.`;
}

const TROUBLED_SHOWN = 6;

function Attention({ stats, agents, stuck }: AttentionProps): JSX.Element {
  const troubled = (agents ?? []).filter((agent) => troubleOf(agent) !== null);
  const offline = (agents ?? []).filter((agent) => !agent.connected && agent.tasks.length > 0);
  const dead = stats?.dead_letter ?? 0;
  const count = (dead > 0 ? 1 : 0) + troubled.length + offline.length + (stuck?.found.length ?? 0);
  const isKnown = stats !== undefined && agents !== undefined && stuck !== undefined;
  return (
    <Panel title="Needs attention" beside={count > 0 ? <span class="badge is-dead_letter">{count}</span> : undefined}>
      {count === 0 && <p class="all-well">{isKnown ? wellText(agents.length, stuck.isAll) : 'Checking…'}</p>}
      <ul class="attention">
        {dead > 0 && (
          <li class="is-bad">
            <div>
              <strong>{dead === 1 ? '1 task has failed' : `${dead.toLocaleString('en')} tasks have failed`}</strong> and will not be retried
              automatically.
            </div>
            <a class="button small" href={href(['dead-letters'])}>
              See why
            </a>
          </li>
        )}
        {stuck?.found.map(({ task, count: alike, isLeast }) => (
          <li key={task.id} class="is-warn">
            <div>
              <strong>{`${isLeast ? 'At least ' : ''}${alike === 1 ? '1 task waits' : `${alike} tasks wait`}`}:</strong>{' '}
              <LineText text={task.waiting_for?.message ?? ''} max={300} />
            </div>
            <a class="button small" href={href(['tasks', task.id])}>
              {alike === 1 ? 'See the task' : 'See the oldest'}
            </a>
          </li>
        ))}
        {troubled.slice(0, TROUBLED_SHOWN).map((agent) => (
          <li key={agent.agent_id} class="is-warn">
            <div>
              <strong>
                <LineText text={agent.agent_id} max={60} />
              </strong>{' '}
              gets no tasks: <LineText text={troubleOf(agent) ?? ''} max={300} />
            </div>
            <a class="button small" href={href(['agents', agent.agent_id])}>
              See the agent
            </a>
          </li>
        ))}
        {troubled.length > TROUBLED_SHOWN && (
          <li>
            <a href={href(['agents'], { status: ATTENTION_FILTER })}>{troubled.length - TROUBLED_SHOWN} more agents</a>
          </li>
        )}
        {offline.slice(0, TROUBLED_SHOWN).map((agent) => (
          <li key={`away ${agent.agent_id}`} class="is-warn">
            <div>
              <strong>
                <LineText text={agent.agent_id} max={60} />
              </strong>{' '}
              is not connected and has {agent.tasks.length === 1 ? 'a task' : `${agent.tasks.length} tasks`}. Last seen{' '}
              <Ago at={agent.last_seen} />.
            </div>
            <a class="button small" href={href(['agents', agent.agent_id])}>
              See the agent
            </a>
          </li>
        ))}
        {offline.length > TROUBLED_SHOWN && (
          <li>
            <a href={href(['agents'], { status: 'offline' })}>{offline.length - TROUBLED_SHOWN} more that are not connected</a>
          </li>
        )}
      </ul>
    </Panel>
  );
}

interface AttentionProps {
  readonly stats: HubStats | undefined;
  readonly agents: readonly AgentJson[] | undefined;
  readonly stuck: Stuck | undefined;
}

function QueuePanel({ stats }: { readonly stats: HubStats | undefined }): JSX.Element {
  const most = Math.max(1, ...Object.values(stats?.queued_by_priority ?? {}));
  return (
    <Panel title="Queue by priority">
      {stats?.queued === 0 ? (
        <p class="muted">The queue is empty. {canSubmit() && <a href={href(['submit'])}>Submit a task</a>}</p>
      ) : (
        <ul class="bars">
          {PRIORITIES.map((priority) => (
            <li key={priority}>
              <a href={href(['tasks'], { status: 'queued', priority })}>
                <span class="bar-word">{priority}</span>
                <span class="bar-track" aria-hidden="true">
                  <span class="bar-fill" style={{ width: `${((stats?.queued_by_priority[priority] ?? 0) / most) * 100}%` }} />
                </span>
                <span class="bar-value">{(stats?.queued_by_priority[priority] ?? 0).toLocaleString('en')}</span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** More agents are only counted. */
const DOTS_MAX = 200;

function AgentsPanel({ agents }: { readonly agents: readonly AgentJson[] | undefined }): JSX.Element {
  const slots = (agents ?? []).reduce((sum, agent) => sum + (agent.connected ? agent.slots : 0), 0);
  const taken = (agents ?? []).reduce((sum, agent) => sum + (agent.connected ? slotsTaken(agent) : 0), 0);
  return (
    <Panel title="Agents" beside={<span class="muted">{`${taken} of ${slots} slots taken`}</span>}>
      {agents?.length === 0 && (
        <p class="muted">
          None has connected yet. Start one with: <code>agentcom sidecar</code>
        </p>
      )}
      {agents !== undefined && agents.length > 0 && <AgentDots agents={agents} />}
    </Panel>
  );
}

function AgentDots({ agents }: { readonly agents: readonly AgentJson[] }): JSX.Element {
  return (
    <>
      <ul class="dots">
        {agents.slice(0, DOTS_MAX).map((agent) => {
          const label = `${visibleText(agent.agent_id)}: ${agent.status}`;
          return (
            <li key={agent.agent_id}>
              <a class={`dot is-${agent.status}`} href={href(['agents', agent.agent_id])} title={label} aria-label={label} />
            </li>
          );
        })}
      </ul>
      <p class="legend">
        {(['working', 'idle', 'paused', 'draining', 'offline'] as const).map((status) => (
          <span key={status}>
            <span class={`dot is-${status}`} aria-hidden="true" /> {agents.filter((agent) => agent.status === status).length} {status}
          </span>
        ))}
      </p>
    </>
  );
}

function FailuresPanel(): JSX.Element {
  const { failures } = figures.value;
  return (
    <Panel title="Recent failures">
      {failures.length === 0 && <p class="muted">None in the last hour.</p>}
      <ul class="failures">
        {failures.map((event) => (
          <li key={event.id}>
            <a href={href(['tasks', event.task_id ?? ''])}>
              <LineText text={String(event.details?.['error'] ?? event.details?.['reason'] ?? event.event.replace('_', ' '))} max={140} />
            </a>
            <span class="muted">
              {typeof event.agent_id === 'string' && (
                <>
                  <LineText text={event.agent_id} max={40} /> ·{' '}
                </>
              )}
              <Ago at={event.timestamp} />
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Charts(): JSX.Element {
  const { times, completed, failed, waitMedian, runMedian, fromMs } = figures.value;
  const throughput = useMemo<readonly Series[]>(
    () => [
      { label: 'completed', values: completed, colour: '--ink-completed', kind: 'bars' },
      { label: 'failed attempts', values: failed, colour: '--ink-dead_letter', kind: 'line' },
    ],
    [figures.value],
  );
  const latency = useMemo<readonly Series[]>(
    () => [
      { label: 'wait for an agent', values: waitMedian, colour: '--ink-blocked', kind: 'line', points: true },
      { label: 'run', values: runMedian, colour: '--ink-assigned', kind: 'line', points: true },
    ],
    [figures.value],
  );
  if (fromMs === null) {
    return (
      <Panel title="Throughput and latency">
        <p class="muted">No task was worked on in the last hour.</p>
      </Panel>
    );
  }
  const since = `From the events since ${clockText(fromMs)}.`;
  const sum = (values: readonly number[]): string => values.reduce((total, value) => total + value, 0).toLocaleString('en');
  return (
    <>
      <Panel title="Throughput" beside={<span class="muted">every {BUCKET_MS / 1_000} s, last hour</span>}>
        <TimeChart
          times={times}
          series={throughput}
          unit=""
          summary={`${sum(completed)} completed, failed attempts: ${sum(failed)}. ${since}`}
        />
      </Panel>
      <Panel title="Latency" beside={<span class="muted">median</span>}>
        <TimeChart
          times={times}
          series={latency}
          unit=" s"
          summary={`Waiting is from queued to accepted, a run from accepted to completed. ${since}`}
        />
      </Panel>
    </>
  );
}
