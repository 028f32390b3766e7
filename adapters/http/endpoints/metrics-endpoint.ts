/** `GET /metrics`: what the hub has counted, and a reading of the store, for a monitoring system. */
import { isStoreFailure } from '../../../core/errors/store-failure.ts';
import { PRIORITIES, type Priority } from '../../../core/domain/task/task.ts';
import type { StoreReading } from '../../../core/ports/hub-metrics.ts';
import { within } from '../../../core/ports/timing/within.ts';
import type { HttpApiDeps } from '../deps.ts';
import type { Reply } from '../reply.ts';
import type { Handlers } from '../request.ts';
import type { ServeContext } from '../serve.ts';

/** How long an answer is reused, so that the store is read at most once a second, however many clients ask. */
const CACHED_MS = 1_000;
/** How long a scrape waits for the store, milliseconds. With the lookup of the token, it must stay well below the 10 s of Prometheus. */
const STORE_MS = 3_000;

export function metricsHandlers(
  deps: HttpApiDeps,
  { loop, refusedRequests }: Pick<ServeContext, 'loop' | 'refusedRequests'>,
): Pick<Handlers, 'metrics'> {
  const { tasks, clock, metrics } = deps;
  let last: { readonly atMs: number; readonly reply: Promise<Reply>; isDone: boolean } | null = null;

  /** Null if the store cannot answer: that is when a monitoring system needs the other metrics most. */
  const readStore = async (): Promise<StoreReading | null> => {
    try {
      const nowMs = clock.nowMs();
      const [stats, since] = [await tasks.stats(), await tasks.oldestReady(nowMs)];
      const oldestReadyMs = Object.fromEntries(
        PRIORITIES.map((priority) => [priority, Math.max(0, nowMs - (since[priority] ?? nowMs))]),
      ) as Record<Priority, number>;
      return { ...stats, oldestReadyMs };
    } catch (thrown) {
      if (isStoreFailure(thrown)) return null;
      throw thrown;
    }
  };

  let reading: Promise<StoreReading | null> | null = null;
  /** The same, also if it does not answer in time: the reading is then left to the next scrapes. */
  const readInTime = async (): Promise<StoreReading | null> => {
    const current = (reading ??= readStore().finally(() => (reading = null)));
    return (await within(clock, STORE_MS, current)) ? current : null;
  };

  const answer = async (): Promise<Reply> => {
    const store = await readInTime();
    const { contentType, text } = await metrics.expose({
      store,
      load: deps.load(),
      refused: { ...deps.refusals(), requests: refusedRequests.all() },
      loopDelayMs: loop.longestMs(),
      certificateExpiresInMs: deps.certificate?.expiresInMs() ?? null,
      version: deps.version,
    });
    return { status: 200, body: text, headers: { 'content-type': contentType } };
  };

  return {
    metrics() {
      const nowMs = clock.monotonicMs();
      if (last !== null && (!last.isDone || nowMs - last.atMs < CACHED_MS)) return last.reply;
      const made = { atMs: nowMs, reply: answer(), isDone: false };
      last = made;
      const done = (): void => void (made.isDone = true);
      made.reply.then(done, done);
      return made.reply;
    },
  };
}
