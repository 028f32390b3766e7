/** What a command sees of the world, so that a test can be the world. */
import type { Readable } from 'node:stream';

/** The part of a writable stream that commands write to. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Surroundings {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** A signal that is aborted when the person wants a command that waits to end; asked for by such commands only. */
  readonly interrupt: () => AbortSignal;
}
