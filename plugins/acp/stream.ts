/** The messages of a conversation, as JSON lines over two pipes. */
import type { Readable, Writable } from 'node:stream';
import {
  lineSplitter,
  objectIn,
  RUN_STREAMS_BYTES_MAX,
  type Clock,
  type DroppedLine,
  type JsonObject,
  type SplitLines,
} from '../plugin.ts';
import type { AnyMessage, Stream } from './sdk-package.ts';
import { isMessage, isRequest, unanswered } from './unanswered.ts';

export interface AcpStreamOptions {
  /** Standard input and output of the agent. */
  readonly input: Writable;
  readonly output: Readable;
  /** Longer lines are dropped. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
  /** Limit on the agent's whole output; what follows is dropped. Default 256 MiB, as for agents whose output goes to files. */
  readonly bytesMax?: number | undefined;
  readonly clock: Clock;
  /** Called with each message before it is sent. */
  onSent(message: JsonObject): void;
  /** Called with each message before it is handled, one at a time. */
  onMessage(message: JsonObject): Promise<void>;
  /** Called with lines that are not messages. */
  onNoise(text: string): Promise<void>;
  /** Called for each dropped line, in order. */
  onDropped(line: DroppedLine): void;
  /** Called once, with the limit that was exceeded. */
  onTooMuch(bytesMax: number): Promise<void>;
  /** Called once, when too many answers are queued because the agent does not read them. */
  onUnread(): Promise<void>;
}

export interface AcpStream {
  readonly stream: Stream;
  /** Resolves when standard output has ended and all of it was handled. */
  readonly handled: Promise<void>;
}

/**
 * Reads to the end even without a listener, so that the agent never blocks on a full pipe. Unlike the SDK's own stream
 * it skips lines that are not messages or too long, instead of answering them or ending the conversation.
 */
export function acpStream(options: AcpStreamOptions): AcpStream {
  const { input, output, lineBytesMax, bytesMax = RUN_STREAMS_BYTES_MAX, onSent } = options;
  const open = unanswered(options.clock);
  let controller: ReadableStreamDefaultController<AnyMessage> | null = null;
  const readable = new ReadableStream<AnyMessage>({
    start(made) {
      controller = made;
    },
    cancel() {
      controller = null;
    },
  });
  const writable = new WritableStream<AnyMessage>({
    write: async (message) => {
      onSent(message as unknown as JsonObject);
      await written(input, `${JSON.stringify(message)}\n`);
      if (!('method' in message)) open.answered();
    },
  });
  let hasFailed = false;
  const onOne = async (message: JsonObject, characters: number): Promise<void> => {
    if (hasFailed) return;
    // After the conversation nothing is answered.
    if (controller !== null && isRequest(message) && !(await open.take(characters))) {
      hasFailed = true;
      return await options.onUnread();
    }
    await options.onMessage(message);
    controller?.enqueue(message as unknown as AnyMessage);
  };
  const onLine = (some: readonly string[]): Promise<void> => onLines(some, onOne, options.onNoise);
  const handleLines = async ({ lines, dropped }: SplitLines): Promise<void> => {
    let next = 0;
    for (const line of dropped) {
      await onLine(lines.slice(next, line.at));
      options.onDropped(line);
      next = line.at;
    }
    await onLine(lines.slice(next));
  };
  const readAll = async (): Promise<void> => {
    const splitter = lineSplitter(lineBytesMax);
    let bytes = 0;
    for await (const chunk of output) {
      if (hasFailed) continue;
      bytes += (chunk as Buffer).length;
      if (bytes > bytesMax) {
        hasFailed = true;
        await options.onTooMuch(bytesMax);
        continue;
      }
      await handleLines(splitter.push(chunk as Buffer));
    }
    // The last line of an agent that has ended needs no newline.
    if (!hasFailed) await handleLines(splitter.end());
  };
  const handled = readAll().finally(() => {
    controller?.close();
    controller = null;
  });
  return { stream: { readable, writable }, handled };
}

async function onLines(
  lines: readonly string[],
  onLine: (message: JsonObject, characters: number) => Promise<void>,
  onNoise: AcpStreamOptions['onNoise'],
): Promise<void> {
  const noise: string[] = [];
  for (const line of lines) {
    const message = objectIn(line);
    if (isMessage(message)) await onLine(message, line.length);
    else noise.push(line);
  }
  if (noise.length > 0) await onNoise(noise.join('\n'));
}

const written = (input: Writable, text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    input.write(text, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
