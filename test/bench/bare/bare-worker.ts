/** The bare worker: accepts what it is assigned, calls a handler that returns at once, and completes. */
import { once } from 'node:events';
import WebSocket from 'ws';
import type { Assigned, ServerFrame, WorkerFrame } from './bare-frames.ts';
import type { Payload, QueueWorker } from '../peers/queues/queue.ts';

export interface BareSettings {
  /** Of the hubs. */
  readonly ports: readonly number[];
  /** Of all hubs together. */
  readonly slots: number;
  /** Completes each task only when its acceptance is acknowledged. */
  readonly inSteps: boolean;
  /** Each submit is a separate request. */
  readonly isSingly?: boolean | undefined;
}

interface Connection extends QueueWorker {
  run(): Promise<void>;
}

/** One connection to each hub, with the slots divided as evenly as possible. */
export function bareWorker({ ports, slots, inSteps }: BareSettings, onCompleted: (n: number) => void): QueueWorker {
  const slotsOf = (n: number): number => Math.floor((slots + n) / ports.length);
  const connections = ports.map((port, n) => workerOf(port, slotsOf(n), inSteps, onCompleted));
  return {
    run: async () => void (await Promise.all(connections.map((one) => one.run()))),
    stop: async () => void (await Promise.all(connections.map((one) => one.stop()))),
  };
}

function workerOf(port: number, slots: number, inSteps: boolean, onCompleted: (n: number) => void): Connection {
  const numbers = new Map<number, number>();
  /** Accepted, and not acknowledged. */
  const waiting = new Map<number, Assigned>();
  let socket: WebSocket | null = null;
  let accepted: WorkerFrame[0][number][] = [];
  let completed: WorkerFrame[1][number][] = [];
  let isScheduled = false;

  /** Everything that this turn of the loop has to report, in one frame. */
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      const frame: WorkerFrame = [accepted, completed];
      [accepted, completed] = [[], []];
      socket?.send(JSON.stringify(frame));
    });
  };

  const handle = (task: number, generation: number, payload: unknown): void => {
    numbers.set(task, (payload as Payload).i);
    completed.push([task, generation, 'done']);
  };

  const onFrame = ([assigned, acceptances, completions, refused]: ServerFrame): void => {
    if (refused.length > 0) throw new Error(`the server refused what was reported of ${refused.join(', ')}`);
    for (const one of assigned) {
      const [task, generation, [, payload]] = one;
      accepted.push([task, generation]);
      if (inSteps) waiting.set(task, one);
      else handle(task, generation, payload);
    }
    if (inSteps) {
      for (const task of acceptances) {
        const [, generation, [, payload]] = waiting.get(task) as Assigned;
        waiting.delete(task);
        handle(task, generation, payload);
      }
    }
    for (const task of completions) {
      onCompleted(numbers.get(task) ?? NaN);
      numbers.delete(task);
    }
    if (accepted.length + completed.length > 0) schedule();
  };

  return {
    async run() {
      socket = new WebSocket(`ws://127.0.0.1:${port}/work?slots=${slots}`, { perMessageDeflate: false, skipUTF8Validation: true });
      socket.on('message', (data) => onFrame(JSON.parse((data as Buffer).toString()) as ServerFrame));
      await once(socket, 'open');
    },
    async stop() {
      if (socket === null) return;
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}
