/** One task: what it is, why it waits, all that happened to it, its result, and what can be done. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { TaskDetail } from '../../client/types.ts';
import { canOperate, canView, role } from '../hub/hub-requests.ts';
import { href } from '../hub/routing.ts';
import { adoptResult, cancelTask, hasEnded, readTask, retryTask } from '../hub/task-actions.ts';
import { useLive } from '../hub/use-live.ts';
import { PriorityText, StatusBadge } from '../parts/badges.tsx';
import { attempt } from '../parts/messages.tsx';
import { Modal } from '../parts/modal.tsx';
import { Ago, durationText, nowMs, timeText } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading, Panel } from '../parts/notices.tsx';
import { BlockText, JsonText, LineText } from '../parts/untrusted-text.tsx';
import { useKeys } from '../parts/use-keys.ts';
import { TaskOutput } from './task-output.tsx';
import { TaskProgress } from './task-progress.tsx';
import { FailureOutput } from './failure-output.tsx';
import { TaskTimeline } from './task-timeline.tsx';

const NOT_FOUND = 404;
const GAP_MS = 250;

export function TaskPage({ id }: { readonly id: string }): JSX.Element {
  const {
    data: task,
    error,
    reload,
  } = useLive(id, (stop) => readTask(id, stop), {
    concerns: (event) => event.task_id === undefined || event.task_id === id,
    gapMs: GAP_MS,
  });
  if (task === undefined) {
    if (error === null) return <Loading />;
    if (error.status !== NOT_FOUND && error.status !== 400) return <ErrorNotice error={error} onRetry={reload} />;
    return (
      <Empty title="There is no such task.">
        <LineText text={id} max={80} /> was removed, or never existed. <a href={href(['tasks'])}>All tasks</a>
      </Empty>
    );
  }
  return (
    <>
      <ErrorNotice error={error} onRetry={reload} />
      <TaskHead task={task} onDone={reload} />
      <Callouts task={task} />
      <div class="columns">
        <div class="column-main">
          <Panel title="Description">
            <BlockText text={task.description} />
          </Panel>
          {task.status === 'completed' && (
            <Panel title="Result">
              <JsonText value={task.result} />
            </Panel>
          )}
          <TaskProgress task={task} />
          <TaskOutput key={`output ${task.id}`} task={task} />
          <Panel title="Timeline">
            <TaskTimeline key={task.id} task={task} />
          </Panel>
          <KeptResults task={task} onDone={reload} />
          <RawTask task={task} />
        </div>
        <aside class="column-side" aria-label="Facts">
          <Facts task={task} />
        </aside>
      </div>
    </>
  );
}

const canCancel = (task: TaskDetail): boolean => !hasEnded(task.status) && (canOperate() || role() === 'submitter');
const canRetry = (task: TaskDetail): boolean => canOperate() && (task.status === 'dead_letter' || task.waiting_for?.reason === 'parked');

function TaskHead({ task, onDone }: { readonly task: TaskDetail; readonly onDone: () => void }): JSX.Element {
  const [isConfirming, setIsConfirming] = useState(false);
  const retry = (): void => void attempt('The task is queued again.', () => retryTask(task.id)).then(onDone);
  useKeys({
    r: () => {
      if (canRetry(task)) retry();
    },
    c: () => {
      if (canCancel(task)) setIsConfirming(true);
    },
  });
  return (
    <div class="page-head">
      <div class="page-title">
        <h1 class="mono">
          <LineText text={task.id} />
        </h1>
        <StatusBadge status={task.status} running={task.accepted_at !== null} />
        <PriorityText priority={task.priority} />
      </div>
      <div class="actions">
        {canRetry(task) && (
          <button type="button" class="primary" onClick={retry}>
            Retry
          </button>
        )}
        {canCancel(task) && (
          <button type="button" class="danger" onClick={() => setIsConfirming(true)}>
            Cancel…
          </button>
        )}
      </div>
      {isConfirming && (
        <Modal title="Cancel this task?" onClose={() => setIsConfirming(false)}>
          <p>
            {task.assigned_to === null ? (
              'It will not be assigned to any agent.'
            ) : (
              <>
                Its run on <LineText text={task.assigned_to} /> is stopped. The timeline shows when the agent’s processes have ended.
              </>
            )}
          </p>
          <div class="modal-end">
            <button
              type="button"
              class="danger"
              onClick={() => {
                setIsConfirming(false);
                void attempt('The task is cancelled.', () => cancelTask(task.id)).then(onDone);
              }}
            >
              Cancel the task
            </button>
          </div>
        </Modal>
      )}
    </div>
  );
}

function Callouts({ task }: { readonly task: TaskDetail }): JSX.Element {
  return (
    <>
      {task.waiting_for !== null && (
        <div class="callout" data-reason={task.waiting_for.reason}>
          <strong>{task.status === 'cancelled' ? 'Not stopped yet:' : 'Why it is not running:'}</strong>{' '}
          <LineText text={task.waiting_for.message} max={2_000} />
          {typeof task.waiting_for['until'] === 'number' && (
            <>
              {' '}
              (<Ago at={task.waiting_for['until']} />)
            </>
          )}
        </div>
      )}
      {task.last_error !== null && task.status !== 'completed' && (
        <div class={`callout${task.status === 'dead_letter' ? ' is-bad' : ''}`}>
          <strong>{task.status === 'dead_letter' ? 'Why it failed:' : 'Last error:'}</strong>
          <BlockText text={task.last_error} />
          <FailureOutput task={task} />
          {task.status === 'dead_letter' && <p class="muted">Fix the cause, then retry: the task starts over with all of its retries.</p>}
        </div>
      )}
    </>
  );
}

function Facts({ task }: { readonly task: TaskDetail }): JSX.Element {
  const duration = task.accepted_at === null ? null : (hasEnded(task.status) ? task.updated_at : nowMs.value) - task.accepted_at;
  const runMs = task['run_max_ms'];
  const rows: readonly (readonly [string, JSX.Element | string | null])[] = [
    ['Agent', agentLink(task.assigned_to)],
    ['Submitted', <Ago at={task.created_at} />],
    ['Updated', <Ago at={task.updated_at} />],
    ['Accepted', task.accepted_at === null ? null : <Ago at={task.accepted_at} />],
    ['Run time', duration === null ? null : durationText(Math.max(0, duration))],
    ['Failed attempts', `${task.retry_count} of ${task.max_retries + 1}`],
    ['Generation', String(task.generation)],
    ['Needs', task.needed_capabilities.length === 0 ? null : <LineText text={task.needed_capabilities.join(', ')} />],
    ['Only for', agentLink(task.assign_to)],
    ['Depends on', task.depends_on.length === 0 ? null : <TaskLinks ids={task.depends_on} />],
    ['Not before', timeOf(task['run_at'])],
    ['Complete by', timeOf(task['complete_by'])],
    ['Run limit', typeof runMs === 'number' ? durationText(runMs) : null],
    ['Repository', task.repo === null ? null : <LineText text={task.repo} />],
    ['Branch', task.branch === null ? null : <LineText text={task.branch} />],
    ['Tokens', task.tokens_used === null ? null : task.tokens_used.toLocaleString('en')],
    ['Cost', task.cost_usd === null ? null : `$${task.cost_usd.toFixed(4)}`],
    ['Submitted by', submitterLink(task.submitted_by)],
  ];
  return (
    <dl class="facts">
      {rows.map(
        ([term, value]) =>
          value !== null && (
            <div key={term}>
              <dt>{term}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

const timeOf = (value: unknown): string | null => (typeof value === 'number' ? timeText(value) : null);

const agentLink = (id: string | null): JSX.Element | null =>
  id === null ? null : (
    <a href={href(['agents', id])}>
      <LineText text={id} />
    </a>
  );

/** Those who see only their own tasks need no list of one submitter. */
const submitterLink = (id: string): JSX.Element =>
  canView() ? (
    <a href={href(['tasks'], { submitted_by: id })}>
      <LineText text={id} />
    </a>
  ) : (
    <LineText text={id} />
  );

const TaskLinks = ({ ids }: { readonly ids: readonly string[] }): JSX.Element => (
  <ul class="plain-list">
    {ids.map((id) => (
      <li key={id}>
        <a class="mono" href={href(['tasks', id])}>
          <LineText text={id} />
        </a>
      </li>
    ))}
  </ul>
);

/** Results that came too late. One may still be made the result of a task that is queued. */
function KeptResults({ task, onDone }: { readonly task: TaskDetail; readonly onDone: () => void }): JSX.Element | null {
  const kept = task.kept_results ?? [];
  if (kept.length === 0) return null;
  return (
    <Panel title="Results that came too late">
      <ul class="plain-list">
        {kept.map(({ generation, agent_id: agentId, kind, bytes, timestamp }) => (
          <li key={`${generation} ${agentId}`} class="kept-result">
            <span>
              {kind} result of generation {generation} by <LineText text={agentId} />, {bytes.toLocaleString('en')} bytes,{' '}
              <Ago at={timestamp} />
            </span>
            {kind === 'late' && task.status === 'queued' && canOperate() && (
              <button
                type="button"
                class="small"
                onClick={() => void attempt('The result is adopted.', () => adoptResult(task.id, generation)).then(onDone)}
              >
                Adopt as the result
              </button>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function RawTask({ task }: { readonly task: TaskDetail }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="panel raw" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Everything as JSON</summary>
      {isOpen && <JsonText value={task} max={20_000} />}
    </details>
  );
}
