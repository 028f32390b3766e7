/** What needs attention: tasks that have failed or cannot run, and agents that get no tasks or are away with some. */
import type { ComponentChildren, JSX } from 'preact';
import type { AgentJson, Page, TaskDetail, TaskJson } from '../../client/types.ts';
import { get } from '../hub/hub-requests.ts';
import { href } from '../hub/routing.ts';
import { readTask } from '../hub/task-actions.ts';
import { useLive } from '../hub/use-live.ts';
import { Ago } from '../parts/moments.tsx';
import { Panel } from '../parts/notices.tsx';
import { LineText } from '../parts/untrusted-text.tsx';
import { ATTENTION_FILTER, troubleOf } from './agents-page.tsx';

/** Queued, and blocked, tasks that the newest page shows, of which the reason for waiting is read for one of each kind. */
const STUCK_ROWS = 100;
const STUCK_KINDS = 6;
/** The least time between two reads, milliseconds: each reads some tasks one by one. */
const STUCK_GAP_MS = 5_000;
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
    /** How many of the waiting tasks that were read wait for the same cause. */
    readonly count: number;
    /** There may be more of them. */
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

/** Tasks of several kinds may wait for the same. How long an agent has been away is only in the words. */
function causeOf({ assign_to: assignee, waiting_for: waiting }: TaskDetail): string {
  const { kind, message, agents, capabilities } = waiting ?? {};
  if (agents !== undefined) return JSON.stringify([agents.map(({ agent_id: id, blocker }) => [id, blocker]), waiting?.agent_count]);
  return JSON.stringify(capabilities === undefined ? message : [kind, capabilities, assignee]);
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
  const found = new Map<string, Stuck['found'][number]>();
  for (const tasks of [...kinds.values()].slice(0, STUCK_KINDS)) {
    const oldest = tasks.at(-1);
    if (oldest === undefined) continue;
    const task = await readTask(oldest.id, stop);
    // One that is no longer in this list may be in the other.
    if (task.status !== status || !isStuck(task)) continue;
    const cause = causeOf(task);
    const known = found.get(cause);
    const isOlder = known === undefined || task.created_at < known.task.created_at;
    const count = tasks.length + (known?.count ?? 0);
    found.set(cause, { task: isOlder ? task : known.task, count, isLeast: list.next_cursor !== null });
  }
  return { found: [...found.values()], isAll: list.next_cursor === null && kinds.size <= STUCK_KINDS };
}

/** When nothing needs attention. */
function wellText(agents: number, isAll: boolean): string {
  if (agents === 0) return 'Nothing. No agent has connected yet.';
  if (isAll) return 'Nothing. All agents can work, and every task can run.';
  return `Nothing found. All agents can work, and the tasks that were checked can run: up to ${STUCK_KINDS} kinds each among the newest ${STUCK_ROWS} queued and ${STUCK_ROWS} blocked ones.`;
}

const TROUBLED_SHOWN = 6;

interface AttentionProps {
  /** How many tasks are in the dead-letter queue; undefined: not known yet. */
  readonly failed: number | undefined;
  readonly agents: readonly AgentJson[] | undefined;
}

/** The panel of what needs an operator. */
export function Attention({ failed, agents }: AttentionProps): JSX.Element {
  const { data: stuck } = useLive('stuck', readStuck, {
    gapMs: STUCK_GAP_MS,
    changesAt: ({ found }) => found.map(({ task }) => task.waiting_for?.['until']),
  });
  const dead = failed ?? 0;
  const isAway = (agent: AgentJson): boolean => !agent.connected && agent.tasks.length > 0;
  const offline = (agents ?? []).filter(isAway);
  const troubled = (agents ?? []).filter((agent) => troubleOf(agent) !== null && !isAway(agent));
  const count = (dead > 0 ? 1 : 0) + troubled.length + offline.length + (stuck?.found.length ?? 0);
  const isKnown = failed !== undefined && agents !== undefined && stuck !== undefined;
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
          <AgentRow key={agent.agent_id} id={agent.agent_id}>
            gets no tasks: <LineText text={troubleOf(agent) ?? ''} max={300} />
          </AgentRow>
        ))}
        {troubled.length > TROUBLED_SHOWN && (
          <li>
            <a href={href(['agents'], { status: ATTENTION_FILTER })}>{troubled.length - TROUBLED_SHOWN} more agents</a>
          </li>
        )}
        {offline.slice(0, TROUBLED_SHOWN).map((agent) => (
          <AgentRow key={`away ${agent.agent_id}`} id={agent.agent_id}>
            is not connected and has {agent.tasks.length === 1 ? 'a task' : `${agent.tasks.length} tasks`}. Last seen{' '}
            <Ago at={agent.last_seen} />.
            {troubleOf(agent) !== null && (
              <>
                {' '}
                It gets no others: <LineText text={troubleOf(agent) ?? ''} max={300} />
              </>
            )}
          </AgentRow>
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

/** What is wrong with one agent, in a sentence that begins with its ID. */
const AgentRow = ({ id, children }: { readonly id: string; readonly children: ComponentChildren }): JSX.Element => (
  <li class="is-warn">
    <div>
      <strong>
        <LineText text={id} max={60} />
      </strong>{' '}
      {children}
    </div>
    <a class="button small" href={href(['agents', id])}>
      See the agent
    </a>
  </li>
);
