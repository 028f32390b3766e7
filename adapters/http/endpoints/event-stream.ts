/**
 * A stream of server-sent events from the history of all tasks. It always continues reading after its last event, so that it skips
 * none and buffers at most one batch. A commit wakes it up.
 *
 * At any time it is reading from the feed, or waiting (for a commit, for the next check of its token, or for its end), or it has a batch that the
 * client has not read yet. It ends when the client disconnects, the hub stops, its token is revoked, the feed fails, or the client reads
 * nothing for `STALLED_MS`. The client then reconnects with `Last-Event-ID`. All streams share one reader of the newest events (event-tail.ts).
 */
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Timer } from '../../../core/ports/clock.ts';
import type { EventFilter } from '../../../core/ports/event-feed.ts';
import type { ByteStream } from '../../../core/ports/http.ts';
import type { Principal } from '../authenticate.ts';
import type { HttpApiDeps } from '../deps.ts';
import type { EventTail } from './event-tail.ts';

/** How often a stream without events sends a keep-alive comment, and how often a stream checks its token. */
const KEEP_ALIVE_MS = 15_000;
/** How long a client may leave a batch unread, milliseconds. */
export const STALLED_MS = 60_000;
const encoder = new TextEncoder();
const KEEP_ALIVE = encoder.encode(':\n\n');
/** How long the client waits before it reconnects. */
const RETRY_MS = 2_000;

/** Where a stream starts. */
export interface StreamStart {
  /** The stream delivers the events after this id. */
  readonly afterId: number;
  /** Missing events up to this id are accounted for: `gap` reports them, or the client does not need them. */
  readonly removedId: number;
  /** A range of ids in which events are missing. */
  readonly gap: { readonly from: number; readonly to: number } | null;
}

/** Calls the function that reads the first events, when that may happen. */
export type FirstRead = <T>(read: () => Promise<T>) => Promise<T>;

/** `onEnd` is called once, when the stream has ended for whatever reason. */
export function eventStream(
  deps: HttpApiDeps,
  tail: EventTail,
  principal: Principal,
  { place, filter, firstRead }: { readonly place: StreamStart; readonly filter: EventFilter; readonly firstRead: FirstRead },
  onEnd: () => void,
): ByteStream {
  const { clock, log } = deps;
  let { afterId, removedId } = place;
  let greeting: string | null = greetingText(place);
  let ended = false;
  /** The first events do not wait for a round. */
  let isFirst = true;
  let wake: () => void = () => undefined;
  let stalled: Timer | null = null;
  /** The last message of a stream whose client read too slowly. */
  let farewell: string | null = null;
  let checkedAtMs = clock.monotonicMs();
  let give: (chunk: Uint8Array | null) => void = () => undefined;
  const leave = tail.join();

  /** Idempotent. A read in progress sees `ended` after its next await. */
  const end = (): void => {
    if (ended) return;
    ended = true;
    stalled?.cancel();
    leave();
    wake();
    onEnd();
    give(null);
  };
  const startStallTimer = (): void => {
    stalled = clock.after(STALLED_MS, () => {
      farewell = droppedText(afterId);
      end();
    });
  };
  /** Waits for the time to pass, for a commit, or for the end. */
  const waitFor = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      wake = () => {
        timer.cancel();
        forget();
        resolve();
      };
      const timer = clock.after(ms, wake);
      const forget = tail.onNextCommit(wake);
    });

  /** Resolves to what the client gets next, or to null at the end. */
  const nextChunk = async (): Promise<Uint8Array | null> => {
    if (greeting !== null) {
      const text = greeting;
      greeting = null;
      return encoder.encode(text);
    }
    while (!ended) {
      const wasFirst = isFirst;
      if (!isFirst) await tail.round();
      isFirst = false;
      if (ended) return null;
      if (clock.monotonicMs() - checkedAtMs >= KEEP_ALIVE_MS) {
        checkedAtMs = clock.monotonicMs();
        if (!(await principal.isStillValid())) return null;
      }
      const seen = tail.commits;
      // It may have ended before its turn came.
      const read = async () => (ended ? null : await tail.after(afterId, filter));
      const batch = await (wasFirst ? firstRead(read) : read());
      if (batch === null) return null;
      const { bytes, untilId, removedId: goneId } = batch;
      const isMore = untilId > afterId;
      // Events that were removed since the stream started, perhaps before it read them.
      const gap = goneId > removedId && goneId > afterId ? gapText(afterId, { from: afterId + 1, to: goneId }) : '';
      removedId = Math.max(removedId, goneId);
      afterId = untilId;
      if (gap !== '') return Buffer.concat([encoder.encode(gap), bytes]);
      if (bytes.length > 0) return bytes;
      if (ended) return null;
      if (isMore || tail.commits !== seen) continue;
      await waitFor(KEEP_ALIVE_MS);
      if (tail.commits !== seen || ended) continue;
      tail.expire();
      return KEEP_ALIVE;
    }
    return null;
  };

  const readNext = async (): Promise<void> => {
    let chunk: Uint8Array | null;
    try {
      chunk = await nextChunk();
    } catch (thrown) {
      log.warn('An event stream ended because the events could not be read.', { error: messageOf(thrown) });
      chunk = null;
    }
    if (chunk === null) end();
    if (ended || chunk === null) return;
    startStallTimer();
    // The greeting belongs to the request, and no round delivers it.
    if (!isFirst) tail.delivered(chunk.length);
    give(chunk);
  };

  startStallTimer();
  return {
    next() {
      if (ended) {
        const last = farewell;
        farewell = null;
        return Promise.resolve(last === null ? null : encoder.encode(last));
      }
      stalled?.cancel();
      return new Promise((resolve) => {
        give = resolve;
        void readNext();
      });
    },
    cancel: end,
  };
}

/**
 * Sent at once, so that the client receives the response headers, and knows where to resume if the connection drops before the first event. If
 * there is a gap, only its event has the position, so that a client that missed it receives it again.
 */
function greetingText({ afterId, gap }: StreamStart): string {
  const retry = `retry: ${RETRY_MS}\n`;
  return gap === null ? `${retry}id: ${afterId}\n\n` : `${retry}\n${gapText(afterId, gap)}`;
}

const gapText = (afterId: number, gap: NonNullable<StreamStart['gap']>): string =>
  `id: ${afterId}\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n`;

/** Tells a client that its stream ends because it read too slowly, and after which event it can resume. */
const droppedText = (afterId: number): string =>
  `event: dropped\ndata: ${JSON.stringify({ reason: 'slow_reader', unread_ms: STALLED_MS, resume_after: afterId })}\n\n`;
