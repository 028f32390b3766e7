/**
 * The live page. When the event stream reports a change of a task or an agent, the state is read again, at most once a second. Without events
 * nothing is requested.
 */
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import type { HubClient } from '../../client/index.ts';
import type { CliEnvironment } from '../cli-environment.ts';
import type { Paint } from '../output/output.ts';
import type { Times } from '../output/time-text.ts';
import { readAttention, readHubClock, readHubState, type Attention } from './hub-state.ts';
import { rereads } from './rereads.ts';
import { enterScreen } from './terminal-screen.ts';
import { ThroughputCounter } from './throughput.ts';
import { topPage, type Connection } from './top-page.ts';

/** Past events from which the counts of the last minute start. */
export const BACKFILL_EVENTS = 5_000;
/** The least time between two reads of the state, milliseconds. */
const STATE_GAP_MS = 1_000;
/** The least time between two reads of the tasks that need attention, which take a dozen requests, milliseconds. */
const ATTENTION_GAP_MS = 5_000;
/** How long before a failed read is retried, milliseconds. */
const RETRY_MS = 5_000;
/** How often ages are redrawn, milliseconds. */
const TICK_MS = 1_000;
/** The least time between two redraws, milliseconds. */
const DRAW_GAP_MS = 100;
/** A stream that is later than this is shown as behind, milliseconds. */
const BEHIND_MS = 5_000;
const CTRL_C = '\u0003';

export interface LiveTop {
  readonly hub: HubClient;
  readonly environment: CliEnvironment;
  readonly times: Times;
  readonly paint: Paint;
  readonly clock: Clock;
}

/** Shows the page until the user leaves it. If the hub refuses a request, throws its error after restoring the terminal. */
export async function runTop({ hub, environment, times, paint, clock }: LiveTop): Promise<'quit' | 'interrupted'> {
  const [{ version, aheadMs }, first] = await Promise.all([readHubClock(hub), readHubState(hub)]);
  const beganMs = clock.nowMs() + aheadMs;
  const counter = new ThroughputCounter(BACKFILL_EVENTS);
  const done = new AbortController();
  const interrupted = environment.interrupt();
  const signal = AbortSignal.any([interrupted, done.signal]);
  let state = first;
  let attention: Attention | null = null;
  let connection: Connection = { kind: 'connecting' };
  let error: string | null = null;
  let failure: unknown = null;
  let end: 'quit' | 'interrupted' = 'interrupted';

  const quit = (how: typeof end): void => {
    end = how;
    done.abort();
  };
  const nowMs = (): number => clock.nowMs() + aheadMs;
  const screen = enterScreen(environment, {
    onKey(key) {
      if (key.includes(CTRL_C)) quit('interrupted');
      else if (key.toLowerCase().includes('q')) quit('quit');
      else if (key.toLowerCase().includes('r')) readAgain();
    },
    onResize: () => drawing.want(),
  });
  const drawing = rereads(clock, DRAW_GAP_MS, async () => {
    const view = { url: hub.url, version, connection, state, throughput: counter.inLastMinute(nowMs()), attention, error };
    screen.draw(topPage(view, screen.size(), times, nowMs()).map(({ text, color }) => paint(text, color)));
  });
  const reading = (gapMs: number, read: () => Promise<void>) => {
    const reads = rereads(clock, gapMs, async () => {
      try {
        await read();
        error = null;
      } catch (thrown) {
        if (isRefusal(thrown)) {
          failure = thrown;
          return done.abort();
        }
        error = messageOf(thrown);
        retries.add(clock.after(RETRY_MS, () => reads.want()));
      }
      drawing.want();
    });
    return reads;
  };
  const retries = new Set<Timer>();
  const stateReads = reading(STATE_GAP_MS, async () => void (state = await readHubState(hub)));
  const attentionReads = reading(ATTENTION_GAP_MS, async () => void (attention = await readAttention(hub)));
  const readAgain = (): void => {
    stateReads.want();
    attentionReads.want();
  };
  let tick = clock.after(TICK_MS, function again() {
    drawing.want();
    tick = clock.after(TICK_MS, again);
  });

  try {
    drawing.want();
    attentionReads.want();
    const events = hub.events({
      last: BACKFILL_EVENTS,
      signal,
      giveUpAfterMs: Infinity,
      onReceived() {
        if (connection.kind === 'cut') readAgain();
        if (connection.kind !== 'behind') connection = { kind: 'live' };
      },
      onReconnect(why) {
        const sinceMs = connection.kind === 'cut' ? connection.sinceMs : nowMs();
        connection = { kind: 'cut', sinceMs, why };
        drawing.want();
      },
    });
    for await (const event of events) {
      counter.note(event);
      const atMs = event.data['timestamp'];
      // Events from before this command are old by design.
      const byMs = typeof atMs === 'number' && atMs > beganMs ? nowMs() - atMs : 0;
      connection = byMs > BEHIND_MS ? { kind: 'behind', byMs } : { kind: 'live' };
      readAgain();
      drawing.want();
    }
  } finally {
    tick.cancel();
    for (const retry of retries) retry.cancel();
    for (const each of [stateReads, attentionReads, drawing]) each.stop();
    screen.leave();
  }
  if (failure !== null) throw failure as Error;
  return end;
}

/** The token does not allow it, or no longer does: a retry cannot help. */
function isRefusal(thrown: unknown): boolean {
  const status = AgentcomError.is(thrown, 'AC_API') ? thrown.details?.['status'] : null;
  return status === 401 || status === 403;
}
