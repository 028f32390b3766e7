/** The messages of a conversation as lines of JSON on two pipes. */
import type { Readable, Writable } from 'node:stream';
import {
  lineSplitter,
  objectIn,
  RUN_STREAMS_BYTES_MAX,
  type Clock,
  type DroppedLine,
  type SaidObject,
  type SplitLines,
} from '../plugin.ts';
import type { AnyMessage, Stream } from './sdk-package.ts';
import { isMessage, isQuestion, unanswered } from './unanswered.ts';

export interface AcpStreamOptions {
  /** Standard input and output of the agent. */
  readonly input: Writable;
  readonly output: Readable;
  /** Longer lines are left out. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
  /** Of all that is read; what follows is left out. Default 256 MiB, as for agents that write into files. */
  readonly bytesMax?: number | undefined;
  readonly clock: Clock;
  /** Told of each message before it is sent. */
  onSent(message: SaidObject): void;
  /** Told of each message before it is dealt with, one after the other. */
  onMessage(message: SaidObject): Promise<void>;
  /** Told of lines that are no messages. */
  onNoise(text: string): Promise<void>;
  /** Told of each line that was left out, between those that it stood between. */
  onDropped(line: DroppedLine): void;
  /** Told once, of the bound that was exceeded. */
  onTooMuch(bytesMax: number): Promise<void>;
  /** Told once, when so many answers wait that no more can, and the agent does not read them. */
  onUnread(): Promise<void>;
}

export interface AcpStream {
  readonly stream: Stream;
  /** Resolves when standard output has ended and all of it was told. */
  readonly heard: Promise<void>;
}

/**
 * Reads on to the end whoever still listens, so that the agent never waits at a full pipe. Unlike the package's own stream
 * it passes over lines that are no messages or too long, instead of answering them or ending the conversation.
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
      onSent(message as unknown as SaidObject);
      await written(input, `${JSON.stringify(message)}\n`);
      if (!('method' in message)) open.answered();
    },
  });
  let isDeaf = false;
  const hearOne = async (message: SaidObject, characters: number): Promise<void> => {
    if (isDeaf) return;
    // Once the conversation is over, nothing is answered.
    if (controller !== null && isQuestion(message) && !(await open.take(characters))) {
      isDeaf = true;
      return await options.onUnread();
    }
    await options.onMessage(message);
    controller?.enqueue(message as unknown as AnyMessage);
  };
  const hear = (some: readonly string[]): Promise<void> => hearLines(some, hearOne, options.onNoise);
  const hearSplit = async ({ lines, dropped }: SplitLines): Promise<void> => {
    let told = 0;
    for (const line of dropped) {
      await hear(lines.slice(told, line.at));
      options.onDropped(line);
      told = line.at;
    }
    await hear(lines.slice(told));
  };
  const hearAll = async (): Promise<void> => {
    const splitter = lineSplitter(lineBytesMax);
    let bytes = 0;
    for await (const chunk of output) {
      if (isDeaf) continue;
      bytes += (chunk as Buffer).length;
      if (bytes > bytesMax) {
        isDeaf = true;
        await options.onTooMuch(bytesMax);
        continue;
      }
      await hearSplit(splitter.push(chunk as Buffer));
    }
    // The last line of an agent that has ended needs no line end.
    if (!isDeaf) await hearSplit(splitter.end());
  };
  const heard = hearAll().finally(() => {
    controller?.close();
    controller = null;
  });
  return { stream: { readable, writable }, heard };
}

async function hearLines(
  lines: readonly string[],
  hear: (message: SaidObject, characters: number) => Promise<void>,
  onNoise: AcpStreamOptions['onNoise'],
): Promise<void> {
  const noise: string[] = [];
  for (const line of lines) {
    const message = objectIn(line);
    if (isMessage(message)) await hear(message, line.length);
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
