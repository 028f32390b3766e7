/** An agent in a few words, the same in every list. */
import { HUB_TIMING } from '../../../core/config/times.ts';
import type { AgentJson } from '../../client/index.ts';
import { age } from './time-text.ts';

/**
 * `now` if it is connected and was heard from within a heartbeat, otherwise how long ago it was. For an agent of another hub, this one knows
 * only when it connected.
 */
export function seenText({ connected, connected_at, last_seen }: AgentJson, nowMs: number): string {
  const isFresh = last_seen === null || nowMs - last_seen <= HUB_TIMING.heartbeatMs || last_seen <= (connected_at ?? 0);
  return connected && isFresh ? 'now' : age(last_seen, nowMs);
}

export const stopsText = (stops: number): string => (stops === 0 ? '' : `waits for ${stops} ${stops === 1 ? 'run' : 'runs'} to stop`);

/** Why it gets fewer tasks than it has slots; empty if there is no such reason. */
export const reasonOf = (agent: AgentJson): string =>
  agent.draining_reason ?? agent.paused_reason ?? agent.busy_reason ?? stopsText(agent.pending_stops);
