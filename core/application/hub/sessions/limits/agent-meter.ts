/** How much each agent says within a minute, in frames and in bytes, whatever socket it says it on. */
import type { AgentId } from '../../../../domain/ids.ts';
import type { Clock } from '../../../../ports/clock.ts';

export interface Allowance {
  /** Frames within a minute. */
  readonly count: number;
  /** Their bytes within a minute; one that is longer than all of it is never taken. */
  readonly bytes: number;
}

const MINUTE_MS = 60_000;
/** Agents whose talk is remembered at once; the one that was silent longest is forgotten. */
const AGENTS_MAX = 10_000;

interface Said {
  readonly atMs: number;
  readonly bytes: number;
}

export class AgentMeter {
  readonly #clock: Clock;
  /** In the order of the last word. */
  readonly #byAgent = new Map<AgentId, Map<string, readonly Said[]>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a frame of this kind and answers 0, or how many milliseconds until one like it is taken, and counts nothing. */
  take(agentId: AgentId, kind: string, bytes: number, most: Allowance): number {
    const nowMs = this.#clock.monotonicMs();
    const kinds = this.#byAgent.get(agentId) ?? new Map<string, readonly Said[]>();
    const recent = (kinds.get(kind) ?? []).filter(({ atMs }) => atMs > nowMs - MINUTE_MS);
    const free = this.#freeAtMs(recent, bytes, most, nowMs);
    kinds.set(kind, free <= nowMs ? [...recent, { atMs: nowMs, bytes }] : recent);
    this.#byAgent.delete(agentId);
    this.#byAgent.set(agentId, kinds);
    const [oldest] = this.#byAgent.keys();
    if (this.#byAgent.size > AGENTS_MAX && oldest !== undefined) this.#byAgent.delete(oldest);
    return Math.ceil(free - nowMs);
  }

  /** When so much of what was said is over a minute ago that this fits beside the rest. */
  #freeAtMs(recent: readonly Said[], bytes: number, most: Allowance, nowMs: number): number {
    let [count, sum, at] = [recent.length, recent.reduce((total, one) => total + one.bytes, 0), nowMs];
    for (const one of recent) {
      if (count < most.count && sum + bytes <= most.bytes) return at;
      [count, sum, at] = [count - 1, sum - one.bytes, one.atMs + MINUTE_MS];
    }
    return bytes <= most.bytes ? at : nowMs + MINUTE_MS;
  }
}
