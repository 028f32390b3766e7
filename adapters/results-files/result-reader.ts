/**
 * Reads a result file until it is one. Agents write theirs in halves, or leave it half written: what does not parse is
 * read again until it was still for a while, or too long in all, and only then called invalid. An agent that may be at work on it
 * has longer than one that is gone.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../core/ports/clock.ts';
import { readResult, RESULT_FILE_BYTES_MAX, unfinishedLeftMs, type Unfinished } from '../../core/protocol/agent-files.ts';
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
  /**
   * Remembers since when the file that it saw last is still; a file that was renamed is the same file. `overSinceMs`: since when its
   * run is over, monotonic; null: its agent may be at work on it.
   */
  read(path: string, overSinceMs: number | null): Promise<ResultFound>;
}

/** The longest time between two readings of a file that does not parse. */
const AGAIN_MS = 500;

export function resultReader(clock: Clock, stillMs: number): ResultReader {
  let unfinished: (Unfinished & { readonly stamp: string; readonly why: string }) | null = null;

  /** What does not parse: a result in the making, or the verdict. */
  function judge(stamp: string, why: string, overSinceMs: number | null): ResultFound {
    const nowMs = clock.monotonicMs();
    if (unfinished?.stamp !== stamp) unfinished = { stamp, why, sinceMs: nowMs, firstMs: unfinished?.firstMs ?? nowMs };
    const leftMs = unfinishedLeftMs(unfinished, overSinceMs, stillMs, nowMs);
    if (leftMs > 0) return { kind: 'waiting', againMs: Math.min(leftMs, AGAIN_MS) };
    return { kind: 'invalid', stamp, reason: 'result_invalid', message: `The result ${why}.` };
  }

  async function readText(file: FileFacts, overSinceMs: number | null): Promise<ResultFound> {
    const { stamp, sizeBytes } = file;
    if (sizeBytes > RESULT_FILE_BYTES_MAX) {
      const message = `The result has ${sizeBytes} bytes, and ${RESULT_FILE_BYTES_MAX} are read. Write less, or put it elsewhere and name the place.`;
      return { kind: 'invalid', stamp, reason: 'result_too_large', message };
    }
    // What has not changed is parsed again only before it is judged.
    const same = unfinished?.stamp === stamp ? judge(stamp, unfinished.why, overSinceMs) : null;
    if (same?.kind === 'waiting') return same;
    const bytes = await readBytes(file.handle, 0, sizeBytes);
    const read = readResult(bytes.toString('utf8'));
    if (read.kind === 'unreadable') return judge(stamp, read.why, overSinceMs);
    unfinished = null;
    return { kind: 'object', stamp, value: read.value, replaced: read.replaced || !isUtf8(bytes) };
  }

  return {
    async read(path, overSinceMs) {
      const found = await withRegularFile(path, (file) => readText(file, overSinceMs));
      switch (found.kind) {
        case 'file':
          return found.value;
        case 'unreadable':
          return judge(found.why, `cannot be read: ${found.why}`, overSinceMs);
        case 'missing':
        case 'not_regular':
          unfinished = null;
          return found;
      }
    },
  };
}
