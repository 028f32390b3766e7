/** How much slower the yardstick drains with many tasks waiting than with few. */
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpLine, type HttpLine } from '../load/http-line.ts';
import { STATUS } from './bare-store.ts';
import { bareWorker } from './bare-worker.ts';
import type { StartedBare } from './start-bare.ts';

/** As the light sidecars of the benchmark have. */
const SLOTS = 64;
const PER_REQUEST = 500;
/** A worker that left has given its tasks back after this. */
const LEFT_MS = 50;

export interface BareDrains {
  fill(count: number): Promise<void>;
  /** Submits so many, and answers how long it takes to complete as many of those that wait, in milliseconds. */
  drain(count: number): Promise<number>;
  /** Completes the rest, so that the store can be checked, and closes its connection. */
  end(): Promise<void>;
}

/** Drains of the first of these servers. `name`: begins its keys. */
export async function bareDrains({ ports: [port = 0] }: StartedBare, name: string): Promise<BareDrains> {
  const line: HttpLine = await httpLine(port, (error) => {
    throw error;
  });
  let submitted = 0;
  const request = (head: string, body: string, wanted: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const text = `${head} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
      line.send(text, (status, answer) => (status === wanted ? resolve(answer) : reject(new Error(`${head}: ${status} ${answer}`))));
    });
  const fill = async (count: number): Promise<void> => {
    for (const until = submitted + count; submitted < until;) {
      const some = Math.min(PER_REQUEST, until - submitted);
      const lines = Array.from({ length: some }, () => `["${name}-${(submitted += 1)}",{"i":${submitted},"prompt":"say it"}]`);
      await request('POST /tasks/batch', lines.join('\n'), 201);
    }
  };
  const complete = async (count: number): Promise<number> => {
    let [completed, endedMs] = [0, 0];
    const drained = new EventEmitter();
    const ended = once(drained, 'end');
    const worker = bareWorker({ ports: [port], slots: SLOTS, inSteps: true }, () => {
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
  const unfinished = async (): Promise<number> => {
    const counts = JSON.parse(await request('GET /counts', '', 200)) as Readonly<Record<string, number>>;
    return Object.entries(counts).reduce((sum, [status, tasks]) => (Number(status) === STATUS.completed ? sum : sum + tasks), 0);
  };
  return {
    fill,
    async drain(count) {
      await fill(count);
      return complete(count);
    },
    async end() {
      const left = await unfinished();
      if (left > 0) await complete(left);
      line.end();
    },
  };
}
