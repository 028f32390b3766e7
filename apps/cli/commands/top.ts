/** `agentcom top`: the queue, the agents and what needs attention, live on a terminal, as a snapshot elsewhere. */
import type { Command } from 'commander';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import type { HubClient } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED } from '../exit-codes.ts';
import { painterFor } from '../output/output.ts';
import { readAttention, readHubClock, readHubState } from '../top/hub-state.ts';
import { BACKFILL_EVENTS, runTop } from '../top/live-top.ts';
import { ThroughputCounter } from '../top/throughput.ts';
import { topPage } from '../top/top-page.ts';

/** A stream that is silent for this long has sent all past events, milliseconds. */
const CAUGHT_UP_MS = 300;
/** The longest that a snapshot waits for past events, milliseconds. */
const EVENTS_WITHIN_MS = 3_000;

export function addTop(program: Command, action: Action): void {
  program
    .command('top')
    .description('Show the queue, the agents and the tasks that need attention, live (q quits)')
    .option('--once', 'print one snapshot and exit (implied by --json and without a terminal)')
    .action(action(top));
}

async function top(context: Context, { once = false }: { readonly once?: boolean }): Promise<void> {
  const { output, environment, exitWith } = context;
  const hub = await context.hub();
  if (once || output.json || environment.stdout.isTTY !== true) return snapshot(context, hub);
  const { times } = output;
  const end = await runTop({ hub, environment, times, paint: painterFor(environment), clock: systemClock() });
  if (end === 'interrupted') exitWith(EXIT_INTERRUPTED);
}

async function snapshot({ output, environment }: Context, hub: HubClient): Promise<void> {
  const [{ version, aheadMs }, state, attention, counter] = await Promise.all([
    readHubClock(hub),
    readHubState(hub),
    readAttention(hub),
    countedEvents(hub),
  ]);
  const nowMs = Date.now() + aheadMs;
  const throughput = counter.inLastMinute(nowMs);
  output.data({
    timestamp: nowMs,
    url: hub.url,
    version,
    tasks: state.statuses,
    queue: Object.fromEntries(
      Object.entries(state.queue).map(([priority, { queued, oldestReadyMs }]) => [priority, { queued, oldest_ready: oldestReadyMs }]),
    ),
    throughput: { covered_ms: throughput.coveredMs, ...throughput.counts },
    agents: state.agents,
    more_agents: state.moreAgents,
    attention: { dead_letters: attention.deadLetters, waiting: attention.waiting },
  });
  const columns = environment.stdout.isTTY === true ? environment.stdout.columns : undefined;
  const view = { url: hub.url, version, connection: null, state, throughput, attention, error: null };
  for (const { text, color } of topPage(view, { columns, rows: Infinity }, output.times, nowMs)) output.line(text, color);
}

/** Counts past events, as far as the hub sends them without a pause. */
async function countedEvents(hub: HubClient): Promise<ThroughputCounter> {
  const counter = new ThroughputCounter(BACKFILL_EVENTS);
  const caughtUp = new AbortController();
  const end = (): void => caughtUp.abort();
  const late = setTimeout(end, EVENTS_WITHIN_MS);
  let silence: NodeJS.Timeout | undefined;
  const onReceived = (): void => {
    clearTimeout(silence);
    silence = setTimeout(end, CAUGHT_UP_MS);
  };
  try {
    for await (const event of hub.events({ last: BACKFILL_EVENTS, signal: caughtUp.signal, onReceived })) counter.note(event);
  } finally {
    clearTimeout(late);
    clearTimeout(silence);
  }
  return counter;
}
