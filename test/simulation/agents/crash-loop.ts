/** A sidecar that dies repeatedly at one step of an assignment, and returns after a while. */
import type { Life } from '../runner/world-life.ts';
import type { CrashLoop, CrashStep } from '../machines/simulated-machine.ts';
import type { Surroundings } from '../machines/simulated-surroundings.ts';

/** After an accept, its agent is running. */
const RUNNING_MS = 2_000;

const isEnd = (type: string): boolean => type === 'task_complete' || type === 'task_failed';

export class CrashLoops {
  readonly #world: Surroundings;
  readonly #killFor: (downMs: number) => void;
  #loop: CrashLoop | null = null;
  #left = 0;

  constructor(world: Surroundings, killFor: (downMs: number) => void) {
    this.#world = world;
    this.#killFor = killFor;
  }

  /** Null: it has recovered. */
  set(loop: CrashLoop | null): void {
    this.#loop = loop;
    this.#left = loop?.times ?? 0;
  }

  /** Whether it dies instead of sending this. */
  endsBefore(type: string, life: Life | null): boolean {
    if (type === 'task_accepted') return this.endsAt('accepting', life);
    return isEnd(type) && this.endsAt('reporting', life);
  }

  /** It has just sent this. */
  endsAfter(type: string, life: Life | null): void {
    if (type === 'task_accepted' && !this.endsAt('accepted', life)) this.endsAt('running', life, RUNNING_MS);
    if (type === 'wake_result') this.endsAt('woken', life);
    if (isEnd(type)) this.endsAt('reported', life);
  }

  /** Whether this process dies at this step, or soon after: then nothing that it says here is sent. */
  endsAt(step: CrashStep, life: Life | null, afterMs = 0): boolean {
    const { later, trace } = this.#world;
    const loop = this.#loop;
    if (loop?.step !== step || this.#left <= 0 || life === null || life.isOver) return false;
    this.#left -= 1;
    trace.rare(`crash loop at ${step}`);
    later(afterMs, () => {
      if (!life.isOver) this.#killFor(loop.downMs);
    });
    return true;
  }
}
