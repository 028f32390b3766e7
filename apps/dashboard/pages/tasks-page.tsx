/** All tasks, filtered, newest first. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { PRIORITIES, STATUSES } from '../../../core/domain/task/task.ts';
import { canOperate, canSubmit, canView, get } from '../hub/hub-requests.ts';
import { onEvents } from '../hub/live-events.ts';
import { href, place, setFilters } from '../hub/routing.ts';
import { useLive } from '../hub/use-live.ts';
import { BulkBar } from '../lists/bulk-bar.tsx';
import { TaskBulk, type TaskBulkAction, type TaskBulkTarget } from '../lists/task-bulk.tsx';
import { isSearch, TaskPages, type TaskFilter } from '../lists/task-pages.ts';
import type { TaskRow } from '../lists/task-row.ts';
import { useSelection } from '../lists/use-selection.ts';
import { VirtualList } from '../lists/virtual-list.tsx';
import { PriorityText, StatusBadge } from '../parts/badges.tsx';
import { Ago } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading } from '../parts/notices.tsx';
import { TextFilter } from '../parts/text-filter.tsx';
import { LineText, startOf, visibleText } from '../parts/untrusted-text.tsx';
import { useKeys } from '../parts/use-keys.ts';
import type { HubStats } from './overview-page.tsx';

const ROW_PX = 44;
const PHONE_ROW_PX = 72;
const PHONE = matchMedia('(max-width: 720px)');
/** The least time between two refreshes of what is on the screen, milliseconds. */
const REFRESH_GAP_MS = 1_000;
/** For users without an event stream of all tasks, and for a search. */
const REFRESH_EVERY_MS = 10_000;

export function TasksPage(): JSX.Element {
  const { query } = place.value;
  const filter: TaskFilter = {
    status: query.get('status') ?? undefined,
    priority: query.get('priority') ?? undefined,
    assigned_to: query.get('agent') ?? undefined,
    submitted_by: query.get('submitted_by') ?? undefined,
    failed_by: query.get('failed_by') ?? undefined,
    capability: query.get('needs') ?? undefined,
    text: query.get('text') ?? undefined,
  };
  const key = JSON.stringify(filter);
  const change = (more: Readonly<Record<string, string | undefined>>): void =>
    setFilters(['tasks'], {
      status: filter.status,
      priority: filter.priority,
      agent: filter.assigned_to,
      submitted_by: filter.submitted_by,
      failed_by: filter.failed_by,
      needs: filter.capability,
      text: filter.text,
      ...more,
    });
  const stats = useLive<HubStats | null>('stats', (stop) => (canView() ? get('/api/tasks/stats', stop) : Promise.resolve(null)));

  return (
    <>
      <div class="page-head">
        <h1>Tasks</h1>
        {canSubmit() && (
          <a class="button primary" href={href(['submit'])}>
            Submit a task
          </a>
        )}
      </div>
      <div class="filters" role="group" aria-label="Filters">
        <div class="chips" role="group" aria-label="Status">
          <Chip word="all" isOn={filter.status === undefined} onClick={() => change({ status: undefined })} />
          {STATUSES.map((status) => (
            <Chip
              key={status}
              word={status.replace('_', ' ')}
              count={stats.data?.[status]}
              isOn={filter.status === status}
              onClick={() => change({ status: filter.status === status ? undefined : status })}
            />
          ))}
        </div>
        <label class="inline">
          Priority
          <select value={filter.priority ?? ''} onChange={(event) => change({ priority: event.currentTarget.value })}>
            <option value="">any</option>
            {PRIORITIES.map((priority) => (
              <option key={priority}>{priority}</option>
            ))}
          </select>
        </label>
        <TextFilter label="Agent" value={filter.assigned_to} onChange={(agent) => change({ agent })} />
        {canView() && (
          <TextFilter label="Submitted by" value={filter.submitted_by} onChange={(submitter) => change({ submitted_by: submitter })} />
        )}
        <TextFilter label="Failed by" value={filter.failed_by} onChange={(agent) => change({ failed_by: agent })} />
        <TextFilter label="Needs" value={filter.capability} onChange={(needs) => change({ needs })} />
        <TextFilter label="Text" value={filter.text} onChange={(text) => change({ text })} />
      </div>
      <TaskList key={key} filter={filter} />
    </>
  );
}

function Chip({ word, count, isOn, onClick }: ChipProps): JSX.Element {
  return (
    <button type="button" class="chip" aria-pressed={isOn} onClick={onClick}>
      {word}
      {count !== undefined && count > 0 && <span class="chip-count">{count.toLocaleString('en')}</span>}
    </button>
  );
}

interface ChipProps {
  readonly word: string;
  readonly count?: number | undefined;
  readonly isOn: boolean;
  readonly onClick: () => void;
}

/** Whether the user is about to choose a row: the list has the focus, or the pointer is over it. */
const isHeld = (): boolean => document.querySelector('.virtual-list:is(:hover, :focus-within)') !== null;

function TaskList({ filter }: { readonly filter: TaskFilter }): JSX.Element {
  const pages = useMemo(() => new TaskPages(filter, isHeld), []);
  const { chosen, toggle, clear } = useSelection<TaskRow>(({ id }) => id);
  const [bulk, setBulk] = useState<{ readonly action: TaskBulkAction; readonly target: TaskBulkTarget } | null>(null);
  const [at, setAt] = useState(-1);
  const rowPx = useRowHeight();
  const { count, isComplete, error, heldBack } = pages;
  void pages.version.value;

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let lastMs = performance.now();
    const gapMs = isSearch(filter) ? REFRESH_EVERY_MS : REFRESH_GAP_MS;
    const soon = (): void => {
      timer ??= setTimeout(
        () => {
          timer = undefined;
          lastMs = performance.now();
          pages.refresh();
        },
        Math.max(50, lastMs + gapMs - performance.now()),
      );
    };
    const unsubscribe = onEvents(soon);
    const interval = canView() ? undefined : setInterval(soon, REFRESH_EVERY_MS);
    return () => {
      unsubscribe();
      clearTimeout(timer);
      clearInterval(interval);
      pages.close();
    };
  }, []);

  const moveTo = (index: number): void => {
    const next = Math.max(0, Math.min(count - 1, index));
    setAt(next);
    const row = (): HTMLElement | null => document.getElementById(`row-${next}`);
    // At once, so that a key pressed within the same frame reaches it; a row that is not drawn yet is drawn by then.
    if (row() === null) requestAnimationFrame(() => row()?.focus());
    else row()?.focus();
  };
  useKeys({
    j: () => moveTo(at + 1),
    k: () => moveTo(at - 1),
    x: () => {
      const row = pages.row(at);
      if (row !== undefined && canOperate()) toggle(row);
    },
  });

  const begin = (action: TaskBulkAction): void =>
    setBulk({ action, target: chosen.size > 0 ? { kind: 'rows', rows: [...chosen.values()] } : { kind: 'filter', filter } });

  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  return (
    <>
      <ErrorNotice error={error} onRetry={() => pages.refresh()} />
      {count === 0 && error === null && (isComplete ? <NoTasks isFiltered={isFiltered} /> : <Loading />)}
      {count > 0 && (
        <div class="list-bar">
          {canOperate() && (
            <BulkBar
              selected={chosen.size}
              actions={[
                ['Retry', () => begin('retry')],
                ['Cancel', () => begin('cancel')],
              ]}
              onClear={clear}
            />
          )}
          <HeldBack tasks={heldBack} onShow={() => pages.show()} />
        </div>
      )}
      {count > 0 && (
        <VirtualList
          count={count}
          rowPx={rowPx}
          label="Tasks, newest first"
          onSeen={(first, last) => pages.see(first, last)}
          onLeft={() => {
            if (pages.heldBack !== null) pages.refresh();
          }}
          render={(index) => {
            const row = pages.row(index);
            return (
              <Row row={row} index={index} isChosen={row !== undefined && chosen.has(row.id)} onToggle={canOperate() ? toggle : null} />
            );
          }}
        />
      )}
      {count > 0 && (
        <p class="list-end muted">{isComplete ? `${count.toLocaleString('en')} ${count === 1 ? 'task' : 'tasks'}` : 'Loading more…'}</p>
      )}
      {bulk !== null && (
        <TaskBulk
          {...bulk}
          onClose={() => {
            setBulk(null);
            clear();
            pages.show();
          }}
        />
      )}
    </>
  );
}

/** Takes up space even while it is empty, so that the rows below it do not move. */
const HeldBack = ({ tasks, onShow }: { readonly tasks: number | null; readonly onShow: () => void }): JSX.Element => (
  <span class="held-back" role="status" style={{ visibility: tasks === null ? 'hidden' : 'visible' }}>
    <button type="button" class="small" onClick={onShow}>
      {tasks === null || tasks === 0 ? 'Show changes' : `Show ${tasks.toLocaleString('en')} new ${tasks === 1 ? 'task' : 'tasks'}`}
    </button>
  </span>
);

const NoTasks = ({ isFiltered }: { readonly isFiltered: boolean }): JSX.Element =>
  isFiltered ? (
    <Empty title="No task matches these filters.">
      <a href={href(['tasks'])}>Show all tasks</a>
    </Empty>
  ) : (
    <Empty title="There are no tasks yet.">
      {canSubmit() ? <a href={href(['submit'])}>Submit the first one</a> : 'They appear here as soon as one is submitted.'}
    </Empty>
  );

function useRowHeight(): number {
  const [isPhone, setPhone] = useState(PHONE.matches);
  useEffect(() => {
    const onChange = (): void => setPhone(PHONE.matches);
    PHONE.addEventListener('change', onChange);
    return () => PHONE.removeEventListener('change', onChange);
  }, []);
  return isPhone ? PHONE_ROW_PX : ROW_PX;
}

function Row({ row, index, isChosen, onToggle }: RowProps): JSX.Element {
  if (row === undefined) return <div class="task-row is-blank" aria-hidden="true" />;
  return (
    <div class="task-row">
      {onToggle !== null && (
        <input
          type="checkbox"
          aria-label={`Select ${visibleText(startOf(row.text, 60))}`}
          checked={isChosen}
          onChange={() => onToggle(row)}
        />
      )}
      <a id={`row-${index}`} href={href(['tasks', row.id])}>
        <StatusBadge status={row.status} running={row.isRunning} />
        <span class="task-row-text">
          <LineText text={row.text} />
        </span>
        <PriorityText priority={row.priority} />
        <span class="task-row-agent">{row.agentId === null ? '' : <LineText text={row.agentId} />}</span>
        <span class="task-row-time">
          <Ago at={row.updatedAtMs} />
        </span>
      </a>
    </div>
  );
}

interface RowProps {
  readonly row: TaskRow | undefined;
  readonly index: number;
  readonly isChosen: boolean;
  /** Null: the user may not act on tasks. */
  readonly onToggle: ((row: TaskRow) => void) | null;
}
