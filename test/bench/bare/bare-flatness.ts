/** Drains of a bare server with many or few tasks waiting. */
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from '../peers/queues/bare-queue.ts';
import type { Payload } from '../peers/queues/queue.ts';
import type { StartedBare } from './start-bare.ts';

/** As many as the light sidecars of the benchmark have. */
const SLOTS = 64;
const PER_REQUEST = 500;
/** A worker that disconnected has returned its tasks after this. */
const LEFT_MS = 50;

export interface BareDrains {
  fill(count: number): Promise<void>;
  /** Submits this many, and returns how long it takes to complete as many of the waiting ones, in milliseconds. */
  drain(count: number): Promise<number>;
  /** Completes the rest, so that the store can be checked, and closes its connection. */
  end(): Promise<void>;
}

const payloadOf = (n: number): Payload => ({ i: n, kind: 'noop', tenant: 'acme', at: n, pad: '' });

export async function bareDrains({ ports }: StartedBare): Promise<BareDrains> {
  const queue = await open({ ports, slots: SLOTS, inSteps: true }, payloadOf);
  let submitted = 0;
  const fill = async (count: number): Promise<void> => {
    for (const until = submitted + count; submitted < until;) {
      const some = Math.min(PER_REQUEST, until - submitted);
      await queue.submitMany(submitted, some);
      submitted += some;
    }
  };
  const complete = async (count: number): Promise<number> => {
    let [completed, endedMs] = [0, 0];
    const drained = new EventEmitter();
    const ended = once(drained, 'end');
    const worker = await queue.worker(() => {
      completed += 1;
      if (completed !== count) return;
      endedMs = performance.now();
      drained.emit('end');
    });
    const fromMs = performance.now();
    await worker.run();
    await ended;
    await worker.stop();
    await sleep(LEFT_MS);
    return endedMs - fromMs;
  };
  return {
    fill,
    async drain(count) {
      await fill(count);
      return complete(count);
    },
    async end() {
      const { unfinished } = await queue.counts();
      if (unfinished > 0) await complete(unfinished);
      await queue.close();
    },
  };
}
