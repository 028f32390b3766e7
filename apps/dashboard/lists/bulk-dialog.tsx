/** Retries or cancels many tasks, after it has shown which. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Page, TaskJson } from '../../client/types.ts';
import { get, HubError } from '../hub/hub-requests.ts';
import { cancelTask, hasEnded, retryTask } from '../hub/task-actions.ts';
import { StatusBadge } from '../parts/badges.tsx';
import { Modal } from '../parts/modal.tsx';
import { LineText } from '../parts/untrusted-text.tsx';
import { listPath, type TaskFilter } from './task-pages.ts';
import { taskRow, type TaskRow } from './task-row.ts';

/** More are not touched by one action. */
export const BULK_MAX = 10_000;
const PAGE_ROWS = 500;
const SHOWN_ROWS = 12;
/** Requests at once. */
const AT_ONCE = 4;
const ERRORS_SHOWN = 5;

export type BulkAction = 'retry' | 'cancel';
/** The tasks themselves, or those that match. */
export type BulkTarget =
  { readonly kind: 'rows'; readonly rows: readonly TaskRow[] } | { readonly kind: 'filter'; readonly filter: TaskFilter };

interface Progress {
  readonly done: number;
  readonly refused: number;
  /** Requests without an answer: the hub may have done what they asked. */
  readonly unanswered: number;
  readonly errors: readonly string[];
  readonly isOver: boolean;
}

const WORDS = {
  retry: {
    verb: 'Retry',
    done: 'requeued',
    can: (row: TaskRow) => row.status === 'dead_letter',
    only: 'Only dead-lettered tasks can be retried.',
  },
  cancel: {
    verb: 'Cancel',
    done: 'cancelled',
    can: (row: TaskRow) => !hasEnded(row.status),
    only: 'Tasks that have ended cannot be cancelled.',
  },
} as const;

export function BulkDialog({ action, target, onClose }: BulkDialogProps): JSX.Element {
  const { verb, done: doneWord, can, only } = WORDS[action];
  const [found, setFound] = useState<readonly TaskRow[]>([]);
  const [isReading, setReading] = useState(true);
  const [readError, setReadError] = useState<string | null>(null);
  const [progress, setProgress] = useState<Progress | null>(null);
  const stop = useRef(new AbortController());

  useEffect(() => {
    const { signal } = stop.current;
    rowsOf(target, signal, setFound)
      .catch((thrown: unknown) => {
        if (!signal.aborted) setReadError(thrown instanceof Error ? thrown.message : String(thrown));
      })
      .finally(() => setReading(false));
    return () => stop.current.abort();
  }, []);

  const rows = found.filter(can);
  const left = found.length - rows.length;
  const running = rows.filter(({ status }) => status === 'assigned').length;
  const start = (): void => {
    setProgress({ done: 0, refused: 0, unanswered: 0, errors: [], isOver: false });
    void runAll(rows, action, stop.current.signal, setProgress);
  };

  return (
    <Modal title={`${verb} tasks`} onClose={onClose} wide>
      {isReading && <p role="status">Finding the tasks… {found.length.toLocaleString('en')}</p>}
      {readError !== null && <p class="notice is-bad">{readError}</p>}
      {!isReading && readError === null && progress === null && (
        <>
          <p class="bulk-sum">
            {rows.length === 0
              ? `There is nothing to ${action}.`
              : `This will ${action} ${counted(rows.length)}${running > 0 && action === 'cancel' ? `, of which ${running.toLocaleString('en')} with an agent: their runs are stopped` : ''}.`}
          </p>
          {left > 0 && (
            <p class="muted">
              {counted(left)} left alone. {only}
            </p>
          )}
          {found.length >= BULK_MAX && (
            <p class="notice">At most {BULK_MAX.toLocaleString('en')} tasks at a time: repeat it for the others.</p>
          )}
          <ul class="bulk-rows">
            {rows.slice(0, SHOWN_ROWS).map((row) => (
              <li key={row.id}>
                <StatusBadge status={row.status} running={row.isRunning} /> <LineText text={row.text} max={120} />
              </li>
            ))}
            {rows.length > SHOWN_ROWS && <li class="muted">and {(rows.length - SHOWN_ROWS).toLocaleString('en')} more</li>}
          </ul>
          <div class="modal-end">
            <button type="button" class={action === 'cancel' ? 'danger' : 'primary'} disabled={rows.length === 0} onClick={start}>
              {verb} {counted(rows.length)}
            </button>
          </div>
        </>
      )}
      {progress !== null && (
        <div role="status">
          <progress max={rows.length} value={progress.done + progress.refused + progress.unanswered} aria-label={`${verb} tasks`} />
          <p>
            {progress.done.toLocaleString('en')} of {rows.length.toLocaleString('en')} {doneWord}
            {progress.refused > 0 && `, ${progress.refused.toLocaleString('en')} refused`}
            {progress.unanswered > 0 && `, ${progress.unanswered.toLocaleString('en')} without an answer`}
            {progress.isOver ? '.' : '…'}
          </p>
          {progress.isOver && progress.unanswered > 0 && (
            <p class="notice">The hub may have {doneWord} those without an answer. Look at the list, and repeat the action if needed.</p>
          )}
          {progress.errors.map((error) => (
            <p key={error} class="notice is-bad">
              <LineText text={error} />
            </p>
          ))}
          {!progress.isOver && (
            <button type="button" onClick={() => stop.current.abort()}>
              Stop here
            </button>
          )}
        </div>
      )}
    </Modal>
  );
}

interface BulkDialogProps {
  readonly action: BulkAction;
  readonly target: BulkTarget;
  readonly onClose: () => void;
}

const counted = (count: number): string => `${count.toLocaleString('en')} ${count === 1 ? 'task' : 'tasks'}`;

async function rowsOf(target: BulkTarget, stop: AbortSignal, onFound: (rows: readonly TaskRow[]) => void): Promise<void> {
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

async function runAll(
  rows: readonly TaskRow[],
  action: BulkAction,
  stop: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<void> {
  const act = action === 'retry' ? retryTask : cancelTask;
  const waiting = rows.values();
  let done = 0;
  const errors = new Set<string>();
  let refused = 0;
  let unanswered = 0;
  const work = async (): Promise<void> => {
    for (const row of waiting) {
      if (stop.aborted) return;
      try {
        await act(row.id);
        done += 1;
      } catch (thrown) {
        if (thrown instanceof HubError && thrown.status !== 0) refused += 1;
        else unanswered += 1;
        if (errors.size < ERRORS_SHOWN) errors.add(thrown instanceof Error ? thrown.message : String(thrown));
      }
      onProgress({ done, refused, unanswered, errors: [...errors], isOver: false });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  onProgress({ done, refused, unanswered, errors: [...errors], isOver: true });
}
