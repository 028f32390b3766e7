/** Counts the frames and bytes of each agent and kind within a minute, over all of its connections. */
import type { AgentId } from '../../../../domain/ids.ts';
import type { Clock } from '../../../../ports/clock.ts';

export interface Allowance {
  /** Frames within a minute. */
  readonly count: number;
  /** Their bytes within a minute; a longer frame is always refused. */
  readonly bytes: number;
}

/** Wake results of one agent in a minute: several for each of its slots. They decide nothing about a task. */
export const WAKE_RESULTS: Allowance = { count: 600, bytes: 1_048_576 };

const MINUTE_MS = 60_000;
/** Agents tracked at once; beyond that the least recently active one is dropped. */
const AGENTS_MAX = 10_000;

interface Counted {
  readonly atMs: number;
  readonly bytes: number;
}

export class AgentMeter {
  readonly #clock: Clock;
  /** The least recently active first. */
  readonly #byAgent = new Map<AgentId, Map<string, readonly Counted[]>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a frame of this kind and returns 0; or, over the allowance, counts nothing and returns the milliseconds until it fits. */
  take(agentId: AgentId, kind: string, bytes: number, most: Allowance): number {
    const nowMs = this.#clock.monotonicMs();
    const kinds = this.#byAgent.get(agentId) ?? new Map<string, readonly Counted[]>();
    const recent = (kinds.get(kind) ?? []).filter(({ atMs }) => atMs > nowMs - MINUTE_MS);
    const free = this.#freeAtMs(recent, bytes, most, nowMs);
    kinds.set(kind, free <= nowMs ? [...recent, { atMs: nowMs, bytes }] : recent);
    this.#byAgent.delete(agentId);
    this.#byAgent.set(agentId, kinds);
    const [oldest] = this.#byAgent.keys();
    if (this.#byAgent.size > AGENTS_MAX && oldest !== undefined) this.#byAgent.delete(oldest);
    return Math.ceil(free - nowMs);
  }

  /** When enough of the recent frames are over a minute old for this one to fit. */
  #freeAtMs(recent: readonly Counted[], bytes: number, most: Allowance, nowMs: number): number {
    let [count, sum, at] = [recent.length, recent.reduce((total, one) => total + one.bytes, 0), nowMs];
    for (const one of recent) {
      if (count < most.count && sum + bytes <= most.bytes) return at;
      [count, sum, at] = [count - 1, sum - one.bytes, one.atMs + MINUTE_MS];
    }
    return bytes <= most.bytes ? at : nowMs + MINUTE_MS;
  }
}
