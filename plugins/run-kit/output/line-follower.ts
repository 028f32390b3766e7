/** Reads a stream file line by line while its program is writing, from an offset that can be stored. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { LINE_BYTES_MAX, lineSplitter, type DroppedLine } from './line-splitter.ts';

/** Bytes per read. */
const CHUNK_BYTES = 64 * 1024;
/** How many of the bytes read last are read again and compared, to notice that the file was rewritten. */
const TAIL_BYTES = 64;

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
  /**
   * The file was emptied since the last read, as `> /dev/stdout` in a shell does. What was not read yet is lost; these lines are from its
   * new beginning.
   */
  readonly isRewritten: boolean;
}

/** MUST NOT be called concurrently. */
export interface LineFollower {
  /** Lines completed since the last call: those of one chunk, after one line that may be as long as the limit. Empty if there are none. */
  read(): Promise<FollowedLines>;
  /** How far the file was read, in bytes, incomplete lines included. */
  position(): number;
  /** Once the program has ended and everything was read: its last line, if that has no newline. */
  end(): Pick<FollowedLines, 'lines' | 'dropped'>;
}

/** Reads the complete lines that were appended to a file since the last read. Rejects with `AC_DATA_DIR` if it is not a regular file. */
export function lineFollower(options: LineFollowerOptions): LineFollower {
  const { path, lineBytesMax = LINE_BYTES_MAX } = options;
  let splitter = lineSplitter(lineBytesMax);
  let position = options.offset ?? 0;
  /** The bytes before `position`. */
  let tail = Buffer.alloc(0);

  return {
    async read() {
      const lines: string[] = [];
      const dropped: DroppedLine[] = [];
      let isAtEnd = false;
      let isRewritten = false;
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        if (!(await file.stat()).isFile()) throw new AgentcomError('AC_DATA_DIR', `Cannot follow "${path}": it is not a regular file.`);
        const chunk = Buffer.alloc(TAIL_BYTES + CHUNK_BYTES);
        let readUntil = position + lineBytesMax;
        while (position < readUntil) {
          // In one read with what precedes it: the file may be emptied at any moment.
          const { bytesRead } = await file.read(chunk, 0, tail.length + CHUNK_BYTES, position - tail.length);
          if (!chunk.subarray(0, Math.min(tail.length, bytesRead)).equals(tail)) {
            if (lines.length + dropped.length > 0) break; // They come first.
            isRewritten = true;
            [position, tail, splitter, readUntil] = [0, Buffer.alloc(0), lineSplitter(lineBytesMax), lineBytesMax];
            continue;
          }
          const added = chunk.subarray(tail.length, bytesRead);
          if (added.length === 0) {
            isAtEnd = true;
            break;
          }
          const split = splitter.push(added);
          dropped.push(...split.dropped.map(({ at, isObject }) => ({ at: lines.length + at, isObject })));
          lines.push(...split.lines);
          position += added.length;
          tail = Buffer.from(chunk.subarray(Math.max(0, bytesRead - TAIL_BYTES), bytesRead));
          // Handling them may take long, because a chunk can hold thousands: nothing else of this process runs meanwhile.
          if (lines.length > 0 && added.length === CHUNK_BYTES) break;
        }
      } finally {
        await file.close();
      }
      return { lines, offset: position - splitter.partialBytes(), dropped, isAtEnd, isRewritten };
    },
    position: () => position,
    end: () => splitter.end(),
  };
}
