/** The environment of a command, which tests can replace. */
import type { Readable } from 'node:stream';

/** The part of a writable stream that commands write to. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  on?(event: 'resize', listener: () => void): unknown;
  off?(event: 'resize', listener: () => void): unknown;
}

export interface CliEnvironment {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** A signal that aborts when the user interrupts a waiting command; only such commands call it. */
  readonly interrupt: () => AbortSignal;
  /** Called with the ID of a task or token that a command has created, before it is printed. */
  readonly onMade?: (id: string) => void;
}
