/** Reads a stream file line by line while its program is writing, from an offset that can be stored. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { LINE_BYTES_MAX, lineSplitter, type DroppedLine } from './line-splitter.ts';

/** Bytes per read. */
const CHUNK_BYTES = 64 * 1024;

/** Which file to read line by line. */
export interface LineFollowerOptions {
  readonly path: string;
  /** Where to start: an `offset` returned by an earlier `read`. Default 0. */
  readonly offset?: number | undefined;
  /** Longer lines are dropped and reported. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
}

/** The lines that one read has found. */
export interface FollowedLines {
  /** Complete lines, without newlines. */
  readonly lines: readonly string[];
  /** Offset of the next line. */
  readonly offset: number;
  /** Lines over the limit, which are not in `lines`; in order. */
  readonly dropped: readonly DroppedLine[];
  /** Whether the current end of the file was reached; if not, more can be read at once. */
  readonly isAtEnd: boolean;
}

/** MUST NOT be called concurrently. */
export interface LineFollower {
  /** The lines completed since the last call, at most about one line limit of bytes; empty if there is nothing new. */
  read(): Promise<FollowedLines>;
  /** How far the file was read, in bytes, incomplete lines included. */
  position(): number;
  /** Once the program has ended and everything was read: its last line, if that has no newline. */
  end(): Pick<FollowedLines, 'lines' | 'dropped'>;
}

/** Reads the complete lines that were appended to a file since the last read. Rejects with `AC_DATA_DIR` if it is not a regular file. */
export function lineFollower(options: LineFollowerOptions): LineFollower {
  const { path, lineBytesMax = LINE_BYTES_MAX } = options;
  const splitter = lineSplitter(lineBytesMax);
  let position = options.offset ?? 0;

  return {
    async read() {
      const lines: string[] = [];
      const dropped: DroppedLine[] = [];
      let isAtEnd = false;
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        if (!(await file.stat()).isFile()) throw new AgentcomError('AC_DATA_DIR', `Cannot follow "${path}": it is not a regular file.`);
        const chunk = Buffer.alloc(CHUNK_BYTES);
        const readUntil = position + lineBytesMax;
        while (position < readUntil) {
          const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
          if (bytesRead === 0) {
            isAtEnd = true;
            break;
          }
          const split = splitter.push(chunk.subarray(0, bytesRead));
          dropped.push(...split.dropped.map(({ at, isObject }) => ({ at: lines.length + at, isObject })));
          lines.push(...split.lines);
          position += bytesRead;
        }
      } finally {
        await file.close();
      }
      return { lines, offset: position - splitter.partialBytes(), dropped, isAtEnd };
    },
    position: () => position,
    end: () => splitter.end(),
  };
}
