/** Does one thing to many tasks or agents, after it has shown to which. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get, HubError } from '../hub/hub-requests.ts';
import { Modal } from '../parts/modal.tsx';
import { LineText } from '../parts/untrusted-text.tsx';

/** More are not touched by one action. */
export const BULK_MAX = 10_000;
const SHOWN_ROWS = 12;
/** Requests at once. */
const AT_ONCE = 4;
const ERRORS_SHOWN = 5;
/** How often a hub that does not answer is asked whether it is back, milliseconds. */
const ASKED_EVERY_MS = 2_000;
const SERVER_ERROR = 500;

/** What is done, and to what. */
export interface BulkPlan<Row> {
  /** As a title and on a button: `Retry`. */
  readonly verb: string;
  /** What was done to a row: `requeued`. */
  readonly done: string;
  /** One row, and many. */
  readonly noun: readonly [one: string, many: string];
  readonly can: (row: Row) => boolean;
  /** Why some rows are left alone. */
  readonly only: string;
  /** What else it does to these rows, after how many there are. */
  readonly more?: ((rows: readonly Row[]) => string) | undefined;
  readonly isDanger: boolean;
  /** Finds the rows; calls `onFound` with those found so far. */
  readonly find: (stop: AbortSignal, onFound: (rows: readonly Row[]) => void) => Promise<void>;
  readonly keyOf: (row: Row) => string;
  readonly line: (row: Row) => JSX.Element;
  readonly act: (row: Row) => Promise<unknown>;
  /** What the user may choose before it starts. */
  readonly options?: JSX.Element | undefined;
}

interface Progress {
  readonly done: number;
  readonly refused: number;
  /** Requests without an answer: the hub may have done what they asked. */
  readonly unanswered: number;
  readonly errors: readonly string[];
  readonly isOver: boolean;
}

export function BulkDialog<Row>({ plan, onClose }: BulkDialogProps<Row>): JSX.Element {
  const { verb, done: doneWord, noun, can, only, more, isDanger, keyOf, line, options } = plan;
  const [one, many] = noun;
  const title = `${verb} ${many}`;
  const [found, setFound] = useState<readonly Row[]>([]);
  const [isReading, setReading] = useState(true);
  const [readError, setReadError] = useState<string | null>(null);
  const [progress, setProgress] = useState<Progress | null>(null);
  const stop = useRef(new AbortController());

  useEffect(() => {
    const { signal } = stop.current;
    plan
      .find(signal, setFound)
      .catch((thrown: unknown) => {
        if (!signal.aborted) setReadError(thrown instanceof Error ? thrown.message : String(thrown));
      })
      .finally(() => setReading(false));
    return () => stop.current.abort();
  }, []);

  const counted = (count: number): string => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
  const rows = found.filter(can);
  const left = found.length - rows.length;
  const start = (): void => {
    setProgress({ done: 0, refused: 0, unanswered: 0, errors: [], isOver: false });
    void runAll(rows, plan.act, stop.current.signal, setProgress);
  };

  return (
    <Modal title={title} onClose={onClose} wide>
      {isReading && (
        <p role="status">
          Finding the {many}… {found.length.toLocaleString('en')}
        </p>
      )}
      {readError !== null && <p class="notice is-bad">{readError}</p>}
      {!isReading && readError === null && progress === null && (
        <>
          <p class="bulk-sum">
            {rows.length === 0
              ? `There is nothing to ${verb.toLowerCase()}.`
              : `This will ${verb.toLowerCase()} ${counted(rows.length)}${more?.(rows) ?? ''}.`}
          </p>
          {left > 0 && (
            <p class="muted">
              {counted(left)} left alone. {only}
            </p>
          )}
          {found.length >= BULK_MAX && (
            <p class="notice">
              At most {BULK_MAX.toLocaleString('en')} {many} at a time: repeat it for the others.
            </p>
          )}
          <ul class="bulk-rows">
            {rows.slice(0, SHOWN_ROWS).map((row) => (
              <li key={keyOf(row)}>{line(row)}</li>
            ))}
            {rows.length > SHOWN_ROWS && <li class="muted">and {(rows.length - SHOWN_ROWS).toLocaleString('en')} more</li>}
          </ul>
          {rows.length > 0 && options}
          <div class="modal-end">
            <button type="button" class={isDanger ? 'danger' : 'primary'} disabled={rows.length === 0} onClick={start}>
              {verb} {counted(rows.length)}
            </button>
          </div>
        </>
      )}
      {progress !== null && (
        <div role="status">
          <progress max={rows.length} value={progress.done + progress.refused + progress.unanswered} aria-label={title} />
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

interface BulkDialogProps<Row> {
  readonly plan: BulkPlan<Row>;
  readonly onClose: () => void;
}

async function runAll<Row>(
  rows: readonly Row[],
  act: (row: Row) => Promise<unknown>,
  stop: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<void> {
  const waiting = rows.values();
  let done = 0;
  const errors = new Set<string>();
  let refused = 0;
  let unanswered = 0;
  /** While the hub is away: the wait for it, which all share. */
  let isBack: Promise<void> | null = null;
  const work = async (): Promise<void> => {
    for (const row of waiting) {
      if (stop.aborted) return;
      try {
        await act(row);
        done += 1;
      } catch (thrown) {
        if (isAway(thrown)) isBack ??= untilBack(stop).finally(() => (isBack = null));
        if (thrown instanceof HubError && thrown.status !== 0) refused += 1;
        else unanswered += 1;
        if (errors.size < ERRORS_SHOWN) errors.add(thrown instanceof Error ? thrown.message : String(thrown));
      }
      onProgress({ done, refused, unanswered, errors: [...errors], isOver: false });
      await isBack;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  onProgress({ done, refused, unanswered, errors: [...errors], isOver: true });
}

/** Whether the hub, or a proxy for it, says or shows that it cannot do anything now: the other rows would get the same answer. */
const isAway = (thrown: unknown): boolean => !(thrown instanceof HubError) || thrown.status === 0 || thrown.status >= SERVER_ERROR;

/** Resolves when the hub answers again, or `stop` is aborted. */
async function untilBack(stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      await get('/api/whoami', stop);
      return;
    } catch (thrown) {
      if (!isAway(thrown)) return;
    }
    const isOver = AbortSignal.any([stop, AbortSignal.timeout(ASKED_EVERY_MS)]);
    if (!isOver.aborted) await new Promise((resolve) => isOver.addEventListener('abort', resolve, { once: true }));
  }
}
