/** The messages of a conversation as lines of JSON on two pipes. */
import type { Readable, Writable } from 'node:stream';
import { lineSplitter, objectIn, RUN_STREAMS_BYTES_MAX, type DroppedLine, type SaidObject } from '../plugin.ts';
import type { AnyMessage, Stream } from './acp-package.ts';

export interface AcpStreamOptions {
  /** Standard input and output of the agent. */
  readonly input: Writable;
  readonly output: Readable;
  /** Longer lines are left out. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
  /** Of all that is read; what follows is left out. Default 256 MiB, as for agents that write into files. */
  readonly bytesMax?: number | undefined;
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
    write: (message) => {
      onSent(message as unknown as SaidObject);
      return written(input, `${JSON.stringify(message)}\n`);
    },
  });
  const hearAll = async (): Promise<void> => {
    const splitter = lineSplitter(lineBytesMax);
    let bytes = 0;
    for await (const chunk of output) {
      const wasWithin = bytes <= bytesMax;
      bytes += (chunk as Buffer).length;
      if (bytes > bytesMax) {
        if (wasWithin) await options.onTooMuch(bytesMax);
        continue;
      }
      const { lines, dropped } = splitter.push(chunk as Buffer);
      const hear = (some: readonly string[]) => hearLines(some, options, (message) => controller?.enqueue(message));
      let told = 0;
      for (const line of dropped) {
        await hear(lines.slice(told, line.at));
        options.onDropped(line);
        told = line.at;
      }
      await hear(lines.slice(told));
    }
  };
  const heard = hearAll().finally(() => {
    controller?.close();
    controller = null;
  });
  return { stream: { readable, writable }, heard };
}

async function hearLines(
  lines: readonly string[],
  { onMessage, onNoise }: Pick<AcpStreamOptions, 'onMessage' | 'onNoise'>,
  pass: (message: AnyMessage) => void,
): Promise<void> {
  const noise: string[] = [];
  for (const line of lines) {
    const message = objectIn(line);
    if (message?.['jsonrpc'] !== '2.0') {
      noise.push(line);
      continue;
    }
    await onMessage(message);
    pass(message as unknown as AnyMessage);
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
