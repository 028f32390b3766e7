/** The last that an agent printed before it failed: the reason is often found only there. */
import type { JSX } from 'preact';
import type { HistoryEntry, TaskDetail } from '../../client/types.ts';
import { BlockText } from '../parts/untrusted-text.tsx';

/** About ten lines. */
const SHOWN_CHARACTERS = 800;
const TAILS = [
  ['stderr_tail', 'End of standard error'],
  ['last_output', 'End of its output'],
] as const;

/** Of the newest attempt that failed: the end of standard error, or else of its output; nothing if it printed nothing. */
export function FailureOutput({ task, of }: FailureOutputProps): JSX.Element | null {
  const failure = task.history.findLast(({ event }) => event === 'failed' || event === 'wake_failed' || event === 'lost');
  const [tail] = TAILS.map(([name, title]) => ({ title, text: tailOf(failure, name) })).filter(({ text }) => text !== '');
  if (tail === undefined) return null;
  return (
    <figure class="failure-output">
      <figcaption>
        {tail.title}
        {of !== undefined && ` ${of}`}
      </figcaption>
      <BlockText mono end max={SHOWN_CHARACTERS} text={tail.text} />
    </figure>
  );
}

interface FailureOutputProps {
  readonly task: Pick<TaskDetail, 'history'>;
  /** Whose it is, where that is not plain. */
  readonly of?: string;
}

/** The failure's details are nested in those of the event. */
function tailOf(failure: HistoryEntry | undefined, name: (typeof TAILS)[number][0]): string {
  const details = failure?.details?.['details'];
  const text = typeof details === 'object' && details !== null ? (details as Readonly<Record<string, unknown>>)[name] : undefined;
  return typeof text === 'string' ? text.trimEnd() : '';
}
