/** A sidecar that waits for a hub to come up, and reports when the hub assigned it something. */
import { setTimeout as sleep } from 'node:timers/promises';
import { lightSidecars, type LightSidecars, type LightSidecarsPlan } from './light-sidecars.ts';

/** Interval between attempts to connect. */
const AGAIN_MS = 5;
const WITHIN_MS = 120_000;

/** Resolves to when the first assignment arrived, in milliseconds since 1970; what is assigned is completed. */
export async function firstAssignment({ ports, sidecars }: Pick<LightSidecarsPlan, 'ports' | 'sidecars'>): Promise<number> {
  const untilMs = performance.now() + WITHIN_MS;
  const open = new Set<string>();
  let firstMs: number | null = null;
  let failure: Error | null = null;
  const connect = (): Promise<LightSidecars> =>
    lightSidecars(
      { ports, sidecars, atOnce: false },
      {
        onAssigned(taskId) {
          firstMs ??= performance.timeOrigin + performance.now();
          open.add(taskId);
        },
        onCompleted: (taskId) => void open.delete(taskId),
        onFailure: (error) => (failure = error),
      },
    );
  let connected: LightSidecars | null = null;
  while (connected === null) {
    connected = await connect().catch((error: NodeJS.ErrnoException) => {
      // Nothing listens yet.
      if (error.code === 'ECONNREFUSED' && performance.now() < untilMs) return null;
      throw error;
    });
    if (connected === null) await sleep(AGAIN_MS);
  }
  failure = null;
  while (firstMs === null && performance.now() < untilMs && failure === null) await sleep(1);
  connected.drain();
  do await sleep(SETTLED_MS);
  while (open.size > 0 && failure === null);
  await connected.close();
  if (failure !== null) throw failure as Error;
  if (firstMs === null) throw new Error(`nothing was assigned within ${WITHIN_MS} ms`);
  return firstMs;
}

/** What was assigned while the draining frame was sent has arrived by then. */
const SETTLED_MS = 100;
