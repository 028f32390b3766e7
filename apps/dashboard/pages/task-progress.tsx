/** How far the current run is, in its agent's words. */
import type { JSX } from 'preact';
import type { HistoryEntry, TaskDetail } from '../../client/types.ts';
import { Ago } from '../parts/moments.tsx';
import { Panel } from '../parts/notices.tsx';
import { BlockText } from '../parts/untrusted-text.tsx';

const PERCENT_MAX = 100;

/** The latest progress of the current run; nothing if none was reported. */
export function TaskProgress({ task }: { readonly task: TaskDetail }): JSX.Element | null {
  if (task.status !== 'assigned') return null;
  const latest = task.history.findLast(({ event, generation }) => event === 'progress' && generation === task.generation);
  if (latest === undefined) return null;
  const percent = latest.details?.['percent'];
  const text = textOf(latest);
  return (
    <Panel title="Progress" beside={<Ago at={latest.timestamp} />}>
      {typeof percent === 'number' && <progress max={PERCENT_MAX} value={percent} aria-label="Progress of the run" />}
      {text !== null && <BlockText text={text} />}
    </Panel>
  );
}

function textOf({ details }: HistoryEntry): string | null {
  const text = details?.['message'] ?? details?.['text'];
  return typeof text === 'string' ? text : null;
}
