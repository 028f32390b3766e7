/** The audit log: who did what, when and from where, newest first. */
import type { JSX } from 'preact';
import type { AuditEntryJson, AuditPageJson } from '../../client/audit-client.ts';
import { get } from '../hub/hub-requests.ts';
import { href, place } from '../hub/routing.ts';
import { useLive } from '../hub/use-live.ts';
import { clockText, dayText, nowMs, timeText } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading } from '../parts/notices.tsx';
import { Pager } from '../parts/pager.tsx';
import { JsonText, LineText } from '../parts/untrusted-text.tsx';

const PAGE_ROWS = 100;
const GAP_MS = 2_000;
/** Signing in, for one, has no event, milliseconds. */
const OTHERS_WITHIN_MS = 30_000;
/** The events of what an operator does. */
const OF_OPERATORS = new Set(['retried', 'cancelled', 'adopted', 'agent_draining', 'agent_resumed']);

const WORDS: Readonly<Record<string, string>> = {
  'hub.start': 'Hub started',
  'session.open': 'Signed in to the dashboard',
  'session.end': 'Signed out of the dashboard',
  'session.refuse': 'Wrong tokens or secrets refused',
  'token.create': 'Token created',
  'token.rotate': 'Token rotated',
  'token.revoke': 'Token revoked',
  'enrol_secret.create': 'Join code created',
  'enrol_secret.use': 'Join code used',
  'agent.drain': 'Agent drained',
  'agent.resume': 'Agent resumed',
  'agent.takeover': 'Agent may be taken over',
  'agent.remove': 'Agent removed',
  'task.cancel': 'Task cancelled',
  'task.retry': 'Task retried',
  'task.adopt': 'Late result adopted',
};

interface AuditShown {
  /** Newest first. */
  readonly entries: readonly AuditEntryJson[];
  readonly hasOlder: boolean;
}

/** The entries with a number below `before`; null: the newest. The hub lists them oldest first, and numbers them without a gap. */
async function readAudit(before: number | null, stop: AbortSignal): Promise<AuditShown> {
  const end = before ?? (await get<AuditPageJson>('/admin/audit?limit=1', stop)).head.seq + 1;
  const after = Math.max(0, end - 1 - PAGE_ROWS);
  const { entries, anchor } = await get<AuditPageJson>(`/admin/audit?after=${after}&limit=${PAGE_ROWS}`, stop);
  const shown = entries.filter(({ seq }) => seq < end).reverse();
  return { entries: shown, hasOlder: (shown.at(-1)?.seq ?? 0) > anchor.seq + 1 };
}

const NUMBER = /^[1-9][0-9]{0,14}$/;

export function AuditPage(): JSX.Element {
  const given = place.value.query.get('before');
  const before = given !== null && NUMBER.test(given) ? Number(given) : null;
  const { data, error, reload } = useLive(`audit ${String(before)}`, (stop) => readAudit(before, stop), {
    gapMs: GAP_MS,
    // Entries never change.
    ...(before === null
      ? { concerns: ({ event }) => OF_OPERATORS.has(event), othersWithinMs: OTHERS_WITHIN_MS }
      : { concerns: () => false }),
  });
  const entries = data?.entries ?? [];
  const last = entries.at(-1)?.seq ?? 0;
  return (
    <>
      <div class="page-head">
        <h1>Audit log</h1>
        <button type="button" class="small" onClick={reload}>
          Read again
        </button>
      </div>
      <ErrorNotice error={error} onRetry={reload} />
      {data === undefined && error === null && <Loading />}
      {data !== undefined && entries.length === 0 && (
        <Empty title="There are no entries this old any more.">
          <a href={href(['audit'])}>Show the newest</a>
        </Empty>
      )}
      {entries.length > 0 && (
        <section class="panel" aria-label="Entries, newest first">
          <ol class="timeline">
            {entries.map((entry, at) => (
              <Entry key={entry.seq} entry={entry} previousMs={entries[at - 1]?.at ?? nowMs.value} />
            ))}
          </ol>
        </section>
      )}
      <Pager
        label="Pages of the audit log"
        links={[
          before === null ? null : ['Newest entries', href(['audit'])],
          data?.hasOlder === true ? ['Older entries', href(['audit'], { before: String(last) })] : null,
        ]}
      />
    </>
  );
}

function Entry({ entry, previousMs }: { readonly entry: AuditEntryJson; readonly previousMs: number }): JSX.Element {
  const { seq, at, actor, address, act, outcome } = entry;
  const details = detailsText(entry);
  const day = dayText(at);
  return (
    <li class={`timeline-entry is-${outcome === 'done' ? 'plain' : 'bad'}`} data-act={act}>
      <time class="timeline-time" dateTime={new Date(at).toISOString()} title={timeText(at)}>
        {day !== dayText(previousMs) && <span class="timeline-day">{day}</span>}
        {clockText(at)}
      </time>
      <div class="timeline-body">
        <p class="timeline-what">
          <strong>{WORDS[act] ?? <LineText text={act} />}</strong> <AuditObject entry={entry} />
          {outcome !== 'done' && (
            <>
              {' '}
              <LineText text={outcome} />
            </>
          )}{' '}
          <span class="muted">
            by <LineText text={actor.name ?? actor.id ?? 'nobody known'} /> (<LineText text={actor.role} />)
            {address !== null && (
              <>
                {' '}
                from <LineText text={address} />
              </>
            )}
          </span>
        </p>
        {details !== '' && (
          <p class="timeline-why">
            <LineText text={details} max={1_000} />
          </p>
        )}
        <details>
          <summary>Entry {seq}</summary>
          <JsonText value={entry} />
        </details>
      </div>
    </li>
  );
}

/** What it was done to, with a link if it has a page; nothing if that is who did it. */
function AuditObject({ entry: { act, actor, object } }: { readonly entry: AuditEntryJson }): JSX.Element | null {
  if (object === null || object === actor.id) return null;
  const text = <LineText text={object} />;
  const [kind] = act.split('.', 1);
  if (act === 'agent.remove' || (kind !== 'agent' && kind !== 'task')) return <span class="mono">{text}</span>;
  return (
    <a class="mono" href={href([`${kind}s`, object])}>
      {text}
    </a>
  );
}

/** Times are shown as such. */
function detailsText({ details }: AuditEntryJson): string {
  return Object.entries(details)
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => `${name}: ${name.endsWith('_at') && typeof value === 'number' ? timeText(value) : String(value)}`)
    .join(', ');
}
