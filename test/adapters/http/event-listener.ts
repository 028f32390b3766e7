/** Reads a stream of events as a client does. */
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import { anEvent } from '../../product/contracts/fixtures.ts';
import type { HubBench, Sending } from './hub-bench.ts';

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface StreamMessage {
  readonly id: string | null;
  readonly event: string | null;
  readonly data: Readonly<Record<string, unknown>> | null;
}

/** Reads the messages of a stream one at a time, as a browser does; null at its end. */
export async function listen(bench: HubBench, path = '/api/events', how: Sending = { token: 'viewer' }) {
  const response = await bench.open(path, how);
  if (response.status !== 200 || response.body === null) throw new Error(`The stream was refused: ${await response.text()}`);
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const nextBlock = async (): Promise<string | null> => {
    for (;;) {
      const at = text.indexOf('\n\n');
      if (at !== -1) {
        const block = text.slice(0, at);
        text = text.slice(at + 2);
        return block;
      }
      const chunk = await reader.read();
      if (chunk.done) return null;
      text += chunk.value;
    }
  };
  return {
    /** The next message, including keep-alive comments. */
    async next(): Promise<StreamMessage | null> {
      const block = await nextBlock();
      if (block === null) return null;
      const field = (name: string): string | null => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? null;
      const data = field('data');
      return { id: field('id'), event: field('event'), data: data === null ? null : (JSON.parse(data) as StreamMessage['data']) };
    },
    stop: () => reader.cancel(),
  };
}

export const progress = (seq: number, over: Partial<StoredEvent> = {}) => anEvent({ seq, event: 'progress', ...over });
