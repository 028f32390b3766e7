/**
 * Rate limits of each agent over all of its connections: frames per second and bytes per second. Every frame costs the hub work
 * that other agents wait for. An agent over its limit may not identify until its whole burst is free again, so that it never sends
 * more than its rate. It loses nothing: sidecars keep a report until it is answered.
 */
import type { SocketRefusal } from '../../../../protocol/close-codes.ts';
import type { HubLimits } from '../../../../config/limits.ts';
import type { AgentId } from '../../../../domain/ids.ts';
import { fullBucket, refilled, spend, type Bucket, type BucketRule } from '../../../../domain/token-bucket.ts';
import type { Clock } from '../../../../ports/clock.ts';

type RateLimits = Pick<HubLimits, 'agentFramesPerSecond' | 'agentFrameBurst' | 'agentBytesPerSecond' | 'agentByteBurst'>;

/**
 * Frames that advance no task: refused reports, and everything that is not a report. A healthy sidecar sends some each minute. One
 * that sends more is wasteful: its frames and commands get low priority until it has been quiet for long enough.
 */
const WASTE: BucketRule = { burst: 30, perSecond: 1 };

/** The close reason of a connection whose agent exceeds its rate. It may identify again once its burst is free. */
export const TOO_FAST = 'the agent sends more frames or bytes than it may' satisfies SocketRefusal;

/** Agents tracked at once; beyond that the one that identified first is dropped. More than there are sockets. */
const AGENTS_MAX = 20_000;

/** Shared by all agents: each of thousands has its own rate. */
interface RateRules {
  readonly frames: BucketRule;
  readonly bytes: BucketRule;
}

/** The rate of one agent. Mutable, since every frame of every agent passes through here. */
export class FrameRate {
  readonly #rules: RateRules;
  readonly #clock: Clock;
  #frames: number;
  #bytes: number;
  #atMs: number;
  #blockedUntilMs = 0;
  #waste: Bucket;

  constructor(rules: RateRules, clock: Clock) {
    this.#rules = rules;
    this.#clock = clock;
    this.#frames = rules.frames.burst;
    this.#bytes = rules.bytes.burst;
    this.#atMs = clock.monotonicMs();
    this.#waste = fullBucket(WASTE, this.#atMs);
  }

  /** Counts a frame that advanced no task. */
  countWasted(): void {
    const nowMs = this.#clock.monotonicMs();
    // In debt by one burst at most, so that a quiet minute always clears it.
    const { left } = spend(this.#waste, WASTE, nowMs, 1).bucket;
    this.#waste = { left: Math.max(-WASTE.burst, left), atMs: nowMs };
  }

  /** Whether it sent too many frames that advanced no task. */
  get isWasteful(): boolean {
    const { left, atMs } = this.#waste;
    return left < 0 && refilled(left, this.#clock.monotonicMs() - atMs, WASTE) < 0;
  }

  /** Counts a frame and returns whether the agent is within its rate; if not, it is blocked from now on. */
  take(bytes: number): boolean {
    const { frames, bytes: rate } = this.#rules;
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    this.#frames = refilled(this.#frames, elapsedMs, frames) - 1;
    this.#bytes = refilled(this.#bytes, elapsedMs, rate) - bytes;
    const framesOver = frames.perSecond > 0 && this.#frames < 0;
    const bytesOver = rate.perSecond > 0 && this.#bytes < 0;
    if (!framesOver && !bytesOver) return true;
    const fullInS = Math.max(
      framesOver ? (frames.burst - this.#frames) / frames.perSecond : 0,
      bytesOver ? (rate.burst - this.#bytes) / rate.perSecond : 0,
    );
    this.#blockedUntilMs = nowMs + Math.ceil(fullInS * 1_000);
    return false;
  }

  /** How long it may not identify, milliseconds; 0 when it may. */
  retryAfterMs(): number {
    return Math.max(0, Math.ceil(this.#blockedUntilMs - this.#clock.monotonicMs()));
  }
}

export class FrameRates {
  readonly #rules: RateRules;
  readonly #clock: Clock;
  readonly #byAgent = new Map<AgentId, FrameRate>();

  constructor(limits: RateLimits, clock: Clock) {
    this.#rules = {
      frames: { burst: limits.agentFrameBurst, perSecond: limits.agentFramesPerSecond },
      bytes: { burst: limits.agentByteBurst, perSecond: limits.agentBytesPerSecond },
    };
    this.#clock = clock;
  }

  /** The same for every connection of this agent. */
  of(agentId: AgentId): FrameRate {
    const known = this.#byAgent.get(agentId);
    if (known !== undefined) return known;
    const made = new FrameRate(this.#rules, this.#clock);
    this.#byAgent.set(agentId, made);
    const [oldest] = this.#byAgent.size > AGENTS_MAX ? this.#byAgent.keys() : [];
    if (oldest !== undefined) this.#byAgent.delete(oldest);
    return made;
  }

  /** How long this agent may not identify, milliseconds; 0 when it may. */
  retryAfterMs(agentId: AgentId): number {
    return this.#byAgent.get(agentId)?.retryAfterMs() ?? 0;
  }
}
