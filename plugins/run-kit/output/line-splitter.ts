/** Splits a byte stream into lines of bounded length. */
import { hasTooManyMembers } from '../../../core/domain/json-members.ts';

/** Some programs print a tool's whole output as one line, so lines may be long. */
export const LINE_BYTES_MAX = 4 * 1024 * 1024;
const NEWLINE = 0x0a;
const BRACE = 0x7b;
/** What may precede an object: blanks, and the bytes of a byte order mark. */
const BLANKS: ReadonlySet<number> = new Set([0x09, 0x0b, 0x0c, 0x0d, 0x20, 0xef, 0xbb, 0xbf]);

/** A line that is too long, or an object with too many members. */
export interface DroppedLine {
  /** How many lines of the same result precede it. */
  readonly at: number;
  /** It starts like a JSON object, so it may have held an event. */
  readonly isObject: boolean;
}

/** The lines that a chunk has completed. */
export interface SplitLines {
  /** Complete lines, without newlines. */
  readonly lines: readonly string[];
  /** In order. */
  readonly dropped: readonly DroppedLine[];
}

/** Splits a stream of bytes into lines. */
export interface LineSplitter {
  /** The lines that this chunk completes. The chunk may be reused afterwards. */
  push(chunk: Buffer): SplitLines;
  /** Size of the incomplete line, even if it is too long to be kept. */
  partialBytes(): number;
  /** The end of the stream: what follows the last newline is a line too, unless it is empty. */
  end(): SplitLines;
}

/**
 * Drops and reports lines longer than `lineBytesMax`, and buffers no more than that. Also drops objects with more
 * members than a result may have, since parsing one would block for seconds.
 */
export function lineSplitter(lineBytesMax = LINE_BYTES_MAX): LineSplitter {
  let partial: Buffer[] = [];
  let partialBytes = 0;
  /** Null while there were only blanks. */
  let isObject: boolean | null = null;

  // A flood has millions of short lines, so none gets a buffer of its own.
  const noteStart = (chunk: Buffer, from: number, to: number): void => {
    if (partialBytes === 0) isObject = null;
    for (let at = from; isObject === null && at < to; at += 1) {
      const byte = chunk[at] as number;
      if (!BLANKS.has(byte)) isObject = byte === BRACE;
    }
  };
  const takeLine = (chunk: Buffer, from: number, to: number): string | null => {
    noteStart(chunk, from, to);
    let line: string | null = null;
    if (partialBytes === 0 && to - from <= lineBytesMax) line = from === to ? '' : chunk.toString('utf8', from, to);
    else if (partialBytes + to - from <= lineBytesMax) line = Buffer.concat([...partial, chunk.subarray(from, to)]).toString('utf8');
    if (partialBytes > 0) partial = [];
    partialBytes = 0;
    return line !== null && isObject === true && hasTooManyMembers(line) ? null : line;
  };
  const keepPartial = (rest: Buffer): void => {
    if (rest.length === 0) return;
    noteStart(rest, 0, rest.length);
    partialBytes += rest.length;
    partial = partialBytes > lineBytesMax ? [] : [...partial, Buffer.from(rest)];
  };

  return {
    push(chunk) {
      const lines: string[] = [];
      const dropped: DroppedLine[] = [];
      let from = 0;
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
        const line = takeLine(chunk, from, at);
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
      const line = takeLine(Buffer.alloc(0), 0, 0);
      return line === null ? { lines: [], dropped: [{ at: 0, isObject: isObject === true }] } : { lines: [line], dropped: [] };
    },
  };
}
