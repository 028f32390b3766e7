/** The state of everything on one page, what needs attention first. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { PRIORITIES } from '../../../core/domain/task/task.ts';
import type { AgentJson } from '../../client/types.ts';
import { canSubmit, get } from '../hub/hub-requests.ts';
import { BUCKET_MS, figures } from '../hub/figures.ts';
import { liveState } from '../hub/live-events.ts';
import { href } from '../hub/routing.ts';
import { useLive } from '../hub/use-live.ts';
import { Ago, clockText } from '../parts/moments.tsx';
import { ErrorNotice, Panel } from '../parts/notices.tsx';
import { TimeChart, type Series } from '../parts/time-chart.tsx';
import { LineText, visibleText } from '../parts/untrusted-text.tsx';
import { slotsTaken, useAgents } from './agents-page.tsx';
import { Attention } from './attention.tsx';

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

export function OverviewPage(): JSX.Element {
  const stats = useLive<HubStats>('stats', (stop) => get('/api/tasks/stats', stop));
  const agents = useAgents();
  return (
    <>
      <h1 class="visually-hidden">Overview</h1>
      <ErrorNotice error={stats.error ?? agents.error} onRetry={stats.reload} />
      <Tiles stats={stats.data} agents={agents.data} />
      <div class="columns is-overview">
        <div class="column-main">
          <Attention failed={stats.data?.dead_letter} agents={agents.data} />
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
      { label: 'completed', values: completed, color: '--ink-completed', kind: 'bars' },
      { label: 'failed attempts', values: failed, color: '--ink-dead_letter', kind: 'line' },
    ],
    [figures.value],
  );
  const latency = useMemo<readonly Series[]>(
    () => [
      { label: 'wait for an agent', values: waitMedian, color: '--ink-blocked', kind: 'line', points: true },
      { label: 'run', values: runMedian, color: '--ink-assigned', kind: 'line', points: true },
    ],
    [figures.value],
  );
  if (fromMs === null) {
    return (
      <Panel title="Throughput and latency">
        <p class="muted">{liveState.value.kind === 'connecting' ? 'Loading…' : 'No task was worked on in the last hour.'}</p>
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
