/**
 * One stream of server-sent events from the history of all tasks. It reads from the place after the last event that it
 * gave, so that it skips none and holds no more than one batch; a commit wakes it.
 *
 * It is `reading` (asks the feed), `waiting` (for a commit, the next check of its token or its end) or `offering`
 * (a batch that the client has not taken). It ends when the client goes, the hub stops, its token is revoked, the feed
 * fails, or the client takes nothing for `STALLED_MS`; the client comes back with `Last-Event-ID`.
 */
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Timer } from '../../../core/ports/clock.ts';
import type { EventFilter } from '../../../core/ports/event-feed.ts';
import type { ByteStream } from '../../../core/ports/http.ts';
import { eventJson } from '../../../core/protocol/task-json.ts';
import type { Principal } from '../authenticate.ts';
import type { HttpApiDeps } from '../deps.ts';

/** What one stream holds for its client at a time: so many events, and no more once they have so many bytes. */
const BATCH_EVENTS = 200;
const BATCH_BYTES = 262_144;
/** The least time between two looks of one stream at the feed, so that many streams and many commits do not multiply. */
const GATHER_MS = 50;
/** A quiet stream says that it lives, and looks whether its token still holds. */
const ALIVE_MS = 15_000;
/** How long a client may leave what it was offered, milliseconds. */
export const STALLED_MS = 60_000;
/** What the client waits before it comes back. */
const RETRY_MS = 2_000;

/** Where a stream begins. */
export interface StartPlace {
  /** Events after this id are given. */
  readonly afterId: number;
  /** Those up to this id that are not to be had are known to be gone: `gap` tells of them, or the client needs none. */
  readonly removedId: number;
  /** Ids of which some are not to be had. */
  readonly gap: { readonly from: number; readonly to: number } | null;
}

/** `onEnd` is called when it has ended, however it did, once. */
export function eventStream(
  deps: HttpApiDeps,
  by: Principal,
  { place, filter }: { readonly place: StartPlace; readonly filter: EventFilter },
  onEnd: () => void,
): ByteStream {
  const { events, clock, log } = deps;
  const encoder = new TextEncoder();
  let { afterId, removedId } = place;
  let greeting: string | null = greetingText(place);
  let ended = false;
  let commits = 0;
  let wake: () => void = () => undefined;
  let stalled: Timer | null = null;
  let readAtMs = -Infinity;
  let checkedAtMs = clock.monotonicMs();
  let give: (chunk: Uint8Array | null) => void = () => undefined;
  const unsubscribe = deps.onCommit(() => {
    commits += 1;
    wake();
  });

  /** Ends once; a look that was begun sees `ended` after its next await. */
  const end = (): void => {
    if (ended) return;
    ended = true;
    stalled?.cancel();
    unsubscribe();
    wake();
    onEnd();
    give(null);
  };
  const expectTaken = (): void => {
    stalled = clock.after(STALLED_MS, end);
  };
  /** Until woken by a commit (when `byCommit`), by the end, or by time. */
  const waitFor = (ms: number, byCommit: boolean): Promise<void> =>
    new Promise((resolve) => {
      const timer = clock.after(ms, resolve);
      wake = () => {
        if (!byCommit && !ended) return;
        timer.cancel();
        resolve();
      };
    });

  /** The next text for the client; null at the end. */
  const nextText = async (): Promise<string | null> => {
    if (greeting !== null) {
      const text = greeting;
      greeting = null;
      return text;
    }
    while (!ended) {
      const soonMs = readAtMs + GATHER_MS - clock.monotonicMs();
      if (soonMs > 0) await waitFor(soonMs, false);
      if (ended) return null;
      if (clock.monotonicMs() - checkedAtMs >= ALIVE_MS) {
        checkedAtMs = clock.monotonicMs();
        if (!(await by.stillHolds())) return null;
      }
      readAtMs = clock.monotonicMs();
      const seen = commits;
      const { events: batch, untilId, removedId: goneId } = await events.after(afterId, filter, BATCH_EVENTS, BATCH_BYTES);
      const isMore = untilId > afterId;
      // Removed since the stream began, and perhaps before it came to them.
      const gap = goneId > removedId && goneId > afterId ? gapText(afterId, { from: afterId + 1, to: goneId }) : '';
      removedId = Math.max(removedId, goneId);
      afterId = untilId;
      if (batch.length > 0 || gap !== '') return gap + batch.map(eventText).join('');
      if (ended) return null;
      if (isMore || commits !== seen) continue;
      await waitFor(ALIVE_MS, true);
      if (commits === seen && !ended) return ':\n\n';
    }
    return null;
  };

  const look = async (): Promise<void> => {
    let text: string | null;
    try {
      text = await nextText();
    } catch (thrown) {
      log.warn('An event stream ended because the events could not be read.', { error: messageOf(thrown) });
      text = null;
    }
    if (text === null) end();
    if (ended || text === null) return;
    expectTaken();
    give(encoder.encode(text));
  };

  expectTaken();
  return {
    next() {
      if (ended) return Promise.resolve(null);
      stalled?.cancel();
      return new Promise((resolve) => {
        give = resolve;
        void look();
      });
    },
    cancel: end,
  };
}

/** The first words make headers and connection show at once; the gap, where there is one, comes before any event. */
function greetingText({ afterId, gap }: StartPlace): string {
  const retry = `retry: ${RETRY_MS}\n\n`;
  return gap === null ? retry : retry + gapText(afterId, gap);
}

const gapText = (afterId: number, gap: NonNullable<StartPlace['gap']>): string =>
  `id: ${afterId}\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n`;

/** JSON has no line breaks outside its strings and escapes those within: it fits one `data` line. */
const eventText = (event: StoredEvent): string => `id: ${event.id}\nevent: ${event.event}\ndata: ${eventJson(event)}\n\n`;
