/**
 * Reads a result file until it is one. Agents write theirs in halves, or leave it half written: what does not parse is
 * read again until it was still for a while, or for half a minute in all, and only then called invalid.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../core/ports/clock.ts';
import { readResult, RESULT_FILE_BYTES_MAX, RESULT_UNFINISHED_MAX_MS } from '../../core/protocol/agent-files.ts';
import { readBytes, withRegularFile, type FileFacts } from './regular-file.ts';

export type ResultFound =
  | { readonly kind: 'missing' }
  | { readonly kind: 'not_regular' }
  /** Does not parse yet; to be read again in `againMs`. */
  | { readonly kind: 'waiting'; readonly againMs: number }
  | { readonly kind: 'object'; readonly stamp: string; readonly value: Readonly<Record<string, unknown>>; readonly replaced: boolean }
  | {
      readonly kind: 'invalid';
      readonly stamp: string;
      readonly reason: 'result_invalid' | 'result_too_large';
      readonly message: string;
    };

export interface ResultReader {
  /** Remembers since when the file that it saw last is still; a file that was renamed is the same file. */
  read(path: string): Promise<ResultFound>;
}

/** The longest time between two readings of a file that does not parse. */
const AGAIN_MS = 500;

export function resultReader(clock: Clock, stillMs: number): ResultReader {
  let unfinished: { readonly stamp: string; readonly sinceMs: number; readonly firstMs: number } | null = null;

  /** What does not parse: a result in the making, or the verdict. */
  function judge(stamp: string, why: string): ResultFound {
    const nowMs = clock.monotonicMs();
    if (unfinished?.stamp !== stamp) unfinished = { stamp, sinceMs: nowMs, firstMs: unfinished?.firstMs ?? nowMs };
    const leftMs = Math.min(unfinished.sinceMs + stillMs, unfinished.firstMs + RESULT_UNFINISHED_MAX_MS) - nowMs;
    if (leftMs > 0) return { kind: 'waiting', againMs: Math.min(leftMs, AGAIN_MS) };
    return { kind: 'invalid', stamp, reason: 'result_invalid', message: `The result ${why}.` };
  }

  async function readText(file: FileFacts): Promise<ResultFound> {
    const { stamp, sizeBytes } = file;
    if (sizeBytes > RESULT_FILE_BYTES_MAX) {
      const message = `The result has ${sizeBytes} bytes, and ${RESULT_FILE_BYTES_MAX} are read. Write less, or put it elsewhere and name the place.`;
      return { kind: 'invalid', stamp, reason: 'result_too_large', message };
    }
    const bytes = await readBytes(file.handle, 0, sizeBytes);
    const read = readResult(bytes.toString('utf8'));
    if (read.kind === 'unreadable') return judge(stamp, read.why);
    unfinished = null;
    return { kind: 'object', stamp, value: read.value, replaced: read.replaced || !isUtf8(bytes) };
  }

  return {
    async read(path) {
      const found = await withRegularFile(path, readText);
      switch (found.kind) {
        case 'file':
          return found.value;
        case 'unreadable':
          return judge(found.why, `cannot be read: ${found.why}`);
        case 'missing':
        case 'not_regular':
          unfinished = null;
          return found;
      }
    },
  };
}
