/** The history of a task: what happened, when, by whom and why, with what was refused. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { reclaimText } from '../../../core/domain/transitions/reclaim-reason.ts';
import type { HistoryEntry, TaskDetail, TaskEventsPage } from '../../client/types.ts';
import { get } from '../hub/hub-requests.ts';
import { href } from '../hub/routing.ts';
import { attempt } from '../parts/messages.tsx';
import { clockText, dayText, durationText, nowMs, timeText } from '../parts/moments.tsx';
import { JsonText, LineText } from '../parts/untrusted-text.tsx';

const OLDER_ROWS = 200;

const WORDS: Readonly<Record<string, string>> = {
  submitted: 'Submitted',
  scheduled: 'Scheduled',
  blocked: 'Waits for other tasks',
  eligible: 'May be assigned',
  assigned: 'Assigned',
  accepted: 'Accepted',
  woken: 'Agent started',
  wake_failed: 'Agent did not start',
  progress: 'Progress',
  completed: 'Completed',
  failed: 'Attempt failed',
  rejected: 'Rejected by the sidecar',
  released: 'Handed back',
  reclaimed: 'Reclaimed by the hub',
  lost: 'Attempt lost',
  retried: 'Retried by an operator',
  dead_lettered: 'Moved to the dead-letter queue',
  cancelled: 'Cancelled',
  expired: 'Expired',
  stop_requested: 'Agent asked to stop',
  stop_confirmed: 'Agent has stopped',
  late_result: 'Late result kept',
  report_refused: 'Report refused',
  adopted: 'Late result adopted',
  parked: 'Parked',
  unparked: 'Unparked',
};

const BAD = new Set(['failed', 'dead_lettered', 'lost', 'wake_failed', 'report_refused', 'rejected', 'expired', 'parked', 'reclaimed']);
const GOOD = new Set(['completed', 'adopted', 'stop_confirmed']);
const WORKING = new Set(['assigned', 'accepted', 'woken', 'progress']);

const toneOf = (event: string): string => (BAD.has(event) ? 'bad' : GOOD.has(event) ? 'good' : WORKING.has(event) ? 'work' : 'plain');

/** Details that say why, best first. */
const CODE = /^[a-z_]{1,64}$/;
const REASONS = ['error', 'reason', 'message'] as const;

function whyText(event: string, reason: string): string {
  const why = event === 'lost' || event === 'reclaimed' ? reclaimText(reason) : undefined;
  return why ?? (CODE.test(reason) ? reason.replaceAll('_', ' ') : reason);
}

export function TaskTimeline({ task }: { readonly task: TaskDetail }): JSX.Element {
  const [older, setOlder] = useState<readonly HistoryEntry[]>([]);
  const [before, setBefore] = useState<number | null | undefined>(undefined);
  const next = before === undefined ? (task.history_before ?? null) : before;
  const all = [...older, ...task.history];
  const readOlder = (): Promise<unknown> =>
    attempt('Older events are shown.', async () => {
      const page = await get<TaskEventsPage>(`/api/tasks/${encodeURIComponent(task.id)}/events?before=${String(next)}&limit=${OLDER_ROWS}`);
      setOlder([...page.events, ...older]);
      setBefore(page.before);
    });
  return (
    <>
      {next !== null && (
        <button type="button" class="link" onClick={() => void readOlder()}>
          Show older events
        </button>
      )}
      <ol class="timeline">
        {all.map((entry, at) => (
          <TimelineEntry key={at - older.length} entry={entry} previousMs={all[at - 1]?.timestamp} />
        ))}
      </ol>
    </>
  );
}

function TimelineEntry({ entry, previousMs }: { readonly entry: HistoryEntry; readonly previousMs: number | undefined }): JSX.Element {
  const details = entry.details ?? {};
  const reason = REASONS.map((name) => details[name]).find((value) => typeof value === 'string') as string | undefined;
  const by = details['by'];
  const day = dayText(entry.timestamp);
  const afterMs = previousMs === undefined ? 0 : entry.timestamp - previousMs;
  return (
    <li class={`timeline-entry is-${toneOf(entry.event)}`} data-event={entry.event}>
      <time class="timeline-time" dateTime={new Date(entry.timestamp).toISOString()} title={timeText(entry.timestamp)}>
        {day !== dayText(previousMs ?? nowMs.value) && <span class="timeline-day">{day}</span>}
        {clockText(entry.timestamp)}
      </time>
      <div class="timeline-body">
        <p class="timeline-what">
          <strong>{WORDS[entry.event] ?? <LineText text={entry.event} />}</strong>
          {typeof entry.agent_id === 'string' && (
            <>
              {' '}
              <a href={href(['agents', entry.agent_id])}>
                <LineText text={entry.agent_id} />
              </a>
            </>
          )}
          {typeof by === 'string' && (
            <span class="muted">
              {' '}
              by <LineText text={by} max={60} />
            </span>
          )}
          {typeof entry.generation === 'number' && <span class="muted nowrap"> generation {entry.generation}</span>}
          {afterMs >= 1_000 && <span class="muted nowrap"> after {durationText(afterMs)}</span>}
        </p>
        {reason !== undefined && (
          <p class="timeline-why">
            <LineText text={whyText(entry.event, reason)} max={1_000} />
          </p>
        )}
        {Object.keys(details).length > 0 && (
          <details>
            <summary>Details</summary>
            <JsonText value={details} />
          </details>
        )}
      </div>
    </li>
  );
}
