/**
 * How fast each agent may send, over all of its connections: frames, and their length. Whatever a frame is, it costs the hub
 * work that other agents wait for. An agent that goes over is held off until its whole burst is free again, so that what it
 * has sent by then is never more than its rate. It loses nothing by that: a report is kept until it is answered.
 */
import type { HubLimits } from '../../../../config/limits.ts';
import type { AgentId } from '../../../../domain/ids.ts';
import { fullBucket, refilled, spend, type Bucket, type BucketRule } from '../../../../domain/token-bucket.ts';
import type { Clock } from '../../../../ports/clock.ts';

type RateLimits = Pick<HubLimits, 'agentFramesPerSecond' | 'agentFrameBurst' | 'agentBytesPerSecond' | 'agentByteBurst'>;

/**
 * Frames that brought no task on: reports that were refused, and whatever is no report. An agent's sidecar has some each minute; one
 * that has more makes the hub work for nothing, and waits behind the others until it has been quiet for long enough.
 */
const WASTE: BucketRule = { burst: 30, perSecond: 1 };

/** Why a connection is closed whose agent sends faster than it may; it may identify again when its burst is free. */
export const TOO_FAST = 'the agent sends more frames or bytes than it may';

/** Agents remembered at once; the one that identified first is forgotten. More than there are sockets. */
const AGENTS_MAX = 20_000;

/** Of one agent. It is changed in place: each frame of each agent comes through here. */
export class FrameRate {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  readonly #frameRule: BucketRule;
  readonly #byteRule: BucketRule;
  #frames: number;
  #bytes: number;
  #atMs: number;
  #heldUntilMs = 0;
  #waste: Bucket;

  constructor(limits: RateLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#frameRule = { burst: limits.agentFrameBurst, perSecond: limits.agentFramesPerSecond };
    this.#byteRule = { burst: limits.agentByteBurst, perSecond: limits.agentBytesPerSecond };
    this.#frames = limits.agentFrameBurst;
    this.#bytes = limits.agentByteBurst;
    this.#atMs = clock.monotonicMs();
    this.#waste = fullBucket(WASTE, this.#atMs);
  }

  /** A frame of it brought no task on. */
  wasted(): void {
    const nowMs = this.#clock.monotonicMs();
    // Owed up to one burst, so that a minute of quiet always makes it good.
    const { left } = spend(this.#waste, WASTE, nowMs, 1).bucket;
    this.#waste = { left: Math.max(-WASTE.burst, left), atMs: nowMs };
  }

  /** Whether it makes the hub work for nothing. */
  get isWasteful(): boolean {
    const { left, atMs } = this.#waste;
    return left < 0 && refilled(left, this.#clock.monotonicMs() - atMs, WASTE) < 0;
  }

  /** Counts a frame, and answers whether the agent is within its rate; if not, it is held off from now on. */
  take(bytes: number): boolean {
    const { agentFramesPerSecond, agentFrameBurst, agentBytesPerSecond, agentByteBurst } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    this.#frames = refilled(this.#frames, elapsedMs, this.#frameRule) - 1;
    this.#bytes = refilled(this.#bytes, elapsedMs, this.#byteRule) - bytes;
    const framesOver = agentFramesPerSecond > 0 && this.#frames < 0;
    const bytesOver = agentBytesPerSecond > 0 && this.#bytes < 0;
    if (!framesOver && !bytesOver) return true;
    const fullInS = Math.max(
      framesOver ? (agentFrameBurst - this.#frames) / agentFramesPerSecond : 0,
      bytesOver ? (agentByteBurst - this.#bytes) / agentBytesPerSecond : 0,
    );
    this.#heldUntilMs = nowMs + Math.ceil(fullInS * 1_000);
    return false;
  }

  /** How long it may not identify, milliseconds; 0 when it may. */
  heldOffMs(): number {
    return Math.max(0, Math.ceil(this.#heldUntilMs - this.#clock.monotonicMs()));
  }
}

export class FrameRates {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  readonly #byAgent = new Map<AgentId, FrameRate>();

  constructor(limits: RateLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** The same for every connection of this agent. */
  of(agentId: AgentId): FrameRate {
    const known = this.#byAgent.get(agentId);
    if (known !== undefined) return known;
    const made = new FrameRate(this.#limits, this.#clock);
    this.#byAgent.set(agentId, made);
    const [oldest] = this.#byAgent.size > AGENTS_MAX ? this.#byAgent.keys() : [];
    if (oldest !== undefined) this.#byAgent.delete(oldest);
    return made;
  }

  /** How long this agent may not identify, milliseconds; 0 when it may. */
  heldOffMs(agentId: AgentId): number {
    return this.#byAgent.get(agentId)?.heldOffMs() ?? 0;
  }
}
