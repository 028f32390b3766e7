/** Reads a stream file by lines while its program goes on writing, from an offset that can be kept and come back to. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { LINE_BYTES_MAX, lineSplitter, type DroppedLine } from './line-splitter.ts';

/** Read at once. */
const CHUNK_BYTES = 64 * 1024;

export interface LineFollowerOptions {
  readonly path: string;
  /** Where to begin; an `offset` that an earlier `read` answered. Default 0. */
  readonly offset?: number | undefined;
  /** Longer lines are left out and told. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
}

export interface FollowedLines {
  /** Whole lines, without their ends. */
  readonly lines: readonly string[];
  /** Where the next line begins. */
  readonly offset: number;
  /** Lines over the limit, left out of `lines`; in order. */
  readonly dropped: readonly DroppedLine[];
  /** Whether the end of what is written so far was seen; else there may be more to read at once. */
  readonly isAtEnd: boolean;
}

/** MUST NOT be asked again before it has answered. */
export interface LineFollower {
  /** The lines that were completed since the last call, at most about a line limit's worth of bytes; none: nothing new yet. */
  read(): Promise<FollowedLines>;
  /** How far the file was read, bytes. A line without its end yet counts here. */
  position(): number;
  /** Once the program has ended and all is read: its last line, where that has no end. */
  end(): Pick<FollowedLines, 'lines' | 'dropped'>;
}

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
