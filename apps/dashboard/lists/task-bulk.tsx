/** Retries or cancels many tasks. */
import type { JSX } from 'preact';
import type { Page, TaskJson } from '../../client/types.ts';
import { get } from '../hub/hub-requests.ts';
import { cancelTask, hasEnded, retryTask } from '../hub/task-actions.ts';
import { StatusBadge } from '../parts/badges.tsx';
import { LineText } from '../parts/untrusted-text.tsx';
import { BULK_MAX, BulkDialog, type BulkPlan } from './bulk-dialog.tsx';
import { listPath, type TaskFilter } from './task-pages.ts';
import { taskRow, type TaskRow } from './task-row.ts';

const PAGE_ROWS = 500;

export type TaskBulkAction = 'retry' | 'cancel';
/** The tasks themselves, or those that match. */
export type TaskBulkTarget =
  { readonly kind: 'rows'; readonly rows: readonly TaskRow[] } | { readonly kind: 'filter'; readonly filter: TaskFilter };

const PLANS = {
  retry: {
    verb: 'Retry',
    done: 'requeued',
    can: (row) => row.status === 'dead_letter',
    only: 'Only dead-lettered tasks can be retried.',
    isDanger: false,
    act: ({ id }) => retryTask(id),
  },
  cancel: {
    verb: 'Cancel',
    done: 'cancelled',
    can: (row) => !hasEnded(row.status),
    only: 'Tasks that have ended cannot be cancelled.',
    more: (rows) => {
      const running = rows.filter(({ status }) => status === 'assigned').length;
      return running === 0 ? '' : `, of which ${running.toLocaleString('en')} with an agent: their runs are stopped`;
    },
    isDanger: true,
    act: ({ id }) => cancelTask(id),
  },
} as const satisfies Record<TaskBulkAction, Partial<BulkPlan<TaskRow>>>;

export function TaskBulk({ action, target, onClose }: TaskBulkProps): JSX.Element {
  const plan: BulkPlan<TaskRow> = {
    ...PLANS[action],
    noun: ['task', 'tasks'],
    find: (stop, onFound) => rowsOf(target, stop, onFound),
    keyOf: ({ id }) => id,
    line: (row) => (
      <>
        <StatusBadge status={row.status} running={row.isRunning} /> <LineText text={row.text} max={120} />
      </>
    ),
  };
  return <BulkDialog plan={plan} onClose={onClose} />;
}

interface TaskBulkProps {
  readonly action: TaskBulkAction;
  readonly target: TaskBulkTarget;
  readonly onClose: () => void;
}

async function rowsOf(target: TaskBulkTarget, stop: AbortSignal, onFound: (rows: readonly TaskRow[]) => void): Promise<void> {
  if (target.kind === 'rows') {
    onFound(target.rows);
    return;
  }
  let rows: readonly TaskRow[] = [];
  let cursor: string | undefined;
  do {
    const page: Page<'tasks', TaskJson> = await get(listPath(target.filter, cursor, PAGE_ROWS), stop);
    rows = [...rows, ...page.tasks.map(taskRow)].slice(0, BULK_MAX);
    onFound(rows);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && rows.length < BULK_MAX);
}
