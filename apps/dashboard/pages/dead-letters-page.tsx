/** The dead-letter queue, grouped by why the tasks failed: one cause is fixed once, and its tasks are retried together. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Page, TaskJson } from '../../client/types.ts';
import { canOperate, get } from '../hub/hub-requests.ts';
import { href } from '../hub/routing.ts';
import { readTask } from '../hub/task-actions.ts';
import { useLive } from '../hub/use-live.ts';
import { TaskBulk, type TaskBulkAction } from '../lists/task-bulk.tsx';
import { taskRow, type TaskRow } from '../lists/task-row.ts';
import { PriorityText } from '../parts/badges.tsx';
import { Ago } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading } from '../parts/notices.tsx';
import { FailureOutput } from './failure-output.tsx';
import { LineText } from '../parts/untrusted-text.tsx';

const PAGE_ROWS = 500;
/** Older ones are not grouped. */
const GROUPED_MAX = 5_000;
const GAP_MS = 3_000;
const SHOWN_ROWS = 5;
/** Groups of which the page also reads what the newest task printed before it failed. */
const GROUPS_READ = 10;

interface DeadLetters {
  readonly rows: readonly TaskRow[];
  readonly isComplete: boolean;
}

async function readDeadLetters(stop: AbortSignal): Promise<DeadLetters> {
  let rows: readonly TaskRow[] = [];
  let cursor: string | null = null;
  do {
    const more: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<'tasks', TaskJson> = await get(`/api/tasks/dead-letter?limit=${PAGE_ROWS}${more}`, stop);
    rows = [...rows, ...page.tasks.map(taskRow)];
    cursor = page.next_cursor;
  } while (cursor !== null && rows.length < GROUPED_MAX);
  return { rows, isComplete: cursor === null };
}

interface Group {
  readonly reason: string;
  readonly rows: readonly TaskRow[];
}

/** Numbers, IDs and paths differ between tasks that fail for the same reason. */
const kindOf = (reason: string): string =>
  (reason.split('\n', 1)[0] ?? '')
    .replace(/\b(task|run|tok)-[0-9a-f]+\b/g, '…')
    .replace(/\b[0-9a-f]{12,}\b/g, '…')
    .replace(/\d+/g, '#')
    .slice(0, 160);

function groupsOf(rows: readonly TaskRow[]): readonly Group[] {
  const byKind = new Map<string, TaskRow[]>();
  for (const row of rows) {
    const kind = kindOf(row.error ?? 'no reason was given');
    const known = byKind.get(kind);
    if (known === undefined) byKind.set(kind, [row]);
    else known.push(row);
  }
  return [...byKind.values()]
    .map((each) => ({ reason: each[0]?.error ?? 'No reason was given.', rows: each }))
    .sort((a, b) => b.rows.length - a.rows.length);
}

export function DeadLettersPage(): JSX.Element {
  const { data, error, reload } = useLive('dead-letters', readDeadLetters, {
    gapMs: GAP_MS,
    concerns: ({ event }) => event === 'dead_lettered' || event === 'retried' || event === 'cancelled',
  });
  const [bulk, setBulk] = useState<{ readonly action: TaskBulkAction; readonly rows: readonly TaskRow[] } | null>(null);
  return (
    <>
      <div class="page-head">
        <h1>Dead letters</h1>
      </div>
      <ErrorNotice error={error} onRetry={reload} />
      {data === undefined && error === null && <Loading />}
      {data?.rows.length === 0 && (
        <Empty title="No task is in the dead-letter queue.">
          A task comes here when it has used up its retries, has expired, or cannot be retried.
        </Empty>
      )}
      {data?.isComplete === false && (
        <p class="notice">These are the newest {GROUPED_MAX.toLocaleString('en')}. Retry or cancel some to see older ones.</p>
      )}
      {groupsOf(data?.rows ?? []).map((group, at) => (
        <GroupPanel
          key={kindOf(group.reason)}
          group={group}
          isRead={at < GROUPS_READ}
          onRetry={() => setBulk({ action: 'retry', rows: group.rows })}
        />
      ))}
      {bulk !== null && (
        <TaskBulk
          action={bulk.action}
          target={{ kind: 'rows', rows: bulk.rows }}
          onClose={() => {
            setBulk(null);
            reload();
          }}
        />
      )}
    </>
  );
}

function GroupPanel({ group: { reason, rows }, isRead, onRetry }: GroupProps): JSX.Element {
  const [all, setAll] = useState(false);
  const shown = all ? rows.slice(0, PAGE_ROWS) : rows.slice(0, SHOWN_ROWS);
  return (
    <section class="panel dead-group">
      <header class="panel-head">
        <h2>
          <span class="dead-count">{rows.length.toLocaleString('en')}</span>
          <LineText text={reason} max={300} />
        </h2>
        {canOperate() && (
          <button type="button" class="small" onClick={onRetry}>
            Retry {rows.length === 1 ? 'it' : `all ${rows.length.toLocaleString('en')}`}…
          </button>
        )}
      </header>
      {isRead && rows[0] !== undefined && <NewestOutput id={rows[0].id} />}
      <ul class="dead-rows">
        {shown.map((row) => (
          <li key={row.id}>
            <a href={href(['tasks', row.id])}>
              <LineText text={row.text} max={140} />
            </a>
            <PriorityText priority={row.priority} />
            <span class="muted">
              <Ago at={row.updatedAtMs} />
            </span>
          </li>
        ))}
      </ul>
      {rows.length > SHOWN_ROWS && (
        <button type="button" class="link" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show ${Math.min(rows.length, PAGE_ROWS).toLocaleString('en')}`}
        </button>
      )}
    </section>
  );
}

interface GroupProps {
  readonly group: Group;
  readonly isRead: boolean;
  readonly onRetry: () => void;
}

/** What the newest of a group printed: the others failed for the same reason. */
function NewestOutput({ id }: { readonly id: string }): JSX.Element | null {
  const { data: task } = useLive(id, (stop) => readTask(id, stop), { concerns: (event) => event.task_id === id });
  return task === undefined ? null : <FailureOutput task={task} of="of the newest" />;
}
