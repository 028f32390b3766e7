/**
 * The body of a request while it arrives: chunks wait here until they are read, and the peer is told to pause when many do.
 * It is arriving, then complete, or broken off when the peer went; dropped once nobody wants it.
 */
import type { UwsResponse } from './uws-package.ts';

/** Bytes that may wait to be read before the peer is paused. */
const WAITING_BYTES_MAX = 524_288;

export interface ArrivingBody {
  /** The chunks, once. */
  readonly stream: ReadableStream<Uint8Array>;
  /** All of them together, in the stream's place: half of what the stream costs. Fails when the peer goes before the end. */
  whole(): Promise<ArrayBuffer>;
  isComplete(): boolean;
  /** The peer went before the end: whoever reads gets this error. */
  breakOff(error: Error): void;
  /** Nobody will read: what waits and what still comes is let go. */
  drop(): void;
}

/** Takes the body of `response`'s request; MUST be called before the handler of uWebSockets.js returns. */
export const arrivingBody = (response: UwsResponse): ArrivingBody => {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let state: 'arriving' | 'complete' | 'broken' = 'arriving';
  let isDropped = false;
  let isPaused = false;
  /** It is wanted whole: whoever wants that has looked at its length. */
  let isGathered = false;
  let error: Error | null = null;
  let wake: () => void = () => undefined;

  const pauseOrResume = (): void => {
    if (state !== 'arriving') return;
    const isTooMuch = !isGathered && waitingBytes > WAITING_BYTES_MAX;
    if (isTooMuch === isPaused) return;
    isPaused = isTooMuch;
    if (isTooMuch) response.pause();
    else response.resume();
  };

  response.onData((chunk, isLast) => {
    // The chunk is the parser's own memory, which it uses again after this call.
    if (!isDropped && chunk.byteLength > 0) {
      waiting.push(new Uint8Array(chunk.slice(0)));
      waitingBytes += chunk.byteLength;
    }
    if (isLast) state = 'complete';
    pauseOrResume();
    wake();
  });

  const drop = (): void => {
    isDropped = true;
    waiting.length = 0;
    waitingBytes = 0;
    pauseOrResume();
    wake();
  };

  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    while (waiting.length === 0 && state === 'arriving' && !isDropped) await new Promise<void>((resolve) => (wake = resolve));
    const chunk = waiting.shift();
    if (chunk !== undefined) {
      waitingBytes -= chunk.byteLength;
      pauseOrResume();
      controller.enqueue(chunk);
    } else if (error !== null) controller.error(error);
    else controller.close();
  };

  let stream: ReadableStream<Uint8Array> | null = null;
  return {
    get stream() {
      return (stream ??= new ReadableStream({ pull, cancel: drop }, { highWaterMark: 0 }));
    },
    async whole() {
      isGathered = true;
      pauseOrResume();
      while (state === 'arriving' && !isDropped) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      if (error !== null) throw error;
      const bytes = waiting.length === 1 ? waiting[0] : Buffer.concat(waiting);
      drop();
      return bytes === undefined
        ? new ArrayBuffer(0)
        : (bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer);
    },
    isComplete: () => state === 'complete',
    breakOff(reason) {
      if (state !== 'arriving') return;
      state = 'broken';
      error = reason;
      wake();
    },
    drop,
  };
};
