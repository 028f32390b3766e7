/** Waiting without advancing time: until real files, real SQLite and all promises are idle. */
import type { VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Life } from '../../simulation/runner/world-life.ts';

/** Turns of the event loop in which nothing was in progress. */
const QUIET_TURNS = 3;
/** Node's names for file system requests in progress. */
const FILE_REQUEST = /^(FSReq|CloseReq)/;

export class IdleWatch {
  readonly #clock: VirtualClock;
  readonly #inProgress = new Set<object>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** Resolves when nothing more happens unless time advances. */
  readonly wait = async (): Promise<void> => {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet = this.#isBusy() ? 0 : quiet + 1) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#clock.advance(0);
    }
  };

  #isBusy(): boolean {
    const { nextDueMs } = this.#clock;
    if (this.#inProgress.size > 0 || (nextDueMs !== null && nextDueMs <= this.#clock.monotonicMs())) return true;
    return process.getActiveResourcesInfo().some((kind) => FILE_REQUEST.test(kind));
  }

  /** The same port, whose calls are awaited while its process lives. Node does not report the threads that SQLite works on. */
  watching<T extends object>(port: T, life: Life | null = null): T {
    return new Proxy(port, {
      get: (target, name, receiver) => {
        const member: unknown = Reflect.get(target, name, receiver);
        if (typeof member !== 'function') return member;
        return (...parts: unknown[]): unknown => {
          const answer: unknown = Reflect.apply(member, target, parts);
          if (!(answer instanceof Promise)) return answer;
          const call = {};
          this.#inProgress.add(call);
          life?.onEnd(() => this.#inProgress.delete(call));
          return answer.finally(() => this.#inProgress.delete(call));
        };
      },
    });
  }

  watchingStorage(storage: Storage): Storage {
    const { tasks, agents, events, output } = storage;
    return {
      ...this.watching(storage),
      name: storage.name,
      tasks: this.watching(tasks),
      agents: this.watching(agents),
      events: this.watching(events),
      output: this.watching(output),
      open: () => this.watching(storage).open(),
      close: () => this.watching(storage).close(),
      healthy: () => this.watching(storage).healthy(),
    };
  }
}
