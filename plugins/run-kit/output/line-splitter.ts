/** Cuts a stream of bytes into lines, of which each has a bound. */
import { hasTooManyMembers } from '../../../core/domain/json-members.ts';

/** A tool's whole output is one line with some programs, so a line may be long. */
export const LINE_BYTES_MAX = 4 * 1024 * 1024;
const NEWLINE = 0x0a;
const BRACE = 0x7b;
/** What may stand before an object: blanks, and the bytes of a byte order mark. */
const BLANKS: ReadonlySet<number> = new Set([0x09, 0x0b, 0x0c, 0x0d, 0x20, 0xef, 0xbb, 0xbf]);

/** A line that is too long, or an object of too many members, which is left out. */
export interface DroppedLine {
  /** How many of the lines that came with it stood before it. */
  readonly at: number;
  /** It began as a JSON object does: it may have said something. */
  readonly isObject: boolean;
}

export interface SplitLines {
  /** Whole lines, without their ends. */
  readonly lines: readonly string[];
  /** In order. */
  readonly dropped: readonly DroppedLine[];
}

export interface LineSplitter {
  /** The lines that this chunk completes. The chunk may be used again afterwards. */
  push(chunk: Buffer): SplitLines;
  /** Of the line that is not complete yet, also where it is too long to be kept. */
  partialBytes(): number;
  /** Nothing more comes: what follows the last line end is a line, too, unless it is empty. */
  end(): SplitLines;
}

/**
 * Lines longer than `lineBytesMax` are left out and told; no more than that is held of one. So are objects with more members than a result may
 * have: to parse one takes seconds, in which nothing else is done.
 */
export function lineSplitter(lineBytesMax = LINE_BYTES_MAX): LineSplitter {
  let partial: Buffer[] = [];
  let partialBytes = 0;
  /** Null: there were only blanks so far. */
  let isObject: boolean | null = null;

  const noteStart = (bytes: Buffer): void => {
    if (partialBytes === 0) isObject = null;
    if (isObject !== null) return;
    const first = bytes.find((byte) => !BLANKS.has(byte));
    if (first !== undefined) isObject = first === BRACE;
  };
  const takeLine = (end: Buffer): string | null => {
    noteStart(end);
    const isTooLong = partialBytes + end.length > lineBytesMax;
    const line = isTooLong ? null : Buffer.concat([...partial, end]).toString('utf8');
    partial = [];
    partialBytes = 0;
    return line !== null && isObject === true && hasTooManyMembers(line) ? null : line;
  };
  const keepPartial = (rest: Buffer): void => {
    noteStart(rest);
    partialBytes += rest.length;
    partial = partialBytes > lineBytesMax ? [] : [...partial, Buffer.from(rest)];
  };

  return {
    push(chunk) {
      const lines: string[] = [];
      const dropped: DroppedLine[] = [];
      let from = 0;
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
        const line = takeLine(chunk.subarray(from, at));
        if (line === null) dropped.push({ at: lines.length, isObject: isObject === true });
        else lines.push(line);
        from = at + 1;
      }
      keepPartial(chunk.subarray(from));
      return { lines, dropped };
    },
    partialBytes: () => partialBytes,
    end() {
      if (partialBytes === 0) return { lines: [], dropped: [] };
      const line = takeLine(Buffer.alloc(0));
      return line === null ? { lines: [], dropped: [{ at: 0, isObject: isObject === true }] } : { lines: [line], dropped: [] };
    },
  };
}
