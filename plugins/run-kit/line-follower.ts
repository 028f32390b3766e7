/** Reads a stream file by lines while its program goes on writing, from an offset that can be kept and come back to. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** A tool's whole output is one line with some programs, so a line may be long. */
export const LINE_BYTES_MAX = 4 * 1024 * 1024;
/** Read at once. */
const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

export interface LineFollowerOptions {
  readonly path: string;
  /** Where to begin; an `offset` that an earlier `read` answered. Default 0. */
  readonly offset?: number | undefined;
  /** Longer lines are left out and counted. Default 4 MiB. */
  readonly lineBytesMax?: number | undefined;
}

export interface FollowedLines {
  /** Whole lines, without their ends. */
  readonly lines: readonly string[];
  /** Where the next line begins. */
  readonly offset: number;
  /** Lines over the limit, left out of `lines`. */
  readonly dropped: number;
  /** Whether the end of what is written so far was seen; else there may be more to read at once. */
  readonly isAtEnd: boolean;
}

/** MUST NOT be asked again before it has answered. */
export interface LineFollower {
  /** The lines that were completed since the last call, at most about a line limit's worth of bytes; none: nothing new yet. */
  read(): Promise<FollowedLines>;
}

export function lineFollower(options: LineFollowerOptions): LineFollower {
  const { path, lineBytesMax = LINE_BYTES_MAX } = options;
  /** Where the next line begins, and where the next read does. */
  let lineStart = options.offset ?? 0;
  let position = lineStart;
  /** The line so far, or, once it is too long, nothing of it. */
  let partial: Buffer[] = [];
  let partialBytes = 0;

  const takeLine = (end: Buffer): string | null => {
    const isTooLong = partialBytes + end.length > lineBytesMax;
    const line = isTooLong ? null : Buffer.concat([...partial, end]).toString('utf8');
    partial = [];
    partialBytes = 0;
    return line;
  };
  const keepPartial = (rest: Buffer): void => {
    partialBytes += rest.length;
    partial = partialBytes > lineBytesMax ? [] : [...partial, Buffer.from(rest)];
  };

  return {
    async read() {
      const lines: string[] = [];
      let dropped = 0;
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
          let from = 0;
          for (let at = chunk.indexOf(NEWLINE); at !== -1 && at < bytesRead; at = chunk.indexOf(NEWLINE, from)) {
            const line = takeLine(chunk.subarray(from, at));
            if (line === null) dropped += 1;
            else lines.push(line);
            from = at + 1;
            lineStart = position + from;
          }
          keepPartial(chunk.subarray(from, bytesRead));
          position += bytesRead;
        }
      } finally {
        await file.close();
      }
      return { lines, offset: lineStart, dropped, isAtEnd };
    },
  };
}
