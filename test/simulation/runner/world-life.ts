/**
 * The life of one simulated process:
 *
 *     running ── freeze ─► frozen ── its time has passed ─► running ── end ─► gone
 *
 * Everything from outside (timers, frames, answers of its ports) comes through here: at once while it runs, at the
 * thaw while it is frozen, never once it is gone. So a killed process needs no code of its own to be dead.
 */
import type { VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';

type Act = () => void;

export class Life {
  readonly #world: VirtualClock;
  #isOver = false;
  #thaw: Timer | null = null;
  #timersDue: Act[] = [];
  #arrivals: Act[] = [];
  readonly #onEnd = new Set<Act>();

  constructor(world: VirtualClock) {
    this.#world = world;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isFrozen(): boolean {
    return this.#thaw !== null;
  }

  /** Something came from outside. */
  arrive(act: Act): void {
    if (this.#isOver) return;
    if (this.#thaw !== null) this.#arrivals.push(act);
    else act();
  }

  /** A timer is due. */
  due(act: Act): void {
    if (this.#isOver) return;
    if (this.#thaw !== null) this.#timersDue.push(act);
    else act();
  }

  /** Freezes for `ms`, like a stalled loop or a sleeping laptop. At the thaw timers go before what arrived, as in Node. */
  freeze(ms: number, thawed: Act = () => undefined): void {
    if (this.#isOver || this.#thaw !== null) return;
    this.#thaw = this.#world.after(ms, () => {
      this.#thaw = null;
      const waiting = [...this.#timersDue, ...this.#arrivals];
      this.#timersDue = [];
      this.#arrivals = [];
      for (const act of waiting) this.#world.after(0, () => this.arrive(act));
      thawed();
    });
  }

  /** Like kill -9. `onEnd` callbacks run now. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#thaw?.cancel();
    for (const act of this.#onEnd) act();
    this.#onEnd.clear();
  }

  /** Called when it ends; the returned function unregisters it. */
  onEnd(act: Act): Act {
    this.#onEnd.add(act);
    return () => this.#onEnd.delete(act);
  }

  /** The answer of a port as the process gets it. */
  gate<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      answer.then(
        (value) => this.arrive(() => resolve(value)),
        (error: unknown) => this.arrive(() => reject(error as Error)),
      );
    });
  }

  /** Waits, in the middle of something that fails when the process ends. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isOver) return reject(new Error('the process is gone'));
      const timer = this.#world.after(ms, () =>
        this.due(() => {
          forget();
          resolve();
        }),
      );
      const forget = this.onEnd(() => {
        timer.cancel();
        reject(new Error('the process is gone'));
      });
    });
  }
}

/** A port whose promises resolve only while the process lives. */
export function mortal<T extends object>(port: T, life: Life): T {
  return new Proxy(port, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== 'function') return member;
      return (...parts: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(member, target, parts);
        return answer instanceof Promise ? life.gate(answer) : answer;
      };
    },
  });
}

/** The clock of a machine: its wall clock may be wrong and jump. */
export interface MachineClock extends Clock {
  jump(ms: number): void;
  /** How far it is off. */
  readonly offMs: number;
}

export function machineClock(world: VirtualClock, offMs = 0): MachineClock {
  let off = offMs;
  return {
    nowMs: () => world.nowMs() + off,
    monotonicMs: () => world.monotonicMs(),
    after: (delayMs, fire) => world.after(delayMs, fire),
    jump: (ms) => void (off += ms),
    get offMs() {
      return off;
    },
  };
}

/** The clock as seen by one process on that machine: its timers wait while it is frozen, and end with it. */
export const processClock = (machine: Clock, life: Life): Clock => ({
  nowMs: () => machine.nowMs(),
  monotonicMs: () => machine.monotonicMs(),
  after(delayMs, fire) {
    let isCancelled = false;
    const timer = machine.after(delayMs, () =>
      life.due(() => {
        if (!isCancelled) fire();
      }),
    );
    return {
      cancel() {
        isCancelled = true;
        timer.cancel();
      },
    };
  },
});
